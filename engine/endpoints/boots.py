"""Record to which boot of the host the store's records belong, and whether the host is shutting down."""

from __future__ import annotations

from drivers.linux import host
from engine.agent.service import Snapshot
from engine.host import translate_failures
from engine.store.api import Reader, Transaction

BOOT = "boot"
"""The store's key for a boot id; the records describe the kernel state of this boot."""
_SHUTDOWN = "shutdown"
"""The store's key for the id of the boot in which a shutdown of the host has begun."""


def identity() -> str:
    """Return a string that changes when the host boots; raises EngineError if it cannot be read from the kernel."""
    with translate_failures(()):
        return host.boot_identity()


def begin_shutdown(tx: Transaction) -> None:
    """Record that the host is shutting down. Until the next boot, no container is started again."""
    tx.set_meta(_SHUTDOWN, identity())


def cancel_shutdown(tx: Transaction) -> None:
    """Record that the host is not shutting down; idempotent."""
    tx.set_meta(_SHUTDOWN, "")


def is_shutting_down(reader: Reader) -> bool:
    """Return whether a shutdown of the host has begun since its latest boot."""
    return reader.meta(_SHUTDOWN) == identity()


def is_of_this_boot(reader: Reader) -> bool:
    """Return whether the store's records describe the kernel state of the host's present boot.

    After a reboot, the result is False until a command has recorded what the reboot ended (`engine.recovery.boot`).
    """
    return reader.meta(BOOT) == identity()


def read_records(reader: Reader) -> Snapshot:
    """Return the store's networks, containers and endpoints, and whether they describe the kernel of this boot."""
    here = is_of_this_boot(reader)
    return Snapshot(reader.networks(), reader.containers(), reader.endpoints(), of_this_boot=here)
