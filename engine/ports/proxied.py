"""Find the published ports that the agent forwards to containers, and the published ports that it holds.

The agent is hawse's background process. To hold a host port means to bind a socket to it, so that no other program can
use the port. This module only reads the records of the local store, and opens no socket. A port range stays one
interval, so that ten thousand ports take as much time as one port.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv6Address, IPv6Network, ip_address, ip_interface
from typing import NamedTuple

from drivers.firewall.proxied_ports import prefixes_of, proxied_prefixes
from engine.model import EndpointRecord, NetworkRecord
from engine.ports.allocation import family, is_translated

PROTOCOLS = ("tcp", "udp")
"""The protocols of the host ports that are held."""
RANGE_LIMIT = 1000
"""Maximum number of host ports of one published range that are held. No port of a longer range is held."""

Target = tuple[str, int]
"""The address and port in the sandbox to which a host port is forwarded."""


class Origin(NamedTuple):
    """The original destination of a client's packets, before the firewall redirects them to the agent.

    It consists of host address, port and protocol. ``protocol`` is tcp or udp.
    """

    protocol: str
    address: IPv6Address
    port: int


class ProxiedPort(NamedTuple):
    """A range of host ports that the agent forwards to a container.

    - ``prefix``: the host addresses; always IPv6, because the agent forwards no packets to IPv4 host addresses
    - ``first`` and ``last``: the host ports, both included
    - ``target``: the container's IPv4 or IPv6 address
    - ``port``: the container port for the host port ``first``; the next host ports lead to the next container ports
    """

    protocol: str
    prefix: IPv6Network
    first: int
    last: int
    target: str
    port: int

    def target_of(self, port: int) -> Target:
        """Return the container's address and port to which the host port ``port`` is forwarded."""
        return self.target, self.port + port - self.first


class Forwards:
    """A look-up table that maps forwarded host ports to their targets."""

    def __init__(self, items: Iterable[ProxiedPort] = ()) -> None:
        self._held: defaultdict[tuple[str, IPv6Network], list[ProxiedPort]] = defaultdict(list)
        for item in items:
            self._held[item.protocol, item.prefix].append(item)
        for spans in self._held.values():
            spans.sort(key=lambda item: item.first)

    def target(self, origin: Origin) -> Target | None:
        """Return the target of the host port ``origin``, or None if the agent does not forward this port.

        An entry for the exact address takes precedence over an entry for a prefix that contains the address.
        """
        for prefix in prefixes_of(origin.address):
            spans = self._held.get((origin.protocol, prefix), [])
            index = bisect_right(spans, origin.port, key=lambda item: item.first) - 1
            if index >= 0 and origin.port <= spans[index].last:
                return spans[index].target_of(origin.port)
        return None

    def protocols(self) -> set[str]:
        """Return the protocols that have at least one forwarded port."""
        return {protocol for protocol, _ in self._held}


def publishing(
    networks: Iterable[NetworkRecord], endpoints: Iterable[EndpointRecord]
) -> Iterator[tuple[EndpointRecord, NetworkRecord]]:
    """Yield each endpoint for which the agent may have to forward published ports, with the endpoint's network.

    Such an endpoint has published ports, and is in a sandbox (phase ``live``). Its network is not internal.
    """
    by_id = {network.id: network for network in networks if not network.internal}
    for endpoint in endpoints:
        network = by_id.get(endpoint.network_id)
        if endpoint.ports and endpoint.phase == "live" and network is not None:
            yield endpoint, network


def forwards_of(endpoint: EndpointRecord, network: NetworkRecord) -> Sequence[ProxiedPort]:
    """Return the published host port ranges of one endpoint that the agent forwards; () if it forwards none."""
    inside = endpoint.ipv6 or endpoint.ipv4
    if not inside or not is_translated(network, 6, has_ipv6=bool(endpoint.ipv6)):
        return ()
    target, has_ipv6 = str(ip_interface(inside).ip), bool(endpoint.ipv6)
    kinds = {(ports.protocol, ports.host_ip) for ports in endpoint.ports}  # this set is small even for many ports
    prefixes = {kind: proxied_prefixes(kind[0], ip_address(kind[1]), has_ipv6=has_ipv6) for kind in kinds}
    return [
        ProxiedPort(ports.protocol, prefix, ports.host_port, ports.host_port_end, target, ports.port)
        for ports in endpoint.ports
        for prefix in prefixes[ports.protocol, ports.host_ip]
    ]


class HostPort(NamedTuple):
    """A host port to which the agent binds a socket, so that no other program can use the port.

    ``protocol`` is tcp or udp. ``address`` is a host address, or a wildcard (0.0.0.0 or ::).
    """

    protocol: str
    address: str
    port: int


def held_ports(endpoint: EndpointRecord, network: NetworkRecord) -> Sequence[HostPort]:
    """Return the published host ports of one endpoint that the agent holds with bound sockets.

    Ranges of more than `RANGE_LIMIT` ports are left out. A network with the gateway mode routed or isolated publishes
    no port on the host.
    """
    held: list[HostPort] = []
    for record in endpoint.ports:
        ports = range(record.host_port, record.host_port_end + 1)
        if not record.host_port or record.protocol not in PROTOCOLS or len(ports) > RANGE_LIMIT:
            continue
        if is_translated(network, family(record.host_ip), has_ipv6=bool(endpoint.ipv6)):
            held += [HostPort(record.protocol, record.host_ip, port) for port in ports]
    return held
