"""Record work as intents, so that work of killed commands is finished or undone.

An intent is recorded in the store before the kernel is changed. The next command that finds an intent of a dead process
takes it over: creations are undone, removals are finished. Nothing here waits for a live process.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from drivers.linux import process
from engine.errors import EngineError
from engine.host import Host
from engine.store.api import Intent, Transaction


class IntentKind(StrEnum):
    """The kinds of work that a command records before it acts. The values are stored, so they must not change."""

    NETWORK_CREATE = "network-create"
    NETWORK_REMOVE = "network-remove"
    NETWORK_ACTIVATE = "network-ensure"
    CONTAINER_START = "container-start"
    CONTAINER_RESTART = "container-restart"
    CONTAINER_REMOVE = "container-remove"
    ENDPOINT_CHANGE = "endpoint"
    SANDBOX_CHANGE = "sandbox"


Resolver = Callable[[Host, str], None]


def begin(tx: Transaction, kind: str, object_id: str) -> None:
    """Record that this process works on an object, inside the transaction that reserves the object."""
    tx.put_intent(Intent(kind, object_id, process.identity()))


def end(tx: Transaction, kind: str, object_id: str) -> None:
    """Delete an intent when its work is done or undone, inside the transaction that records the result."""
    tx.delete_intent(kind, object_id)


def orphaned(begun: Iterable[Intent]) -> list[Intent]:
    """Return the intents whose process is gone."""
    return [intent for intent in begun if not process.is_owner_running(intent.owner)]


@contextmanager
def rollback_on_error(host: Host, kind: str, object_id: str, undo: Resolver) -> Iterator[None]:
    """Run a block of kernel work, and undo it with ``undo`` if it fails; the error is raised again.

    ``undo`` is the function that also resolves such an intent of a dead process.
    """
    try:
        yield
    except BaseException:
        # If the undo fails, the intent stays for the next command, and the original error is still raised.
        with contextlib.suppress(EngineError):
            undo(host, object_id)
            with host.store.write() as tx:
                end(tx, kind, object_id)
        raise
