"""Which published ports the agent carries, and where to, from the store's records alone; opens nothing.

A range stays one interval, so that ten thousand ports are kept and looked up like one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from ipaddress import IPv6Address, IPv6Network, ip_address, ip_interface
from typing import NamedTuple

from drivers.firewall.proxied_ports import prefixes_of, proxied_prefixes
from engine.model import EndpointRecord, NetworkRecord

GATEWAY_MODES = {version: f"com.docker.network.bridge.gateway_mode_ipv{version}" for version in (4, 6)}

Target = tuple[str, int]
"""Address and port in the sandbox."""


class Origin(NamedTuple):
    """Where a client wrote to: ``protocol`` is tcp or udp."""

    protocol: str
    address: IPv6Address
    port: int


class Forward(NamedTuple):
    """Host ports ``first`` to ``last`` of addresses, to ports from ``port`` on, at most ``port_end``."""

    protocol: str
    place: IPv6Network
    first: int
    last: int
    target: str
    port: int
    port_end: int

    def target_of(self, port: int) -> Target:
        """Where one of the host ports leads; a host range bound to one container port keeps that port."""
        return self.target, min(self.port + port - self.first, self.port_end)


class Forwards:
    """Look-up of host ports."""

    def __init__(self, items: Iterable[Forward] = ()) -> None:
        self._held: defaultdict[tuple[str, IPv6Network], list[Forward]] = defaultdict(list)
        for item in sorted(items):
            self._held[item.protocol, item.place].append(item)

    def target(self, origin: Origin) -> Target | None:
        """Where a port leads: of that very address, else of all of its kind."""
        for place in prefixes_of(origin.address):
            found = self._held.get((origin.protocol, place), [])
            index = bisect_right(found, origin.port, key=lambda item: item.first) - 1
            if index >= 0 and origin.port <= found[index].last:
                return found[index].target_of(origin.port)
        return None

    def protocols(self) -> set[str]:
        """The protocols that have any port."""
        return {protocol for protocol, _ in self._held}


def forwards(networks: Iterable[NetworkRecord], endpoints: Iterable[EndpointRecord]) -> Iterator[Forward]:
    """All ranges of a host that the agent carries, lazily."""
    by_id = {n.id: n for n in networks if not n.internal}
    for endpoint in endpoints:
        network = by_id.get(endpoint.network_id)
        if endpoint.ports and endpoint.phase == "live" and network and translates(network, bool(endpoint.ipv6)):
            yield from forwards_of(endpoint)


def translates(network: NetworkRecord, has_ipv6: bool) -> bool:
    """Whether IPv6 ports of a network's endpoint are on the host; a routed or isolated network's are not."""
    options = network.options or {}
    versions = (6,) if has_ipv6 else (4, 6)
    return all(options.get(GATEWAY_MODES[version], "nat").startswith("nat") for version in versions)


def forwards_of(endpoint: EndpointRecord) -> Iterator[Forward]:
    """The ranges of one endpoint that the agent carries."""
    inside = endpoint.ipv6 or endpoint.ipv4
    if not inside:
        return
    target, has_ipv6 = str(ip_interface(inside).ip), bool(endpoint.ipv6)
    kinds = {(ports.protocol, ports.host_ip) for ports in endpoint.ports}  # few, however many ports there are
    places = {kind: proxied_prefixes(kind[0], ip_address(kind[1]), has_ipv6=has_ipv6) for kind in kinds}
    for ports in endpoint.ports:
        for place in places[ports.protocol, ports.host_ip]:
            yield Forward(
                ports.protocol, place, ports.host_port, ports.host_port_end, target, ports.port, ports.port_end
            )
