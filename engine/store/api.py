"""The store's protocol: every change is one transaction, and every read uses a consistent snapshot.

A `Transaction` is valid only inside its ``with`` block. The store itself enforces uniqueness inside the transaction: of
network names, container names, addresses within a pool, and host ports. Therefore two concurrent commands never both
succeed.

Methods that list return records ordered by creation. Methods for one record return None if it does not exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from engine.model import ContainerRecord, EndpointRecord, ImageRecord, NetworkRecord, NetworkSummary, PortRecord


class Taken(Exception):
    """A unique value is already in use; ``what`` is network-name, container-name, address or port."""

    def __init__(self, what: str, value: str, holder: str) -> None:
        super().__init__(f"{what} {value} is taken by {holder}")
        self.what, self.value, self.holder = what, value, holder


@dataclass(frozen=True, slots=True)
class Intent:
    """An intent: work that has begun on one object.

    It is recorded before the kernel is changed, and removed together with the recording of the result. ``owner`` is the
    process at work ("pid:start time"). When that process is gone, the next command finishes or undoes the work.
    """

    kind: str  # a value of `engine.intents.IntentKind`
    object_id: str
    owner: str


class Reader(Protocol):
    """A consistent snapshot of the store."""

    def networks(self, *, driver: str = "", with_options: bool = False) -> list[NetworkRecord]:
        """Return all networks in any phase; only those of a driver, or with driver options, if requested."""

    def network_summaries(self, phases: Sequence[str]) -> list[NetworkSummary]:
        """Return the summaries of all networks in these phases, in natural order of their names.

        Does not decode the records.
        """

    def has_custom_networks(self) -> bool:
        """Return whether there is any network besides the predefined ones."""

    def drivers_in_use(self) -> set[str]:
        """Return the drivers of live networks."""

    def subnets(self, version: int) -> list[tuple[int, int]]:
        """Return the first and last address of all subnets of IP ``version`` from which networks allocate."""

    def network(self, network_id: str) -> NetworkRecord | None:
        """Return the network with this full id."""

    def find_networks(self, reference: str) -> list[NetworkRecord]:
        """Return the networks whose id is ``reference``; if none, by name; if none, by id prefix."""

    def containers(self) -> list[ContainerRecord]:
        """Return all containers."""

    def container(self, container_id: str) -> ContainerRecord | None:
        """Return the container with this full id."""

    def find_containers(self, reference: str) -> list[ContainerRecord]:
        """Return the containers whose id is ``reference``; if none, by name; if none, by id prefix.

        A leading slash of the name is ignored.
        """

    def endpoints(self, *, network_id: str = "", container_id: str = "") -> list[EndpointRecord]:
        """Return the endpoints of a network, of a container, or all."""

    def publishing_endpoints(self) -> list[EndpointRecord]:
        """Return the endpoints that hold host ports."""

    def endpoint(self, endpoint_id: str) -> EndpointRecord | None:
        """Return the endpoint with this full id."""

    def ports(self, *, except_endpoint: str = "") -> list[PortRecord]:
        """Return the host ports in use by all endpoints except one."""

    def addresses(self, pool: str) -> list[int]:
        """Return the addresses in use in a pool (``network id/subnet``) as integers, ascending."""

    def images(self) -> list[ImageRecord]:
        """Return all images."""

    def has_containers(self) -> bool:
        """Return whether there is any container."""

    def intents(self) -> list[Intent]:
        """Return all intents, oldest first; normally none or a few."""

    def meta(self, key: str) -> str | None:
        """Return a small value that is kept next to the records, such as an allocation cursor."""


class Transaction(Reader, Protocol):
    """A snapshot that can be changed; at the end of the block all changes are committed, or none."""

    def put_network(self, record: NetworkRecord) -> None:
        """Insert or replace a network by id; raises `Taken` if another network has its name."""

    def delete_network(self, network_id: str) -> None:
        """Delete the network and its address reservations."""

    def put_container(self, record: ContainerRecord) -> None:
        """Insert or replace a container by id; raises `Taken` if another container has its name."""

    def delete_container(self, container_id: str) -> None:
        """Delete the container and its endpoints."""

    def put_endpoint(self, record: EndpointRecord) -> None:
        """Insert or replace an endpoint and its ports by id.

        Raises `Taken` if another endpoint has one of its host ports. Two port ranges conflict if they have the same
        protocol and address family, overlap, and have the same host address. A wildcard address conflicts with every
        address of its family.
        """

    def delete_endpoint(self, endpoint_id: str) -> None:
        """Delete the endpoint, its addresses and its ports."""

    def reserve_address(self, pool: str, address: int, holder: str) -> None:
        """Reserve one address for ``holder``; raises `Taken` if another holder has it.

        A holder is an endpoint id, ``gateway:ID`` or ``aux:ID:NAME`` with the network's id.
        """

    def release_addresses(self, holder: str) -> None:
        """Release all addresses of ``holder``."""

    def put_image(self, record: ImageRecord) -> None:
        """Insert or replace an image by id."""

    def delete_image(self, image_id: str) -> None:
        """Delete the image."""

    def put_intent(self, intent: Intent) -> None:
        """Record that work has begun on an object; insert or replace by kind and object."""

    def delete_intent(self, kind: str, object_id: str) -> None:
        """Delete an intent, because its work is finished or undone."""

    def set_meta(self, key: str, value: str) -> None:
        """Set a small value, which `meta` returns."""


class Store(Protocol):
    """A store: opens snapshots and transactions."""

    def read(self) -> AbstractContextManager[Reader]:
        """Open a snapshot; never waits for a writer."""

    def write(self) -> AbstractContextManager[Transaction]:
        """Open a transaction; it is committed at the end of the block, and rolled back on an exception.

        Waits for other writers, up to a limit.
        """

    def stamp(self) -> object:
        """Return a value that changes whenever something is written; fast."""
