"""This host's own record of its membership, and the client it gives. Cheap where there is no cluster: one stat."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import Unavailable
from engine.host import Host

if TYPE_CHECKING:
    from engine.cluster.etcd import Client
    from engine.cluster.model import ClusterMembership

FILE = "membership.json"
AUTHORITY, AUTHORITY_KEY = "ca.pem", "ca.key"
NODE, MANAGER = "node.pem", "manager.pem"
"""This host's certificates, each in one file with its key, which is replaced in one step."""
STORE_FILES = ("store-ca.pem", "store.pem", "store.key")
"""How a store that is not ours is verified, and what a manager shows it; each only where it is needed."""
SOCKET = "etcd.sock"
"""Where this host's own member of the store takes calls: no other host reaches it, and no user but root."""
DETOUR = 60.0
"""Seconds after which a manager tries its own member of the store first again."""
OTHER_LAYOUT = (
    "this host is in a cluster of another version of hawse: "
    'use "hawse swarm leave --force" on each of its hosts, then make the cluster again'
)
_changing = threading.Lock()


def directory(root: Path) -> Path:
    """Where a host keeps what concerns its cluster (0700)."""
    return root / "cluster"


def exists(root: Path) -> bool:
    """Whether this host is in a cluster."""
    return (directory(root) / FILE).exists()


def load(root: Path) -> ClusterMembership | None:
    """This host's membership; None where it is in no cluster. Raises `Unavailable` for one of another layout."""
    try:
        text = (directory(root) / FILE).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    from engine.cluster.keys import LAYOUT
    from engine.cluster.model import ClusterMembership
    from engine.store.codec import decode

    found = decode(ClusterMembership, text)
    if found.layout != LAYOUT:
        raise Unavailable(OTHER_LAYOUT)
    return found


def save(where: Path, membership: ClusterMembership) -> None:
    """Write the record into a directory, whole or not at all."""
    from engine.store.codec import encode

    write_private(where / FILE, encode(membership))


def update(root: Path, change: Callable[[ClusterMembership], ClusterMembership]) -> ClusterMembership | None:
    """Change the record of a host that is a member; the new one. The agent's threads come one after the other."""
    with _changing:
        known = load(root)
        if known is None:
            return None
        fresh = change(known)
        if fresh != known:
            save(directory(root), fresh)
        return fresh


def write_private(path: Path, text: str) -> None:
    """Replace a file (0600) in one step."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)


def open_client(root: Path, membership: ClusterMembership) -> Client:
    """A client of the cluster's store: a manager's of the store itself, a worker's of the managers' servers.

    It begins with the one that answered last when another did not: a dead one costs one command its patience.
    """
    from engine.cluster.etcd import Client

    hint = directory(root) / "preferred"
    preferred = _preferred(hint, membership)
    urls = sorted(_urls(root, membership), key=lambda url: url != preferred)

    def switched(url: str) -> None:
        with suppress(OSError):
            write_private(hint, url)

    if membership.external and membership.is_manager:
        return Client(urls, lambda: store_context(root), membership.user, membership.password, switched)
    from engine.cluster.keys import MANAGER_NAME

    return Client(urls, lambda: node_context(root), switched=switched, name=MANAGER_NAME)


def _urls(root: Path, membership: ClusterMembership) -> list[str]:
    """Where the store is reached; a manager's own member first, then by way of the other managers."""
    if membership.external and membership.is_manager:
        return list(membership.urls)
    servers = [f"https://{place}" for place in membership.managers]
    return [socket_url(root), *servers] if membership.is_manager else servers


def socket_url(root: Path) -> str:
    """The URL of this host's own member of the store."""
    return f"unix:{directory(root) / SOCKET}"


def _preferred(hint: Path, membership: ClusterMembership) -> str:
    """The URL that answered last."""
    try:
        lasts = not membership.is_manager or time.time() - hint.stat().st_mtime < DETOUR
        return hint.read_text(encoding="utf-8") if lasts else ""
    except FileNotFoundError:
        return ""


def node_context(root: Path) -> Any:
    """TLS as a host of the cluster: the other side must have a certificate of the cluster's authority."""
    return _context(directory(root) / AUTHORITY, directory(root) / NODE)


def store_context(root: Path) -> Any:
    """TLS to a store that is not ours: ``store-ca.pem`` to verify by (else the system's), ``store.pem`` to show."""
    authority, certificate, key = (directory(root) / name for name in STORE_FILES)
    return _context(authority if authority.exists() else None, certificate if certificate.exists() else None, key)


def _context(authority: Path | None, certificate: Path | None, key: Path | None = None) -> Any:
    import ssl

    context = ssl.create_default_context(cafile=str(authority) if authority else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate:
        context.load_cert_chain(certificate, key)
    return context


NOT_IN_SWARM = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" '
    "to connect this node to swarm and try again."
)


WORKER = (
    "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. "
    "Please run this command on a manager node or promote the current node to a manager."
)


def is_member(host: Host) -> bool:
    """Whether this host is in a cluster."""
    return exists(host.root)


@contextmanager
def connected(host: Host) -> Iterator[tuple[Client, ClusterMembership]]:
    """A client of the cluster's store; raises Docker's text where this host is in no cluster."""
    found = load(host.root)
    if found is None:
        raise Unavailable(NOT_IN_SWARM)
    client = open_client(host.root, found)
    try:
        yield client, found
    finally:
        client.close()


@contextmanager
def managing(host: Host, refusal: str = WORKER) -> Iterator[tuple[Client, ClusterMembership]]:
    """The same on managers alone."""
    with connected(host) as (client, found):
        if not found.is_manager:
            raise Unavailable(refusal)
        yield client, found
