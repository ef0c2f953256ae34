"""The interface of the store. Every write is made in a transaction, and every read uses a consistent snapshot.

A `Transaction` is valid only inside its ``with`` block. Some values must be unique: network names, container names,
addresses within a subnet, and host ports. The store checks this inside the transaction, so two concurrent commands
never both get the same value.

Methods that return lists sort the records by creation. Methods that return one record return None if the record does
not exist.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from engine.model import (
    ContainerRecord,
    EndpointRecord,
    Event,
    ImageRecord,
    NetworkRecord,
    NetworkSummary,
    PortRecord,
)

DRIVER_STATE_KEY, DRIVER_STATE = "keepsakes", dict[str, tuple[str, ...]]
"""The key of the drivers' saved state in the table ``meta``, and the type of its JSON value: lists by driver type."""
EVENTS_KEPT = 10_000
"""Number of events that the store keeps. Up to `EVENTS_SPARE` older events can remain until the next deletion."""
EVENTS_SPARE = 100
EVENTS_READ = 1_000
"""Maximum number of events that one call of `Reader.events` returns."""


class Taken(Exception):
    """The error for a value that must be unique and is already in use.

    ``what`` is the kind of the value: network-name, container-name, address or port. ``holder`` is the id of the object
    that has the value. For an address, it is the holder given to `Transaction.reserve_address`.
    """

    def __init__(self, what: str, value: str, holder: str) -> None:
        super().__init__(f"{what} {value} is taken by {holder}")
        self.what, self.value, self.holder = what, value, holder


