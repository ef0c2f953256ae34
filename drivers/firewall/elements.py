"""The elements of the sets in ``ruleset.nft`` that represent networks, endpoints and published ports.

No function of this module calls the kernel, so a repair can compute the required elements without kernel access.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from msgspec import Struct

from drivers.bridge_options import BridgeOptions
from drivers.firewall.proxied_ports import proxied_prefixes
from drivers.model import EndpointSpec, IPAddress, NetworkSpec, Pool, PortBinding
from drivers.port_ranges import merged, range_text

EVERYWHERE = {4: "0.0.0.0/0", 6: "::/0"}
ICMP = {4: "icmp", 6: "ipv6-icmp"}


class Element(NamedTuple):
    """One element of a set or map, as text in nftables' syntax.

    ``set`` is the name of the set or map. ``value`` is the value that a map gives to the key, or "" in sets.
    """

    set: str
    key: str
    value: str = ""


def name(interface: str) -> str:
    """Return an interface's name in double quotes, as nftables needs it.

    The name contains no quotes, because hawse refuses such names earlier.
    """
    return f'"{interface}"'


def of_network(network: NetworkSpec, options: BridgeOptions) -> Iterator[Element]:
    """Yield the set elements for a network, without the elements for the network's endpoints."""
    bridge = name(options.bridge)
    yield Element("bridges", bridge)
    yield Element("same_bridge", f"{bridge} . {bridge}", "accept" if options.icc else "goto no_icc")
    if network.internal:
        yield Element("internal", bridge)
    elif options.trusted:
        yield from (Element("trusted", f"{name(interface)} . {bridge}") for interface in options.trusted)
    for pool in network.pools:
        version = pool.subnet.version
        yield from (Element(f"members{version}", f"{addresses} . {bridge}") for addresses in _members(pool, options))
        yield Element(f"subnets{version}", f"{pool.subnet} . ipv{version}")
        if not network.internal:
            yield from _outward(pool, bridge, options)
            yield from _inward(version, bridge, options)


def _members(pool: Pool, options: BridgeOptions) -> Iterator[str]:
    """Yield the addresses that containers may have in the subnet of ``pool``, in nftables' syntax.

    These are all addresses of the subnet except the host's own address on the bridge. Each item is a range, a single
    address, or the whole subnet. There are at most two items.
    """
    if pool.gateway is None or not options.host_has_address(pool.subnet.version):
        yield str(pool.subnet)
        return
    first, own, last = int(pool.subnet[0]), int(pool.gateway), int(pool.subnet[-1])
    kind = type(pool.subnet[0])
    for low, high in ((first, own - 1), (own + 1, last)):
        if low <= high:
            yield str(kind(low)) if low == high else f"{kind(low)}-{kind(high)}"


def of_siblings(options: BridgeOptions, addresses: Iterable[IPAddress]) -> list[Element]:
    """Return the set elements that let a container send packets on one network from its addresses on other networks.

    ``options`` are those of the network that the packets are sent on. ``addresses`` are the container's addresses on
    the other networks.
    """
    bridge = name(options.bridge)
    return [Element(f"siblings{address.version}", f"{address} . {bridge}") for address in addresses]


def of_ports(
    network: NetworkSpec,
    options: BridgeOptions,
    endpoint: EndpointSpec,
    ports: Iterable[PortBinding],
    *,
    direct: bool = False,
) -> Iterator[Element]:
    """Yield the elements of nftables sets that make an endpoint's published ports reachable.

    DNAT serves most ports. It cannot serve a binding on ::1. It also cannot serve an IPv6 binding of an endpoint
    without IPv6. For such a binding, the elements redirect TCP and UDP ports to the agent's proxy.

    In the gateway mode "nat", a port that is published on all addresses is also open at the container's own address.
    With ``direct``, this is also true for a port that is published on one host address, except a loopback address.

    ``ports`` must be all ports of the endpoint. Ranges with common container ports have one common element, because the
    kernel refuses overlapping intervals in one set.
    """
    routes: dict[tuple[str, IPAddress], _Route] = {}
    allowed: list[tuple[tuple[str, str], int, int]] = []
    for binding in ports:
        kind = binding.protocol, binding.host_ip
        if kind not in routes:
            routes[kind] = _route(network, options, endpoint, *kind, direct=direct)
        yield from _by(routes[kind], binding)
        allowed += _allowed(routes[kind], binding)
    for (set_name, target), first, last in merged(allowed):
        yield Element(set_name, f"{target} . {range_text(first, last)}")


