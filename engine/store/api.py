"""The store's protocol: every change is one transaction, every read a consistent snapshot.

A `Transaction` is valid inside its ``with`` block alone. Uniqueness (network names, container names, addresses within a
pool, host ports) is the store's own, enforced inside the transaction: two commands at once never both succeed.
Listing methods return records ordered by creation. ``get`` methods return None for what is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from engine.model import ContainerRecord, EndpointRecord, ImageRecord, NetworkRecord, NetworkSummary, PortRecord


class Taken(Exception):
    """A unique value is in use: ``what`` is network-name, container-name, address or port."""

    def __init__(self, what: str, value: str, holder: str) -> None:
        super().__init__(f"{what} {value} is taken by {holder}")
        self.what, self.value, self.holder = what, value, holder


@dataclass(frozen=True, slots=True)
class Intent:
    """Work begun on one object: recorded before the kernel is touched, removed with the result.

    ``owner`` names the process at work ("pid:start time"); when it is gone, the next command finishes or undoes.
    """

    kind: str  # network-create, network-remove, container-start, container-remove, endpoint, sandbox …
    object_id: str
    owner: str


class Reader(Protocol):
    """A consistent snapshot."""

    def networks(self, *, driver: str = "", with_options: bool = False) -> list[NetworkRecord]:
        """All networks, whatever their phase; or a driver's, or those with driver options."""

    def network_summaries(self, phases: Sequence[str]) -> list[NetworkSummary]:
        """What there is to list of all networks in these phases, in natural order of their names; reads no record."""

    def has_custom_networks(self) -> bool:
        """Tell whether there is any network but the predefined ones."""

    def drivers_in_use(self) -> set[str]:
        """The drivers of live networks."""

    def subnets(self, version: int) -> list[tuple[int, int]]:
        """First and last address of all subnets of IP ``version`` that networks allocate from."""

    def network(self, network_id: str) -> NetworkRecord | None:
        """The network of this full id."""

    def find_networks(self, reference: str) -> list[NetworkRecord]:
        """Networks whose id equals, else whose name equals, else whose id starts with ``reference``."""

    def containers(self) -> list[ContainerRecord]:
        """All containers."""

    def container(self, container_id: str) -> ContainerRecord | None:
        """The container of this full id."""

    def find_containers(self, reference: str) -> list[ContainerRecord]:
        """Containers whose id equals, else whose name equals (a leading slash is ignored), else by id prefix."""

    def endpoints(self, *, network_id: str = "", container_id: str = "") -> list[EndpointRecord]:
        """Endpoints of a network, of a container, or all."""

    def publishing_endpoints(self) -> list[EndpointRecord]:
        """Endpoints that hold host ports."""

    def endpoint(self, endpoint_id: str) -> EndpointRecord | None:
        """The endpoint of this full id."""

    def ports(self, *, except_endpoint: str = "") -> list[PortRecord]:
        """Host ports in use by all endpoints but one."""

    def addresses(self, pool: str) -> list[int]:
        """Addresses in use in a pool (``network id/subnet``), as integers, ascending."""

    def images(self) -> list[ImageRecord]:
        """All images."""

    def has_containers(self) -> bool:
        """Tell whether there is any container."""

    def intents(self) -> list[Intent]:
        """All work begun and not yet finished, oldest first; normally empty or a handful."""

    def meta(self, key: str) -> str | None:
        """A small value kept beside the records (allocation cursors, versions)."""


class Transaction(Reader, Protocol):
    """A snapshot that can change; all of it is committed at the end of the block, or nothing."""

    def put_network(self, record: NetworkRecord) -> None:
        """Insert or replace by id; raises `Taken` for another network's name."""

    def delete_network(self, network_id: str) -> None:
        """Forget the network and its address reservations."""

    def put_container(self, record: ContainerRecord) -> None:
        """Insert or replace by id; raises `Taken` for another container's name."""

    def delete_container(self, container_id: str) -> None:
        """Forget the container and its endpoints."""

    def put_endpoint(self, record: EndpointRecord) -> None:
        """Insert or replace by id, ports included; raises `Taken` for a host port of another endpoint.

        Port ranges collide where protocol is equal, ranges overlap, and the host addresses are equal or one of them
        is the wildcard of that family.
        """

    def delete_endpoint(self, endpoint_id: str) -> None:
        """Forget the endpoint, its addresses and its ports."""

    def reserve_address(self, pool: str, address: int, holder: str) -> None:
        """Reserve one address for ``holder`` (an endpoint id, or ``gateway``/``aux:NAME``); raises `Taken`."""

    def release_addresses(self, holder: str) -> None:
        """Release all addresses of ``holder``."""

    def put_image(self, record: ImageRecord) -> None:
        """Insert or replace by id."""

    def delete_image(self, image_id: str) -> None:
        """Forget the image."""

    def put_intent(self, intent: Intent) -> None:
        """Note work begun on an object (insert or replace by kind and object)."""

    def delete_intent(self, kind: str, object_id: str) -> None:
        """The work is finished or undone."""

    def set_meta(self, key: str, value: str) -> None:
        """Set a small value."""


class Store(Protocol):
    """A backend."""

    def read(self) -> AbstractContextManager[Reader]:
        """Open a snapshot; never blocks on a writer."""

    def write(self) -> AbstractContextManager[Transaction]:
        """Open a transaction; waits for other writers (bounded), commits at the end, rolls back on an exception."""

    def stamp(self) -> object:
        """What differs once anything has been written since; cheap."""
