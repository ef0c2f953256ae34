"""The interface of the agent's services, the snapshot of the local store that they read, and a cache for services."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from engine.model import ContainerRecord, EndpointRecord, NetworkRecord

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Snapshot:
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
        self._last: dict[Hashable, tuple[tuple[object, ...], T]] = {}

    def results(self, calls: Iterable[tuple[Hashable, tuple[object, ...]]]) -> list[T]:
        """Return the function's results in the order of ``calls``: the key of each object, and the arguments for it.

        The function is called only for a new key or for other arguments. Keys that are missing in ``calls`` are
        forgotten.
        """
        last, self._last = self._last, {}
        for key, arguments in calls:
            result = last.get(key)
            if result is None or result[0] != arguments:
                result = arguments, self._function(*arguments)
            self._last[key] = result
        return [result for _, result in self._last.values()]