def is_open_at_own_address(
    network: NetworkSpec,
    options: BridgeOptions,
    endpoint: EndpointSpec,
    binding: PortBinding,
    *,
    direct: bool,
    trusted: bool,
) -> bool:
    """Return whether other machines reach a published port at the container's own address too.

    ``direct`` is True if the host allows this also for ports that are published on one host address (see `of_ports`).
    ``trusted`` is True if the machines are behind an interface in the network's option trusted_host_interfaces. The
    caller does not use this function for the gateway mode "nat-unprotected", in which every port is open.
    """
    route = _route(network, options, endpoint, binding.protocol, binding.host_ip, direct=direct)
    return bool(route.opened or (trusted and route.bound))


class _Route(Struct, frozen=True):
    """How packets to the published ports of one protocol on one host address reach an endpoint.

    - ``host``: the host address
    - ``carried``: the agent proxies packets with a destination in these IPv6 prefixes. Empty if the agent proxies none
      of the ports.
    - ``rewritten``: DNAT changes the destination to this address of the endpoint. "" if there is no DNAT.
    - ``opened``: all machines may send packets to this address of the endpoint (by routing, without DNAT). "" if they
      may not.
    - ``bound``: only machines behind the interfaces of the option trusted_host_interfaces may send packets to this
      address of the endpoint. "" in all other cases.

    At most one of ``opened`` and ``bound`` has an address.
    """

    host: IPAddress
    carried: tuple[str, ...] = ()
    rewritten: str = ""
    opened: str = ""
    bound: str = ""


def _route(
    network: NetworkSpec,
    options: BridgeOptions,
    endpoint: EndpointSpec,
    protocol: str,
    host: IPAddress,
    *,
    direct: bool,
) -> _Route:
    if network.internal:
        return _Route(host)
    carried = _proxied(options, endpoint, protocol, host)
    target = endpoint.ipv4 if host.version == 4 else endpoint.ipv6
    mode = options.mode(host.version)
    if target is None or mode == "isolated":
        return _Route(host, carried)
    address = str(target.ip)
    # Without ``direct``, a port that is published on one host address is not opened at the container's own address,
    # because only clients that can reach the host address may use the port. Networks in routed mode use no host
    # address. A port on a loopback address stays closed in every mode: the user wants no other machine to reach it.
    unrestricted = mode == "routed" or (mode == "nat" and (host.is_unspecified or direct))
    everywhere = unrestricted and not host.is_loopback
    trusting = mode == "nat" and bool(options.trusted) and not host.is_loopback
    return _Route(
        host,
        carried,
        rewritten="" if mode == "routed" or (host.version == 6 and host.is_loopback) else address,
        opened=address if everywhere else "",
        bound=address if trusting and not everywhere else "",
    )


def _proxied(options: BridgeOptions, endpoint: EndpointSpec, protocol: str, host: IPAddress) -> tuple[str, ...]:
    versions = (6,) if endpoint.ipv6 else (4, 6)
    if not all(options.mode(v).startswith("nat") for v in versions):
        return ()
    prefixes = proxied_prefixes(protocol, host, has_ipv6=endpoint.ipv6 is not None)
    return tuple(str(prefix[0] if prefix.num_addresses == 1 else prefix) for prefix in prefixes)


def _by(route: _Route, binding: PortBinding) -> Iterator[Element]:
    """Yield the set elements that forward packets for the host ports of ``binding`` to the endpoint.

    ``route`` says how: by DNAT, by the agent's proxy, or by both (for different destination addresses). If ``route``
    has neither, nothing is yielded.
    """
    for prefix in route.carried:
        yield _relaying(prefix, binding)
    if route.rewritten:
        yield from _dnat_target(route.host, route.rewritten, binding)


