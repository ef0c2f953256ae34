"""Which published ports need the forwarder, from the store's records alone; opens nothing.

The kernel never routes ``::1`` off the loopback interface, and does not translate between families. So the agent itself
must listen on the host for (1) ``::`` and IPv6 addresses published for an endpoint that has IPv4 only, and (2) ``::1``
published for an endpoint with IPv6.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv6Address, ip_address, ip_interface
from typing import NamedTuple

from engine.model import EndpointRecord, NetworkRecord, PortRecord

PROTOCOLS = ("tcp", "udp")
GATEWAY_MODES = tuple(f"com.docker.network.bridge.gateway_mode_ipv{version}" for version in (4, 6))

Target = tuple[str, int]
"""Address and port in the sandbox."""


class Listen(NamedTuple):
    """Where the host listens: ``protocol`` is tcp or udp, ``address`` an IPv6 one."""

    protocol: str
    address: str
    port: int


def forwards(networks: Iterable[NetworkRecord], endpoints: Iterable[EndpointRecord]) -> Iterator[tuple[Listen, Target]]:
    """All ports of a host that need the forwarder, one by one, lazily."""
    translating = {n.id for n in networks if not n.internal and translates(n)}
    for endpoint in endpoints:
        if endpoint.phase == "live" and endpoint.network_id in translating:
            yield from forwards_of(endpoint)


def translates(network: NetworkRecord) -> bool:
    """Whether ports of a network are published by translation; a routed or isolated one's are not on the host."""
    options = network.options or {}
    return all(options.get(key, "nat").startswith("nat") for key in GATEWAY_MODES)


def forwards_of(endpoint: EndpointRecord) -> Iterator[tuple[Listen, Target]]:
    """The ports of one endpoint that need the forwarder."""
    for ports in endpoint.ports:
        address = _listen_address(ports, bool(endpoint.ipv6))
        inside = endpoint.ipv6 or endpoint.ipv4
        if address and inside and ports.protocol in PROTOCOLS:
            target = str(ip_interface(inside).ip)
            for offset in range(ports.host_port_end - ports.host_port + 1):
                yield Listen(ports.protocol, address, ports.host_port + offset), (target, ports.port + offset)


def _listen_address(ports: PortRecord, has_ipv6: bool) -> str:
    """The address to listen on, "" where address translation does it all."""
    address = ip_address(ports.host_ip)
    if not isinstance(address, IPv6Address):
        return ""
    if not has_ipv6:
        return str(address)
    return "::1" if address.is_unspecified or address.is_loopback else ""
