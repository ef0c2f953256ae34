"""This host's certificates: each is a file with its key, valid for days, and replaced by the agent at half of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from engine.cluster import membership, node_operations
from engine.cluster.etcd import Client
from engine.cluster.keys import MANAGER_NAME
from engine.cluster.model import ClusterMembership
from engine.errors import EngineError
from engine.swarm import pki

LOCALHOST = "127.0.0.1"


def authority(root: Path) -> str:
    """The certificate of the cluster's authority."""
    return (membership.directory(root) / membership.AUTHORITY).read_text()


def of_node(root: Path, request: str, node: str) -> str:
    """Sign a host's request with the authority's key, which this manager has."""
    return pki.issue(authority(root), _authority_key(root), request, node)


def of_manager(root: Path, request: str, address: str) -> str:
    """Sign the request for what serves on a manager."""
    return pki.issue(authority(root), _authority_key(root), request, MANAGER_NAME, [address, LOCALHOST])


def _authority_key(root: Path) -> str:
    return (membership.directory(root) / membership.AUTHORITY_KEY).read_text()


def renewal(lifetime: float) -> float:
    """When a certificate of now, which is valid for ``lifetime`` seconds, is to be renewed."""
    return time.time() + lifetime / 2


def is_due(me: ClusterMembership) -> bool:
    """Whether this host's certificates are to be renewed."""
    return time.time() >= me.renew_at


def own(authority: str, authority_key: str, node: str, address: str) -> dict[str, str]:
    """The certificates that a manager issues to itself, by file."""
    key, manager_key = pki.new_key(), pki.new_key()
    asked = pki.request(manager_key)
    return {
        membership.NODE: pki.issue(authority, authority_key, pki.request(key), node) + key,
        membership.MANAGER: pki.issue(authority, authority_key, asked, MANAGER_NAME, [address, LOCALHOST])
        + manager_key,
    }


def renew_manager(root: Path) -> ClusterMembership | None:
    """Renew a manager's certificates with the authority's key, which it has."""
    me = membership.load(root)
    if me is None:
        return None
    return _take(root, own(authority(root), _authority_key(root), me.node_id, me.address), pki.lifetime())


def renew_worker(root: Path, client: Client, me: ClusterMembership) -> ClusterMembership | None:
    """Ask a manager for this host's next certificate, for a key of its own."""
    key = pki.new_key()
    answer = client.call(node_operations.PATH + "certificate", {"request": pki.request(key)})
    if "certificate" not in answer:
        raise EngineError("the manager did not answer with a certificate")
    return _take(root, {membership.NODE: str(answer["certificate"]) + key}, float(answer["lifetime"]))


def _take(root: Path, files: Mapping[str, str], lifetime: float) -> ClusterMembership | None:
    """Put new certificates in place, then note when the next ones are due."""
    for name, text in files.items():
        membership.write_private(membership.directory(root) / name, text)
    due = renewal(lifetime)
    return membership.update(root, lambda known: replace(known, renew_at=due))