def _allowed(route: _Route, binding: PortBinding) -> Iterator[tuple[tuple[str, str], int, int]]:
    """Yield the container ports of ``binding`` that other machines may reach at the container's own address.

    Each item is ((set name, "address . protocol"), first port, last port), with the last port included. The nftables
    set of this name needs an element for these ports. If ``route`` has neither ``opened`` nor ``bound``, nothing is
    yielded.
    """
    kind = "open" if binding.port == binding.port_end else "open_range"
    for set_name, address in ((kind, route.opened), ("bound", route.bound)):
        if address:
            target = f"{address} . {binding.protocol}"
            yield (f"{set_name}{route.host.version}", target), binding.port, binding.port_end


def of_link(source: EndpointSpec, target: EndpointSpec) -> Iterator[Element]:
    """Yield the set elements of a legacy link, which lets ``source`` reach the exposed ports of ``target``."""
    for set_name, addresses in _linked(source, target):
        for protocol, first, last in target.exposed:
            yield Element(set_name, f"{addresses}{protocol} . {range_text(first, last)}")


def between(source: EndpointSpec, target: EndpointSpec, present: Iterable[Element]) -> list[Element]:
    """Return the elements among ``present`` that allow ``source`` to reach ``target`` by a legacy link."""
    linked = _linked(source, target)
    return [e for e in present if any(e.set == name and e.key.startswith(addresses) for name, addresses in linked)]


def _linked(source: EndpointSpec, target: EndpointSpec) -> list[tuple[str, str]]:
    """Return (set name, "address . address . ") for each IP version that both endpoints of a legacy link have.

    The second value is the start of each key that the link needs in this set.
    """
    pairs = ((source.ipv4, target.ipv4), (source.ipv6, target.ipv6))
    return [(f"linked{s.version}", f"{s.ip} . {t.ip} . ") for s, t in pairs if s is not None and t is not None]


def _outward(pool: Pool, bridge: str, options: BridgeOptions) -> Iterator[Element]:
    version = pool.subnet.version
    if not options.masquerades(version):
        return
    if pool.gateway is not None and options.host_has_address(version):
        yield Element(f"gateways{version}", str(pool.gateway.ip))
    source = options.source(version)
    if source is None:
        yield Element("masqueraded", f"{bridge} . ipv{version}")
    else:
        yield Element(f"source{version}", bridge, str(source))


def _inward(version: int, bridge: str, options: BridgeOptions) -> Iterator[Element]:
    if options.mode(version) == "nat-unprotected":
        yield Element("unprotected", f"{bridge} . ipv{version}")
    if options.mode(version) == "routed":
        yield Element("pingable", f"{bridge} . {ICMP[version]}")


def _dnat_target(host: IPAddress, target: str, binding: PortBinding) -> Iterator[Element]:
    version = host.version
    if binding.host_port == binding.port and binding.host_port != binding.host_port_end:
        where = EVERYWHERE[version] if host.is_unspecified else str(host)
        ports = f"{binding.host_port}-{binding.host_port_end}"
        yield Element(f"range{version}", f"{where} . {binding.protocol} . {ports}", target)
        return
    name, address = (f"any{version}", "") if host.is_unspecified else (f"exact{version}", f"{host} . ")
    for offset in range(binding.host_port_end - binding.host_port + 1):
        key = f"{address}{binding.protocol} . {binding.host_port + offset}"
        yield Element(name, key, f"{target} . {binding.port + offset}")


def _relaying(prefix: str, binding: PortBinding) -> Element:
    ports = f"{binding.protocol} . {range_text(binding.host_port, binding.host_port_end)}"
    if prefix == EVERYWHERE[6] and binding.host_port == binding.host_port_end:
        return Element("relayed_any", ports)  # a change is 100 times faster than in "relayed", a set with intervals
    return Element("relayed", f"{prefix} . {ports}")
