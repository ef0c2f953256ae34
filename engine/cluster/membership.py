"""This host's membership record, and the client that it opens. On hosts in no cluster this costs one file access."""

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
"""This host's certificates. Each file also holds the private key, so that both are replaced in one step."""
STORE_FILES = ("store-ca.pem", "store.pem", "store.key")
"""Files for an external store: the CA that verifies it, and the manager's certificate and key; each is optional."""
SOCKET = "etcd.sock"
"""The Unix socket of this host's own etcd member. No other host and no user but root can reach it."""
DETOUR = 60.0
"""Seconds that a manager keeps using another manager's server before it tries its own etcd member first again."""
OTHER_LAYOUT = (
    "this host is in a cluster of another version of hawse: "
    'use "hawse swarm leave --force" on each of its hosts, then make the cluster again'
)
_changing = threading.Lock()


def directory(root: Path) -> Path:
    """Return the directory of a host's cluster files (mode 0700)."""
    return root / "cluster"


def exists(root: Path) -> bool:
    """Return whether this host is in a cluster."""
    return (directory(root) / FILE).exists()


def load(root: Path) -> ClusterMembership | None:
    """Return this host's membership, or None if it is in no cluster.

    Raises `Unavailable` for a record of another layout.
    """
    try:
        text = (directory(root) / FILE).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    from engine.cluster.keys import LAYOUT
    from engine.cluster.model import ClusterMembership
    from engine.store.codec import decode

    membership = decode(ClusterMembership, text)
    if membership.layout != LAYOUT:
        raise Unavailable(OTHER_LAYOUT)
    return membership


def save(where: Path, membership: ClusterMembership) -> None:
    """Write the membership to a directory atomically."""
    from engine.store.codec import encode

    write_private(where / FILE, encode(membership))


def update(root: Path, change: Callable[[ClusterMembership], ClusterMembership]) -> ClusterMembership | None:
    """Change this host's membership record and return the new one, or None if the host is in no cluster.

    A lock serialises the agent's threads.
    """
    with _changing:
        known = load(root)
        if known is None:
            return None
        fresh = change(known)
        if fresh != known:
            save(directory(root), fresh)
        return fresh


def write_private(path: Path, text: str) -> None:
    """Replace a file (mode 0600) atomically."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)


def open_client(root: Path, membership: ClusterMembership) -> Client:
    """Return a client of the cluster's store.

    A manager's client uses the store itself, a worker's client the managers' servers. It tries the member that answered
    last first, so that an unreachable member delays only one command.
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
    """Return the URLs of the store.

    On a manager its own member comes first, then the other managers' servers.
    """
    if membership.external and membership.is_manager:
        return list(membership.urls)
    servers = [f"https://{place}" for place in membership.managers]
    return [socket_url(root), *servers] if membership.is_manager else servers


def socket_url(root: Path) -> str:
    """Return the URL of this host's own etcd member."""
    return f"unix:{directory(root) / SOCKET}"


def _preferred(hint: Path, membership: ClusterMembership) -> str:
    """Return the URL that answered last, or "" if unknown or, on a manager, older than `DETOUR`."""
    try:
        lasts = not membership.is_manager or time.time() - hint.stat().st_mtime < DETOUR
        return hint.read_text(encoding="utf-8") if lasts else ""
    except FileNotFoundError:
        return ""


def node_context(root: Path) -> Any:
    """Return the TLS context of a cluster host: the peer needs a certificate of the cluster's authority."""
    return _context(directory(root) / AUTHORITY, directory(root) / NODE)


def store_context(root: Path) -> Any:
    """Return the TLS context for an external store.

    It verifies with ``store-ca.pem`` (or the system's CAs) and shows ``store.pem`` if that exists.
    """
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
    """Return whether this host is in a cluster."""
    return exists(host.root)


@contextmanager
def connected(host: Host) -> Iterator[tuple[Client, ClusterMembership]]:
    """Yield a client of the cluster's store and this host's membership.

    Raises Unavailable with Docker's message if this host is in no cluster.
    """
    membership = load(host.root)
    if membership is None:
        raise Unavailable(NOT_IN_SWARM)
    client = open_client(host.root, membership)
    try:
        yield client, membership
    finally:
        client.close()


@contextmanager
def managing(host: Host, refusal: str = WORKER) -> Iterator[tuple[Client, ClusterMembership]]:
    """Like `connected`, but raise Unavailable with ``refusal`` if this host is not a manager."""
    with connected(host) as (client, membership):
        if not membership.is_manager:
            raise Unavailable(refusal)
        yield client, membership
