"""The interface of the agent's services, the snapshot of the local store that they read, and a cache for services."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from engine.model import ContainerRecord, EndpointRecord, NetworkRecord

T = TypeVar("T")


class Snapshot(Struct, frozen=True):
    """The records of the local store at one moment.

    The field ``of_this_boot`` is False if the host has booted since the records were written. The kernel state of such
    records no longer exists.
    """

    networks: Sequence[NetworkRecord] = ()
    containers: Sequence[ContainerRecord] = ()
    endpoints: Sequence[EndpointRecord] = ()
    of_this_boot: bool = True


class Service(Protocol):
    """A service of the agent that must run while no command runs, such as DNS."""

    name: str

    def reconcile(self, state: Snapshot) -> None:
        """Make the service match the records in ``state``, changing only what differs; idempotent."""

    def needed(self) -> bool:
        """Return whether the agent must keep running because of this service."""

    def close(self) -> None:
        """Release all resources of the service."""


class ResultCache(Generic[T]):
    """The results of a function for many records, such as all containers of the host.

    Few records change between two snapshots, so a service computes only their results again. Records that have not
    changed are the same objects in both snapshots (`engine.store.record_cache`), so comparing them is fast.
    """

    def __init__(self, function: Callable[..., T | None]) -> None:
        self._function = function
        self._last: dict[str, tuple[Any, Any, T | None]] = {}
        self._shared: tuple[Any, ...] = ()

    def results(self, pairs: Iterable[tuple[Any, Any]], *shared: Any) -> list[T]:
        """Return the results of the function in the order of ``pairs``, without those that are None.

        A pair has a record and a value that belongs to it, such as the endpoints of a container. The function gets
        both, and then ``shared``. The function is called only for a new or changed record, for another value, or for
        all pairs if ``shared`` differs from that of the last call.
        """
        last, self._last = self._last if shared == self._shared else {}, {}
        self._shared = shared
        for record, value in pairs:
            known = last.get(record.id)
            if known is None or known[0] is not record or known[1] != value:
                known = record, value, self._function(record, value, *shared)
            self._last[record.id] = known
        return [result for _, _, result in self._last.values() if result is not None]
