"""What networks, endpoints and published ports are in the firewall: elements of the sets in ``ruleset.nft``.

Pure: values in, elements out. Nothing here talks to the kernel, so repair can compute what ought to be there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from drivers.api import EndpointSpec, IPAddress, NetworkSpec, PortBinding
from drivers.bridge_options import BridgeOptions
from drivers.firewall.relayed import relayed_places

EVERYWHERE = {4: "0.0.0.0/0", 6: "::/0"}
ICMP = {4: "icmp", 6: "ipv6-icmp"}


@dataclass(frozen=True, slots=True, order=True)
class Element:
    """One element; ``value`` is "" in sets and the mapped data in maps."""

    set: str
    key: str
    value: str = ""


def name(interface: str) -> str:
    """An interface's name as nftables writes it (names with quotes are refused beforehand)."""
    return f'"{interface}"'


def of_network(network: NetworkSpec, options: BridgeOptions) -> Iterator[Element]:
    """The elements of a network without its endpoints."""
    bridge = name(options.bridge)
    yield Element("bridges", bridge)
    yield Element("same_bridge", f"{bridge} . {bridge}", "accept" if options.icc else "goto no_icc")
    if network.internal:
        yield Element("internal", bridge)
    for pool in network.pools:
        version = pool.subnet.version
        yield Element(f"members{version}", f"{pool.subnet} . {bridge}")
        if not network.internal:
            yield from _way_out(version, bridge, options)
            yield from _way_in(version, bridge, options)


def of_ports(
    network: NetworkSpec, options: BridgeOptions, endpoint: EndpointSpec, ports: Iterable[PortBinding]
) -> Iterator[Element]:
    """The elements of published ports.

    A binding whose family the endpoint lacks, and ::1, can't be served by rewriting packets: these lead to the agent.
    """
    for binding in ports:
        yield from _relaying(network, options, endpoint, binding)
        version = binding.host_ip.version
        target = endpoint.ipv4 if version == 4 else endpoint.ipv6
        mode = options.mode(version)
        if target is None or network.internal or mode == "isolated":
            continue
        if mode != "routed" and not _is_v6_loopback(binding.host_ip):
            yield from _rewriting(binding, target.ip)
        if mode == "routed" or (mode == "nat" and not binding.host_ip.is_loopback):
            yield from _opening(binding, target.ip)


def of_link(source: EndpointSpec, target: EndpointSpec) -> Iterator[Element]:
    """The elements that let ``source`` reach the exposed ports of ``target``."""
    for client, server in ((source.ipv4, target.ipv4), (source.ipv6, target.ipv6)):
        if client is not None and server is not None:
            for protocol, first, last in target.exposed:
                where = f"{client.ip} . {server.ip} . {protocol} . {_span(first, last)}"
                yield Element(f"linked{client.version}", where)


def between(source: EndpointSpec, target: EndpointSpec, present: Iterable[Element]) -> list[Element]:
    """Those of the elements there are that let ``source`` reach ``target``."""
    pairs = [(s.ip, t.ip) for s, t in ((source.ipv4, target.ipv4), (source.ipv6, target.ipv6)) if s and t]
    starts = tuple((f"linked{client.version}", f"{client} . {server} . ") for client, server in pairs)
    return [e for e in present if any(e.set == name and e.key.startswith(start) for name, start in starts)]


def _way_out(version: int, bridge: str, options: BridgeOptions) -> Iterator[Element]:
    if not options.masquerade or options.mode(version) in ("routed", "isolated"):
        return
    source = options.source(version)
    if source is None:
        yield Element("masqueraded", f"{bridge} . ipv{version}")
    else:
        yield Element(f"source{version}", bridge, str(source))


def _way_in(version: int, bridge: str, options: BridgeOptions) -> Iterator[Element]:
    if options.mode(version) == "nat-unprotected":
        yield Element("unprotected", f"{bridge} . ipv{version}")
    if options.mode(version) == "routed":
        yield Element("pingable", f"{bridge} . {ICMP[version]}")


def _rewriting(binding: PortBinding, target: IPAddress) -> Iterator[Element]:
    version, host = target.version, binding.host_ip
    if binding.host_port == binding.port and binding.host_port != binding.host_port_end:
        where = EVERYWHERE[version] if host.is_unspecified else str(host)
        ports = f"{binding.host_port}-{binding.host_port_end}"
        yield Element(f"range{version}", f"{where} . {binding.protocol} . {ports}", str(target))
        return
    for offset in range(binding.host_port_end - binding.host_port + 1):
        key = f"{binding.protocol} . {binding.host_port + offset}"
        # A binding of a host range to one container port keeps that port.
        value = f"{target} . {min(binding.port + offset, binding.port_end)}"
        if host.is_unspecified:
            yield Element(f"any{version}", key, value)
        else:
            yield Element(f"exact{version}", f"{host} . {key}", value)


def _relaying(
    network: NetworkSpec, options: BridgeOptions, endpoint: EndpointSpec, binding: PortBinding
) -> Iterator[Element]:
    versions = (6,) if endpoint.ipv6 else (4, 6)
    if network.internal or not all(options.mode(v).startswith("nat") for v in versions):
        return
    ports = _span(binding.host_port, binding.host_port_end)
    for place in relayed_places(binding.protocol, binding.host_ip, has_ipv6=endpoint.ipv6 is not None):
        where = place[0] if place.num_addresses == 1 else place
        yield Element("relayed", f"{where} . {binding.protocol} . {ports}")


def _opening(binding: PortBinding, target: IPAddress) -> Iterator[Element]:
    kind = "open" if binding.port == binding.port_end else "open_range"
    where = f"{target} . {binding.protocol} . {_span(binding.port, binding.port_end)}"
    yield Element(f"{kind}{target.version}", where)


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _is_v6_loopback(address: IPAddress) -> bool:
    return address.version == 6 and address.is_loopback
