"""Reads and writes this host's membership record, and opens clients of the etcd store.

On a host in no cluster, `load` makes only one file access.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import Unavailable, hinted
from engine.host import CLUSTER_DIRECTORY, MEMBERSHIP_FILE, Host
from engine.store.locks import lock_open_file
from engine.validate.network import NOT_IN_SWARM

if TYPE_CHECKING:
    from engine.cluster.etcd import Client
    from engine.cluster.model import ClusterMembership

AUTHORITY, AUTHORITY_KEY = "ca.pem", "ca.key"
NODE, MANAGER = "node.pem", "manager.pem"
"""Names of this host's certificate files. Each file also holds the private key, so that one write replaces both."""
STORE_FILES = ("store-ca.pem", "store.pem", "store.key")
"""Names of the files for an external etcd store: the CA that verifies the store, and the manager's certificate and key.
All three files are optional.
"""
SOCKET = "etcd.sock"
"""File name of the Unix socket of this host's etcd member. Only root on this host can connect to this socket."""
DETOUR_SECONDS = 60.0
"""Seconds for which a manager uses the server of another manager, after that server has answered. After this time, the
manager tries its own etcd member first again.
"""
OTHER_LAYOUT = (
    "this host is in a cluster of another version of hawse: "
    'use "hawse swarm leave --force" on each of its hosts, then make the cluster again'
)


def directory(root: Path) -> Path:
    """Return the directory of a host's cluster files (mode 0700)."""
    return root / CLUSTER_DIRECTORY


def load(root: Path) -> ClusterMembership | None:
    """Return this host's membership, or None if the host is in no cluster.

    Raises `Unavailable` if another version of hawse wrote the record in another format.
    """
    try:
        text = (directory(root) / MEMBERSHIP_FILE).read_text(encoding="utf-8")
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
    """Write the membership record to the directory ``where`` atomically."""
    from engine.store.codec import encode

    write_private(where / MEMBERSHIP_FILE, encode(membership))


def update(root: Path, change: Callable[[ClusterMembership], ClusterMembership]) -> ClusterMembership | None:
    """Apply ``change`` to this host's membership record; return the new record, or None if there is no record.

    The lock of the cluster directory is held during the change.
    """
    with suppress(FileNotFoundError, NotADirectoryError), locked(root):
        known = load(root)
        if known is None:
            return None
        fresh = change(known)
        if fresh != known:
            save(directory(root), fresh)
        return fresh
    return None


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold the lock of the cluster directory in the ``with`` block; raises FileNotFoundError without this directory.

    The lock serialises changes by the agent's threads and by commands. Without the lock, the agent could write the
    membership record again after ``swarm leave`` has deleted it.
    """
    opened = os.open(directory(root), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        lock_open_file(opened, "the membership record")
        yield
    finally:
        os.close(opened)


def write_private(path: Path, text: str) -> None:
    """Write ``text`` to the file ``path`` (mode 0600) atomically; an existing file is replaced.

    Several threads and processes may write the same file at the same time.
    """
    fresh = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def write_files(where: Path, files: Mapping[str, str]) -> None:
    """Write several files in the directory ``where`` (see `write_private`); ``files`` maps file names to texts."""
    for name, text in files.items():
        write_private(where / name, text)


def open_client(root: Path, membership: ClusterMembership) -> Client:
    """Return a client through which this host reaches the etcd store; it connects at the first call.

    On a manager, the client uses this host's etcd member or the external store. On a worker, it uses the managers'
    servers. `_urls` has the order. The URL that answered last is tried first, so that an unreachable member delays only
    one command.
    """
    from engine.cluster.etcd import Client

    hint = directory(root) / "preferred"
    preferred = preferred_url(hint, membership)
    urls = sorted(_urls(root, membership), key=lambda url: url != preferred)

    def switched(url: str) -> None:
        with suppress(OSError):
            write_private(hint, url)

    if membership.external and membership.is_manager:
        return Client(urls, lambda: _store_context(root), membership.user, membership.password, switched)
    from engine.cluster.keys import MANAGER_NAME

    return Client(urls, lambda: node_context(root), switched=switched, name=MANAGER_NAME)


def _urls(root: Path, membership: ClusterMembership) -> list[str]:
    """Return the URLs through which this host reaches the etcd store, in the order in which they are tried.

    - A manager: its own etcd member, then the servers of the other managers.
    - A manager, if the user runs the etcd store: the URLs of this external store.
    - A worker: the servers of the managers.
    """
    if membership.external and membership.is_manager:
        return list(membership.urls)
    servers = [f"https://{manager}" for manager in membership.managers]
    return [socket_url(root), *servers] if membership.is_manager else servers


def socket_url(root: Path) -> str:
    """Return the URL of this host's own etcd member, which is a Unix socket."""
    return f"unix:{directory(root) / SOCKET}"


def preferred_url(hint: Path, membership: ClusterMembership) -> str:
    """Return the URL that answered last, as saved in the file ``hint``, or "" without this file.

    A manager ignores the saved URL after `DETOUR_SECONDS` seconds, and tries its own etcd member again.
    """
    try:
        age = time.time() - hint.stat().st_mtime  # negative after the clock was set back
        lasts = not membership.is_manager or 0 <= age < DETOUR_SECONDS
        return hint.read_text(encoding="utf-8") if lasts else ""
    except FileNotFoundError:
        return ""


def node_context(root: Path) -> Any:
    """Return the ssl.SSLContext with which this host connects to the other hosts of the cluster.

    The other host must show a certificate of the cluster's authority. This host shows its node certificate.
    """
    return _context(directory(root) / AUTHORITY, directory(root) / NODE)


def _store_context(root: Path) -> Any:
    """Return the ssl.SSLContext for an external etcd store.

    The context verifies the store with ``store-ca.pem`` (or the system's CAs), and shows ``store.pem`` if that file
    exists.
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


WORKER = (
    "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. "
    "Please run this command on a manager node or promote the current node to a manager."
)
AS_MANAGER = (
    "This host is a worker. To make it a manager: hawse swarm leave, then the line that a manager prints with\n"
    "hawse swarm join-token manager"
)
"""A hint for a command that needs a manager."""


@contextmanager
def connected(host: Host) -> Iterator[tuple[Client, ClusterMembership]]:
    """Yield a client of the etcd store and this host's membership; the client is closed after the ``with`` block.

    Raises Unavailable with Docker's message if this host is in no cluster.
    """
    membership = load(host.root)
    if membership is None:
        raise Unavailable(NOT_IN_SWARM)
    with closing(open_client(host.root, membership)) as client:
        yield client, membership


@contextmanager
def managing(host: Host, refusal: str = WORKER) -> Iterator[tuple[Client, ClusterMembership]]:
    """Yield a client of the etcd store and this host's membership; raises Unavailable unless this host is a manager.

    ``refusal`` is the error message on a worker.
    """
    with connected(host) as (client, membership):
        if not membership.is_manager:
            raise hinted(Unavailable(refusal), AS_MANAGER)
        yield client, membership
