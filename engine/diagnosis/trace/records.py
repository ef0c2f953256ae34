"""The store's records at the start of a trace, and `Place`: a network namespace in which packets start or end."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_interface, ip_network
from typing import TypeVar

from drivers.linux import netns
from drivers.model import IPAddress
from drivers.registry import facts
from engine.containers import lookup
from engine.endpoints.sandbox import JoinedEndpoint
from engine.model import ContainerRecord, EndpointRecord, NetworkRecord
from engine.store.api import Reader

T = TypeVar("T")


@dataclass(frozen=True)  # not a Struct, because a Struct would also hash ``record``, which cannot be hashed
class Place:
    """A network namespace in which packets start or end.

    ``kind`` is one of:

    - ``container``
    - ``host``
    - ``netns``: a namespace that is on no network of hawse
    - ``outside``: an external machine
    - ``network``: the namespace of an overlay network

    ``netns_path`` is the file that opens the namespace; "" means the host's namespace. ``inode`` is the namespace's
    inode number, or 0 if it is unknown. ``record`` is the container's record, or None if the place is no container.
    ``interface`` is set only for ``outside``: packets from outside arrive at this interface of the host.
    """

    kind: str
    name: str
    netns_path: str = ""
    inode: int = 0
    record: ContainerRecord | None = field(default=None, compare=False)
    interface: str = ""

    def inside(self, action: Callable[[], T]) -> T:
        """Call ``action`` in the place's network namespace and return its result.

        Raises `Missing` if the namespace no longer exists.
        """
        return netns.run_in_netns(self.netns_path, action, self.inode) if self.netns_path else action()

    def command(self, text: str) -> str:
        """Return the shell command ``text`` as a user must type it on the host, so that it runs in this place."""
        return f"nsenter --net={shlex.quote(self.netns_path)} {text}" if self.netns_path else text

    def __str__(self) -> str:
        if self.kind == "host":
            return "host"
        return f"{'namespace of network' if self.kind == 'network' else self.kind} {self.name}"


HOST = Place("host", "host")
OUTSIDE = "outside"
KNOWN_ADDRESSES = "use an address of this host (ip -brief address) or of a container (hawse ps)"
"""The remedy for an address that neither this host nor a container has."""


class Records:
    """The networks, containers and endpoints, as they were when the trace began.

    `OverlaySide.learn` adds the endpoints of other hosts. ``direct_routing`` is the value of ``allow-direct-routing``
    in daemon.json.
    """

    def __init__(self, reader: Reader, *, direct_routing: bool = False) -> None:
        self.direct_routing = direct_routing
        self.networks = {n.id: n for n in reader.networks() if not n.config_only}
        self.containers = {c.id: c for c in reader.containers()}
        self._owners = {c.id: lookup.sandbox_owner(reader, c) for c in self.containers.values()}
        # The addresses of endpoints on dead cluster hosts. A host with an expired lease counts as dead.
        self.expired_addresses: set[IPAddress] = set()
        self.endpoints = [
            e for e in reader.endpoints() if e.phase in ("live", "reserved") and e.network_id in self.networks
        ]

    def members(self, container: ContainerRecord) -> list[JoinedEndpoint]:
        """Return all endpoints of the sandbox that a container uses."""
        owner = self.owner(container).id
        return [self.joined(e) for e in self.endpoints if e.container_id == owner]

    def owner(self, container: ContainerRecord) -> ContainerRecord:
        """Return the container that owns the sandbox of ``container``, usually ``container`` itself."""
        return self._owners.get(container.id) or container

    def joined(self, endpoint: EndpointRecord) -> JoinedEndpoint:
        """Return an endpoint with its network."""
        return JoinedEndpoint(self.networks[endpoint.network_id], endpoint)

    def at(self, address: IPAddress) -> list[JoinedEndpoint]:
        """Return the endpoints that have the address ``address``."""
        return [self.joined(e) for e in self.endpoints if address in addresses(e)]

    def of_subnet(self, address: IPAddress) -> list[NetworkRecord]:
        """Return the networks with a subnet that contains this address.

        Networks of drivers such as macvlan and ipvlan are left out, because other machines also have addresses in their
        subnets.
        """
        pools = ((n, p) for n in self.networks.values() for p in n.pools if not p.unused)
        return [n for n, p in pools if address in ip_network(p.subnet) and facts(n.driver).owns_subnets]

    def container_of(self, member: JoinedEndpoint) -> ContainerRecord | None:
        """Return the container of an endpoint, or None if the container is on another host."""
        return self.containers.get(member.endpoint.container_id)

    def name_of(self, member: JoinedEndpoint) -> str:
        """Return the name of an endpoint's container, or the endpoint's short id if another host runs the container."""
        container = self.container_of(member)
        return container.name if container else member.endpoint.id[:12]


def addresses(endpoint: EndpointRecord) -> list[IPAddress]:
    """Return the addresses of an endpoint, IPv4 first."""
    return [ip_interface(text).ip for text in (endpoint.ipv4, endpoint.ipv6, *endpoint.link_local) if text]


def address_of(endpoint: EndpointRecord, version: int) -> IPAddress | None:
    """Return the endpoint's IPv4 address (``version`` 4) or IPv6 address (6), or None if it has none."""
    return next((a for a in addresses(endpoint) if a.version == version), None)
