"""Finishing or undoing what killed commands left behind.

Work is noted in the store before the kernel is touched. Whoever comes next and finds a note whose owner is dead takes
it over: creations are undone, removals are finished. Nothing here waits for a living owner.
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
    """The kinds of work that a command records before it acts. The values are stored."""

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
    """Note, inside the transaction that reserves it, that this process works on an object."""
    tx.put_intent(Intent(kind, object_id, process.identity()))


def end(tx: Transaction, kind: str, object_id: str) -> None:
    """The work is done or undone; belongs into the transaction that records the result."""
    tx.delete_intent(kind, object_id)


def orphaned(begun: Iterable[Intent]) -> list[Intent]:
    """Notes whose owner is gone."""
    return [intent for intent in begun if not process.is_owner_running(intent.owner)]


@contextmanager
def rollback_on_error(host: Host, kind: str, object_id: str, undo: Resolver) -> Iterator[None]:
    """Run a block of kernel work; when it fails, undo it with the settler that also clears up after a dead owner."""
    try:
        yield
    except BaseException:
        # What cannot be undone now stays noted for the next command, and never hides why the work failed.
        with contextlib.suppress(EngineError):
            undo(host, object_id)
            with host.store.write() as tx:
                end(tx, kind, object_id)
        raise
