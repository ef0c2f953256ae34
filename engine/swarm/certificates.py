"""Issue and renew this host's certificates, and sign the certificates of other hosts.

The file of a certificate also contains the private key. The agent renews a certificate after half of its lifetime.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from engine.cluster import membership as memberships
from engine.cluster import node_operations
from engine.cluster.etcd import Client
from engine.cluster.keys import MANAGER_NAME
from engine.cluster.model import ClusterMembership
from engine.errors import EngineError
from engine.swarm import pki

LOCALHOST = "127.0.0.1"


def authority(root: Path) -> str:
    """Return the certificate of the cluster's certificate authority (PEM)."""
    return (memberships.directory(root) / memberships.AUTHORITY).read_text()


def of_node(root: Path, request: str, node: str) -> str:
    """Sign the certificate request of the host with the node id ``node``; return the certificate (both in PEM)."""
    return pki.issue(authority(root), authority_key(root), request, node)


def of_manager(root: Path, request: str, address: str) -> str:
    """Sign another manager's request for a manager certificate; return the certificate (both in PEM).

    The certificate is valid for ``address``, the other manager's address, and for 127.0.0.1. The other manager uses it
    for its server and for its etcd member.
    """
    return pki.issue(authority(root), authority_key(root), request, MANAGER_NAME, [address, LOCALHOST])


def authority_key(root: Path) -> str:
    """Return the private key of the cluster's certificate authority, which every manager has (PEM)."""
    return (memberships.directory(root) / memberships.AUTHORITY_KEY).read_text()


def is_due(root: Path) -> bool:
    """Return whether this host's certificates must be renewed, because half of their lifetime is over.

    Certificates that are not valid yet must be renewed too: a manager has issued them while its clock was wrong.
    Returns False if the certificate cannot be read.
    """
    with suppress(OSError, ValueError):
        certificate = (memberships.directory(root) / memberships.NODE).read_text()
        return not pki.is_fresh(certificate, datetime.now(UTC))
    return False


def issue_own(authority: str, authority_key: str, node: str, address: str) -> dict[str, str]:
    """Return the certificates that a manager issues to itself, as a map from file name to content.

    Each file has a certificate and its new private key. ``authority`` and ``authority_key`` are the certificate and the
    private key of the cluster's certificate authority (PEM). ``node`` is the manager's node id, ``address`` its
    address.
    """
    key, manager_key = pki.new_key(), pki.new_key()
    request = pki.request(manager_key)
    return {
        memberships.NODE: pki.issue(authority, authority_key, pki.request(key), node) + key,
        memberships.MANAGER: pki.issue(authority, authority_key, request, MANAGER_NAME, [address, LOCALHOST])
        + manager_key,
    }


def renew_manager(root: Path, membership: ClusterMembership) -> None:
    """Renew a manager's certificates with the key of the cluster's certificate authority."""
    files = issue_own(authority(root), authority_key(root), membership.node_id, membership.address)
    memberships.write_files(memberships.directory(root), files)


def renew_worker(root: Path, client: Client) -> None:
    """Get a new certificate for a new private key from a manager, and save certificate and key.

    Raises EngineError if the manager's answer has no certificate.
    """
    key = pki.new_key()
    answer = client.call(node_operations.CERTIFICATE, {"request": pki.request(key)})
    if "certificate" not in answer:
        raise EngineError("the manager did not answer with a certificate")
    memberships.write_private(memberships.directory(root) / memberships.NODE, str(answer["certificate"]) + key)
