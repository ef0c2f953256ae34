"""Record work as intents, so that later commands finish or undo the work of killed commands.

A command records an intent in the store before the command changes the kernel. If the command's process ends before the
work is done, the next command resolves the intent: creations are undone, removals are finished. This module never waits
for a process that is still running.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from drivers.linux import process
from engine.errors import EngineError
from engine.failures import translation
from engine.host import Host
from engine.store.api import Intent, Transaction


class IntentKind(StrEnum):
    """The kinds of work that a command records before it begins.

    The store contains these values, so they must not change.
    """

    NETWORK_CREATE = "network-create"
    NETWORK_REMOVE = "network-remove"
    NETWORK_RETIRE = "network-retire"
    NETWORK_ACTIVATE = "network-ensure"
    CONTAINER_START = "container-start"
    CONTAINER_RESTART = "container-restart"
    CONTAINER_REMOVE = "container-remove"
    ENDPOINT_CHANGE = "endpoint"
    SANDBOX_CHANGE = "sandbox"


Resolver = Callable[[Host, str], None]


def begin(tx: Transaction, kind: str, object_id: str, owner: str = "") -> None:
    """Record an intent: this process works on an object, or the process with the identity ``owner``.

    Call this function in the transaction that also reserves the object.
    """
    tx.put_intent(Intent(kind, object_id, owner or process.identity()))


def end(tx: Transaction, kind: str, object_id: str) -> None:
    """Delete an intent, because the intent's work is done or undone.

    Call this function in the transaction that also records the result of the work.
    """
    tx.delete_intent(kind, object_id)


def orphaned(begun: Iterable[Intent]) -> list[Intent]:
    """Return the intents whose process no longer runs."""
    return [intent for intent in begun if not process.is_owner_running(intent.owner)]


@contextmanager
def rollback_on_error(host: Host, kind: str, object_id: str, undo: Resolver) -> Iterator[None]:
    """Run a block that changes the kernel. If the block fails, call ``undo`` and raise the block's error again.

    If the process dies inside the block, a later command resolves the intent with the same function ``undo``.
    """
    try:
        yield
    except BaseException:
        # Ignore an error of ``undo``. The intent then stays in the store for the next command, and the user sees the
        # original error of the block.
        with contextlib.suppress(EngineError), translation(()):
            undo(host, object_id)
            with host.store.write() as tx:
                end(tx, kind, object_id)
        raise