class IntentKind(StrEnum):
    """The kinds of unfinished work that an `Intent` records, such as the start of a container.

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


class Intent(Struct, frozen=True):
    """A record of work that a process has begun on one object.

    A process stores an intent before it changes the kernel. The process deletes the intent in the transaction that
    records the result. ``owner`` is the process that does the work ("pid:start time"). If the owner ends before the
    work is done, the next command finishes or undoes the work.
    """

    kind: str  # a value of `IntentKind`
    object_id: str
    owner: str


class Reader(Protocol):
    """A consistent snapshot of the store. All methods see the same state, even while other processes write."""

    def networks(self, *, driver: str = "", with_options: bool = False) -> list[NetworkRecord]:
        """Return all networks, in any phase (planned, creating, live or removing).

        ``driver`` limits the result to the networks of that driver; "" means all drivers. ``with_options`` limits the
        result to networks that have driver options.
        """

    def network_summaries(self, phases: Sequence[str]) -> list[NetworkSummary]:
        """Return summaries of all networks whose phase is in ``phases``, sorted by name.

        Numbers in names are compared by value ("a2" before "a10"). This method is faster than `networks`, because it
        does not read the JSON documents of the records.
        """

    def has_custom_networks(self) -> bool:
        """Return whether there is any network besides the predefined networks."""

    def drivers_in_use(self) -> set[str]:
        """Return the driver types that have at least one live network."""

    def subnets(self, version: int) -> list[tuple[int, int]]:
        """Return the subnets that networks use, each as its first and last address (two integers).

        ``version`` is the IP version of the subnets, 4 or 6.
        """

    def network(self, network_id: str) -> NetworkRecord | None:
        """Return the network with this full id, or None if no network has this id."""

    def find_networks(self, reference: str) -> list[NetworkRecord]:
        """Return the networks that ``reference`` means, sorted by creation.

        The reference is tried as an id, then as a name, then as an id prefix. The first of the three that fits any
        network determines the result. The reference "" means no network.
        """

    def containers(self, *, with_links: bool = False, adopted: bool = False) -> list[ContainerRecord]:
        """Return all containers; with one of the two arguments, only some of them.

        - ``with_links``: only containers with legacy links (``--link``)
        - ``adopted``: only the containers of adopted namespaces (`ContainerRecord.kind`)

        If both are True, ``adopted`` has no effect.
        """

    def container(self, container_id: str) -> ContainerRecord | None:
        """Return the container with this full id, or None if no container has this id."""

    def find_containers(self, reference: str) -> list[ContainerRecord]:
        """Return the containers that ``reference`` means, sorted by creation.

        The reference is tried as an id, then as a name (without a leading slash), then as an id prefix. The first of
        the three that fits any container determines the result. The reference "" means no container.
        """

    def endpoints(self, *, network_id: str = "", container_id: str = "") -> list[EndpointRecord]:
        """Return the endpoints of a network, of a container, or of a container on a network.

        An empty argument does not limit the result. Without arguments, all endpoints are returned.
        """

    def container_names(self, network_id: str) -> dict[str, str]:
        """Return the names of the containers that have an endpoint on a network, by container id.

        This method is faster than `container` for each endpoint, because it reads no JSON documents.
        """

    def publishing_endpoints(self) -> Iterator[EndpointRecord]:
        """Yield the endpoints that have published host ports. Each record is read only when it is needed."""

    def endpoint(self, endpoint_id: str) -> EndpointRecord | None:
        """Return the endpoint with this full id, or None if no endpoint has this id."""

    def ports(self) -> list[PortRecord]:
        """Return the host ports of all endpoints."""

    def addresses(self, pool: str) -> list[int]:
        """Return the reserved addresses of a subnet as integers, ascending.

        ``pool`` names the subnet: the network's id, a slash and the subnet, such as "ID/172.18.0.0/16".
        """

    def images(self) -> list[ImageRecord]:
        """Return all images."""

    def image(self, image_id: str) -> ImageRecord | None:
        """Return the image with this full id, or None if no image has this id."""

    def has_containers(self) -> bool:
        """Return whether there is any container."""

    def intents(self) -> list[Intent]:
        """Return all intents, oldest first; there are normally very few."""

    def meta(self, key: str) -> str | None:
        """Return a small value that is stored outside the records, or None if the store has no value for ``key``.

        An example is the last allocated subnet.
        """

    def events(self, *, after: int = 0, since: int = 0) -> list[Event]:
        """Return at most `EVENTS_READ` events whose number is higher than ``after``, in the order of their numbers.

        Events before the time ``since`` (nanoseconds since 1970) are left out.
        """

    def last_event(self) -> int:
        """Return the number of the newest event, or 0 if there are no events."""


class Transaction(Reader, Protocol):
    """A snapshot of the store that the caller can change. At the end of the ``with`` block, either all changes are
    committed, or no change is committed.
    """

    def put_network(self, record: NetworkRecord) -> None:
        """Insert or replace a network by id; raises `Taken` if another network has the same name."""

    def delete_network(self, network_id: str) -> None:
        """Delete the network and the reservations of addresses in its subnets."""

    def put_container(self, record: ContainerRecord, *, relink: bool = False) -> None:
        """Insert or replace a container by id; raises `Taken` if another container has the same name.

        The legacy links of a stored container are replaced only with ``relink``. Without ``relink``, the stored links
        are kept, because a rename of another container may have changed them since the caller read them.
        """

    def delete_container(self, container_id: str) -> None:
        """Delete the container and its endpoints."""

    def put_endpoint(self, record: EndpointRecord) -> None:
        """Insert or replace an endpoint and its ports by id.

        Raises `Taken` if another endpoint already has one of the host ports. Two host port ranges conflict if they
        overlap and have the same protocol, address family and host address. A wildcard host address conflicts with
        every address of its family.
        """

    def delete_endpoint(self, endpoint_id: str) -> None:
        """Delete the endpoint, its addresses and its ports."""

    def reserve_address(self, pool: str, address: int, holder: str) -> None:
        """Reserve one address of a subnet for ``holder``; idempotent. Raises `Taken` if another holder has the address.

        ``pool`` names the subnet: the network's id, a slash and the subnet. ``address`` is the address as an integer.
        ``holder`` is an endpoint id, or ``gateway:ID`` or ``aux:ID:NAME`` with the id of a network.
        """

    def release_addresses(self, holder: str) -> None:
        """Release all addresses that `reserve_address` has reserved for ``holder``; idempotent."""

    def put_image(self, record: ImageRecord) -> None:
        """Insert or replace an image by id."""

    def delete_image(self, image_id: str) -> None:
        """Delete the image."""

    def put_intent(self, intent: Intent) -> None:
        """Store an intent; replaces an intent of the same kind for the same object."""

    def delete_intent(self, kind: str, object_id: str) -> None:
        """Delete an intent, because the work is finished or undone.

        ``kind`` is the kind of the work (`IntentKind`).
        """

    def put_event(self, event: Event) -> None:
        """Add an event with the current time, and delete the oldest events; about `EVENTS_KEPT` events remain."""

    def set_meta(self, key: str, value: str) -> None:
        """Store a small value outside the records; `meta` then returns the value for ``key``."""


class Store(Protocol):
    """The store of a host, which opens snapshots and transactions."""

    def read(self) -> AbstractContextManager[Reader]:
        """Open a snapshot for reading; never waits for a writer."""

    def write(self) -> AbstractContextManager[Transaction]:
        """Open a transaction. The end of the ``with`` block commits it; an exception in the block rolls it back.

        Waits until other writers have finished, but only up to a time limit.
        """

    def stamp(self) -> object:
        """Return a value that shows whether a process has written to the store since an earlier call; fast.

        If the values of two calls are equal, no process has written to the store between the calls.
        """
