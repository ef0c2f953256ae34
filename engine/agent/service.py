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
    """The results of a function for many objects, such as all endpoints of the host.

    Few objects change between two snapshots, so a service computes only their results again. Records that have not
    changed are the same objects in both snapshots (`engine.store.codec.DecodeCache`), so comparing them is fast.
    """

    def __init__(self, function: Callable[..., T]) -> None:
        self._function = function
        self._last: dict[str, tuple[tuple[Any, ...], T]] = {}

    def results(self, calls: Iterable[tuple[Any, ...]]) -> list[T]:
        """Return the function's results in the order of ``calls``, which are the arguments for each object.

        The first argument is the object's record. The function is called only for a new object or for other arguments.
        Objects that are missing in ``calls`` are forgotten.
        """
        last, self._last = self._last, {}
        for arguments in calls:
            result = last.get(arguments[0].id)
            if result is None or result[0] != arguments:
                result = arguments, self._function(*arguments)
            self._last[arguments[0].id] = result
        return [result for _, result in self._last.values()]
