"""This host's own record of its membership, and the client it gives. Cheap where there is no cluster: one stat."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.cluster.etcd import Client
    from engine.cluster.model import Membership

FILE = "membership.json"
STORE_FILES = ("store-ca.pem", "store.pem", "store.key")
"""How the store is verified, and what this host shows it; each only where it is needed."""
_changing = threading.Lock()


def directory(root: Path) -> Path:
    """Where a host keeps what concerns its cluster (0700)."""
    return root / "cluster"


def exists(root: Path) -> bool:
    """Whether this host is in a cluster."""
    return (directory(root) / FILE).exists()


def load(root: Path) -> Membership | None:
    """This host's membership; None where it is in no cluster."""
    try:
        text = (directory(root) / FILE).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    from engine.cluster.model import Membership
    from engine.store.codec import decode

    return decode(Membership, text)


def save(where: Path, membership: Membership) -> None:
    """Write the record into a directory, whole or not at all."""
    from engine.store.codec import encode

    write_private(where / FILE, encode(membership))


def update(root: Path, change: Callable[[Membership], Membership]) -> Membership | None:
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


def open_client(root: Path, membership: Membership) -> Client:
    """A client of the cluster's store with this host's certificate and credential.

    It begins with the member that answered last when another did not: a dead one costs one command its patience.
    """
    from engine.cluster.etcd import Client

    hint = directory(root) / "preferred"
    preferred = hint.read_text(encoding="utf-8") if hint.exists() else ""
    urls = sorted(membership.urls, key=lambda url: url != preferred)

    def switched(url: str) -> None:
        with suppress(OSError):
            write_private(hint, url)

    return Client(urls, tls_context(directory(root)), membership.user, membership.password, switched)


def tls_context(where: Path) -> object:
    """TLS as a directory's files say: ``store-ca.pem`` to verify by (else the system's), ``store.pem`` to show."""
    import ssl

    authority = where / "store-ca.pem"
    context = ssl.create_default_context(cafile=str(authority) if authority.exists() else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if (where / "store.pem").exists():
        context.load_cert_chain(where / "store.pem", where / "store.key")
    return context
