"""The interface of the agent's services, the snapshot of the local store that they read, and a cache for services."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from engine.model import ContainerRecord, EndpointRecord, NetworkRecord, live_by_container

T = TypeVar("T")


class Snapshot(Struct, frozen=True, dict=True):
    """The records of the local store at one moment.

    The field ``of_this_boot`` is False if the host has booted since the records were written. A boot ends all kernel
    state that the records describe.
    """

    networks: Sequence[NetworkRecord] = ()
    containers: Sequence[ContainerRecord] = ()
    endpoints: Sequence[EndpointRecord] = ()
    of_this_boot: bool = True

    @cached_property
    def joined(self) -> Sequence[tuple[ContainerRecord, Sequence[EndpointRecord]]]:
        """All containers, each with its live endpoints."""
        joined = live_by_container(self.endpoints)
        return [(container, joined.get(container.id, ())) for container in self.containers]


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
    """The results of one function for many records, such as all containers of the host.

    ``results`` maps a record's id to its result. If the function returned None, the record has no result.

    Because few records change between two snapshots, `update` computes only the results of changed records. Both
    snapshots have the same object for an unchanged record (`engine.store.record_cache`), so the comparison is fast.
    """

    def __init__(self, function: Callable[..., T | None]) -> None:
        self.results: dict[str, T] = {}
        self._function = function
        self._inputs: dict[str, tuple[Any, Any]] = {}
        self._shared: tuple[Any, ...] = ()

    @contextmanager
    def emptied_on_error(self) -> Iterator[None]:
        """Forget all results if the ``with`` block raises an exception.

        The next `update` then calls the function for every record again, and returns all results as changed.
        """
        try:
            yield
        except BaseException:
            self.clear()
            raise

    def clear(self) -> None:
        """Forget all results."""
        self.results, self._inputs = {}, {}

    def forget(self, record_id: str) -> None:
        """Let the next `update` call the function for this record, even if nothing has changed; idempotent."""
        self._inputs.pop(record_id, None)

    def update(self, pairs: Iterable[tuple[Any, Any]], *shared: Any) -> dict[str, T]:
        """Call the constructor's ``function`` for new and changed records; return the changed results.

        The returned dict maps a record's id to its new result. Each of ``pairs`` is a record and a value, such as a
        container and its endpoints. ``function`` gets the record, the value and ``shared``. `update` calls ``function``
        for these pairs:

        - pairs with a new or changed record
        - pairs with a changed value
        - all pairs, if ``shared`` has changed since the last call

        A new result that equals the old one is not returned. A result None is not stored and not returned. The results
        of records that are no longer in ``pairs`` are removed. If ``function`` raises an exception, ``results`` stays
        unchanged.
        """
        last, inputs = self._inputs if shared == self._shared else {}, dict[str, tuple[Any, Any]]()
        computed: dict[str, T | None] = {}
        for record, value in pairs:
            known = last.get(record.id)
            if known is None or known[0] is not record or known[1] != value:
                known = record, value
                computed[record.id] = self._function(record, value, *shared)
            inputs[record.id] = known
        self._inputs, self._shared = inputs, shared
        for gone in self.results.keys() - inputs.keys():
            del self.results[gone]
        changed: dict[str, T] = {}
        for record_id, result in computed.items():
            if result is None:
                self.results.pop(record_id, None)
            elif result != self.results.get(record_id):
                changed[record_id] = self.results[record_id] = result
        return changed
