"""List the host ports that the agent holds, so that no other program can bind them. All functions are pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from engine.model import EndpointRecord, NetworkRecord
from engine.ports.proxied import is_translated, publishing

PROTOCOLS = ("tcp", "udp")
RANGE_LIMIT = 1000
"""Maximum number of host ports of one published range that are held. No port of a longer range is held."""


class HostPort(NamedTuple):
    """A host port to hold: ``protocol`` is tcp or udp, and ``address`` may be a wildcard."""

    protocol: str
    address: str
    port: int


def held_ports(networks: Iterable[NetworkRecord], endpoints: Iterable[EndpointRecord]) -> Iterator[HostPort]:
    """Yield the host ports that are published on this host now.

    Networks whose gateway mode is routed or isolated publish no port on the host.
    """
    for network, endpoint in publishing(networks, endpoints):
        yield from _of(network, endpoint)


def _of(network: NetworkRecord, endpoint: EndpointRecord) -> Iterator[HostPort]:
    for record in endpoint.ports:
        ports = range(record.host_port, record.host_port_end + 1)
        version = 6 if ":" in record.host_ip else 4
        if record.protocol not in PROTOCOLS or len(ports) > RANGE_LIMIT:
            continue
        if is_translated(network, version, has_ipv6=bool(endpoint.ipv6)):
            yield from (HostPort(record.protocol, record.host_ip, port) for port in ports)
