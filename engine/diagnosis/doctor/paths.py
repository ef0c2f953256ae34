"""Checks for changes by other programs that block the path to a container: routes, addresses, neighbours, MACs, MTUs.

No record describes these objects. The agent does not repair them, because hawse did not make them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from ipaddress import ip_address

from msgspec import Struct

from drivers import bridge_options
from drivers.errors import DriverError
from drivers.linux import features, path_lookup, sysctl
from drivers.linux import obstacles as linux_obstacles
from drivers.linux.features import Interface
from drivers.linux.host import interface_addresses
from drivers.linux.path_lookup import Neighbour
from drivers.model import IPAddress
from drivers.registry import facts
from engine.api import Check
from engine.diagnosis.doctor import obstacles
from engine.diagnosis.doctor.checks import Examined, fault, ok, warning
from engine.diagnosis.trace.records import HOST, Place
from engine.host import addresses_of, network_spec
from engine.model import ContainerRecord, EndpointRecord, NetworkRecord
from engine.ports.allocation import is_translated


class Joined(Struct, frozen=True):
    """A running container's endpoint. Neither the container nor the network differs from its record.

    ``bridge`` is None if the network is not a bridge network.
    """

    container: ContainerRecord
    endpoint: EndpointRecord
    network: NetworkRecord
    bridge: Interface | None

    @property
    def name(self) -> str:
        """The text that names the container in a finding, such as ``container web``."""
        return f"container {self.container.name}"

    @property
    def place(self) -> Place:
        """The container's network namespace."""
        return Place("container", self.container.name, self.container.sandbox_path, self.container.sandbox_inode)

    @property
    def addresses(self) -> Sequence[IPAddress]:
        """The endpoint's addresses."""
        return addresses_of([self.endpoint])

    @property
    def gateways(self) -> list[IPAddress]:
        """The endpoint's gateways."""
        return [ip_address(text) for text in (self.endpoint.gateway4, self.endpoint.gateway6) if text]

    @property
    def addresses_on_bridge(self) -> list[IPAddress]:
        """The endpoint's addresses that are in a subnet of the bridge's addresses.

        The result is empty for an isolated network, whose bridge has no address.
        """
        subnets = [held.network for held in self.bridge.addresses] if self.bridge is not None else []
        return [address for address in self.addresses if any(address in subnet for subnet in subnets)]


Holders = Mapping[tuple[str, IPAddress], Joined]
"""The endpoint that has an address, by the network's id and the address."""


def check(examined: Examined) -> Iterator[Check]:
    """Yield a finding for each obstacle on the way to a container, or one result `OK` if there is no obstacle.

    Containers and networks that differ from their records are not checked. Yields nothing if no endpoint is left to
    check.
    """
    interfaces = features.interfaces()
    joined = list(joined_endpoints(examined, interfaces))
    holders: Holders = {(j.network.id, address): j for j in joined for address in j.addresses}
    ports = {interface.endpoint_id: interface for interface in interfaces.values() if interface.endpoint_id}
    hindered = linux_obstacles.everywhere() if joined else {}
    routed = [member for member in joined if member.bridge is not None and not member.network.internal]
    versions = sorted({address.version for member in routed for address in member.addresses})
    findings = [*obstacles.towards_outside(hindered, versions), *obstacles.loopback("host")] if joined else []
    static = path_lookup.static_ports_of_bridges() if joined else {}
    for bridge, members in by_bridge(joined).items():
        findings += _on_host(bridge, members)
        findings += _static_entries(bridge, members, static.get(bridge, {}), ports)
    held = {address for _, address in interface_addresses()} if joined else set()
    for member in joined:
        findings += _published(member, held)
        port = ports.get(member.endpoint.id)
        findings += _inside(member, holders, port)
        findings += obstacles.at(member.name, port.name, hindered.get(port.name, ())) if port is not None else ()
    if joined and not findings:
        yield ok("paths", "routes, neighbour entries, MACs and MTUs lead to all containers")
    yield from findings


def _published(member: Joined, held: Collection[IPAddress]) -> Iterator[Check]:
    """Yield a warning for each address that the host has lost, and on which a container publishes a port.

    ``held`` are the host's addresses. If the sysctl ip_nonlocal_bind is on, there is no warning, because several hosts
    may then share an address in turn (VRRP).
    """
    has_ipv6 = bool(member.endpoint.ipv6)
    for address in {ip_address(port.host_ip) for port in member.endpoint.ports}.difference(held):
        if address.is_unspecified or address.is_loopback or path_lookup.route(address).kind == "local":
            continue
        is_shared = sysctl.read(f"net/ipv{address.version}/ip_nonlocal_bind") == "1"
        if not is_shared and is_translated(member.network, address.version, has_ipv6=has_ipv6):
            cause = "another program removed the address, or another machine has it now"
            fix = f"if no other machine has it: ip address add {address}/LENGTH dev INTERFACE; or publish on another"
            yield warning(member.name, f"it publishes ports on {address}, which the host has lost", cause, fix)


def joined_endpoints(examined: Examined, interfaces: Mapping[str, Interface]) -> Iterator[Joined]:
    """Yield the live endpoints of containers and networks that do not differ from their records.

    ``interfaces`` maps the name of each interface of the host to the interface.
    """
    containers = {c.id: c for c in examined.containers if f"container {c.name}" not in examined.damaged}
    networks = {n.id: n for n in examined.networks if f"network {n.name}" not in examined.damaged}
    for endpoint in examined.records.endpoints:
        container, network = containers.get(endpoint.container_id), networks.get(endpoint.network_id)
        if container is not None and network is not None and endpoint.phase == "live" and endpoint.interface:
            bridge = interfaces.get(examined.bridges.get(network.id, ""))
            yield Joined(container, endpoint, network, bridge)


def by_bridge(joined: Sequence[Joined]) -> Mapping[str, Sequence[Joined]]:
    """Return the endpoints of each bridge, by the bridge's name."""
    members: defaultdict[str, list[Joined]] = defaultdict(list)
    for member in joined:
        if member.bridge is not None:
            members[member.bridge.name].append(member)
    return members


def _on_host(bridge: str, members: Sequence[Joined]) -> Iterator[Check]:
    """Check the host's routes, neighbour entries and IPsec policies for the containers of one bridge.

    Also checks whether the bridge answers ARP requests, and whether routing rules drop packets from the containers.
    """
    known = {neighbour.address: neighbour for neighbour in path_lookup.neighbours(bridge)}
    for member in members:
        for address in member.addresses_on_bridge:
            route = path_lookup.route(address)
            if route.interface != bridge or route.kind != "unicast":
                what = f"this host's packets to {address} {_outcome(route)} instead of by {bridge}"
                cause = "another program added a route, a rule or the same address"
                yield fault(member.name, what, cause, f"see: ip route get {address}; ip rule; and delete what is wrong")
            elif (entry := known.get(address)) is not None and entry.mac != member.endpoint.link_mac:
                fix = f"ip neigh del {address} dev {bridge}"
                yield _stale(member.name, f"this host takes {address} for", entry, fix)
        yield from obstacles.blocking_policies(member.name, _pairs(member))
    senders = {address.version: address for member in members for address in member.addresses_on_bridge}
    if 4 in senders:
        yield from obstacles.silence_on_arp(f"network {members[0].network.name}", bridge)
    if not members[0].network.internal:
        for sender in senders.values():
            yield from obstacles.routing_rules(f"network {members[0].network.name}", bridge, sender)


def _pairs(member: Joined) -> Sequence[tuple[IPAddress, IPAddress]]:
    """Return the pairs of addresses between which packets must pass: the endpoint's address and a peer's address.

    The peers are the gateways and an arbitrary external machine of the same IP version.
    """
    others = [*member.gateways, *(path_lookup.anywhere(version) for version in (4, 6))]
    return [(address, other) for address in member.addresses for other in others if address.version == other.version]


def _static_entries(
    bridge: str, members: Sequence[Joined], static: Mapping[str, str], ports: Mapping[str, Interface]
) -> Iterator[Check]:
    """Check that no static forwarding entry of the bridge sends a container's frames to another port.

    ``static`` maps the MAC of each static entry to the port's name. ``ports`` maps an endpoint's id to its bridge port.
    """
    for member in members:
        right, present = ports.get(member.endpoint.id), static.get(member.endpoint.link_mac)
        if right is not None and present not in (None, right.name):
            what = f"{bridge} sends frames for its MAC {member.endpoint.link_mac} to {present} instead of {right.name}"
            fix = f"bridge fdb del {member.endpoint.link_mac} dev {present} {'self' if present == bridge else 'master'}"
            yield fault(member.name, what, "another program added a static forwarding entry", fix)


def _outcome(route: path_lookup.PacketRoute) -> str:
    if route.kind == "local":
        return "stay on this host, which has that address itself,"
    if route.kind == "unicast":
        return f"leave by {route.interface}"
    return f"are dropped ({route.kind or 'no route'})"


def _stale(name: str, what: str, entry: Neighbour, fix: str) -> Check:
    cause = "another program set the neighbour entry" if entry.permanent else "the neighbour entry is stale or forged"
    return fault(name, f"{what} {entry.mac}, which is another MAC than its own", cause, fix)


def _inside(member: Joined, holders: Holders, port: Interface | None) -> Iterator[Check]:
    """Check, in the sandbox, the endpoint's interface, routes, neighbour entries, lo and IPsec policies.

    ``port`` is the host's end of the endpoint's veth pair, or None if there is none.
    """
    interface, place = member.endpoint.interface, member.place

    def look() -> tuple[Interface | None, Sequence[Neighbour], Sequence[Check]]:
        silent = [
            *obstacles.at(member.name, interface, linux_obstacles.of(interface), place),
            *obstacles.silence_on_arp(member.name, interface, place),
            *_routes_inside(member),
            *obstacles.loopback(member.name, place),
            *obstacles.blocking_policies(member.name, _pairs(member), place),
        ]
        return features.interfaces().get(interface), path_lookup.neighbours(interface), silent

    try:
        present, neighbours, silent = place.inside(look)
    except DriverError:
        return  # the container has ended
    if present is None:
        return
    yield from silent
    yield from _mac_and_addresses(member, present, holders)
    yield from _neighbours(member, neighbours, holders)
    yield from _mtu(member, present, port)


def _mac_and_addresses(member: Joined, present: Interface, holders: Holders) -> Iterator[Check]:
    """Check that the endpoint's interface (``present``) has the recorded MAC, and no address of another endpoint.

    The MAC is not checked for two kinds of drivers:

    - ``compares_mac``: the driver's own comparison (`LinkRepairer.compare_endpoint`) already reports a wrong MAC.
    - ``shares_mac``: all interfaces have the MAC of their parent.
    """
    interface = member.endpoint.interface
    known = facts(member.network.driver)
    is_unchecked = not (known.shares_mac or known.compares_mac)
    if is_unchecked and member.endpoint.link_mac and present.mac != member.endpoint.link_mac:
        what = f"{interface} has the MAC {present.mac} instead of {member.endpoint.link_mac}"
        fix = member.place.command(f"ip link set {interface} address {member.endpoint.link_mac}")
        yield fault(member.name, what, "a program in the container changed it", fix)
    for address in present.addresses:
        holder = holders.get((member.network.id, address.ip))
        if holder is not None and holder.endpoint.id != member.endpoint.id:
            what = f"{interface} also has the address {address.ip} of {holder.name}"
            fix = member.place.command(f"ip addr del {address} dev {interface}")
            yield fault(member.name, what, "a program in the container added it", fix)


def _routes_inside(member: Joined) -> Iterator[Check]:
    """Check that the sandbox's routes lead to the gateway, and drop no packets to other networks.

    - Yields a fault if the sandbox itself has the gateway's address, or if the route to the gateway is not unicast.
    - Yields a warning if packets to other networks are dropped, or go to another gateway that does not answer.

    Networks that give no access to other networks are not checked.
    """
    cause = "a program in the container added a route or a rule"
    for gateway in member.gateways if facts(member.network.driver).offers_gateway else ():
        shows = (member.place.command(f"ip -{gateway.version} {table}") for table in ("route", "rule"))
        see = f"see: {'; '.join(shows)}; and delete what is wrong"
        route = path_lookup.route(gateway)
        if route.kind == "local":
            yield fault(member.name, f"it has the address {gateway} of its gateway itself", cause, see)
        elif route.kind != "unicast":
            yield fault(member.name, f"its packets to the gateway {gateway} {_outcome(route)}", cause, see)
        elif (route := path_lookup.route(path_lookup.anywhere(gateway.version))).kind in obstacles.DROPPING:
            yield warning(member.name, f"its packets to other networks {_outcome(route)}", cause, see)
        elif route.gateway not in (None, gateway) and route.gateway in path_lookup.unresolved(route.interface):
            what = f"its packets to other networks go to {route.gateway}, which does not answer, not to {gateway}"
            yield warning(member.name, what, cause, see)


def _neighbours(member: Joined, neighbours: Sequence[Neighbour], holders: Holders) -> Iterator[Check]:
    gateways = member.gateways
    for entry in neighbours:
        holder = holders.get((member.network.id, entry.address))
        expected = {holder.endpoint.link_mac} if holder is not None else set()
        if member.bridge is not None and entry.address in gateways:
            expected = {member.bridge.mac}
        elif member.bridge is not None and expected and not bridge_options.parse(network_spec(member.network)).icc:
            expected.add(member.bridge.mac)  # with icc=false, the bridge answers ARP requests between its ports
        if any(expected) and entry.mac not in expected and not facts(member.network.driver).shares_mac:
            fix = member.place.command(f"ip neigh del {entry.address} dev {member.endpoint.interface}")
            yield _stale(member.name, f"it takes {entry.address} for", entry, fix)


def _mtu(member: Joined, present: Interface, port: Interface | None) -> Iterator[Check]:
    """Yield a warning if the MTUs of the bridge, the bridge port and the container's interface differ.

    Large packets are lost in this case. The remedy sets the network's MTU, or the largest of the MTUs if the network
    has no MTU option. ``present`` is the container's interface. ``port`` is the bridge port, which is the host's end of
    the endpoint's veth pair, or None without one.
    """
    ends = [end for end in (member.bridge, port) if end is not None and end.mtu != present.mtu]
    if member.bridge is not None and ends:
        others = ", ".join(f"{end.name} has {end.mtu}" for end in ends)
        what = f"{member.endpoint.interface} has the MTU {present.mtu}, but {others}"
        right = bridge_options.parse(network_spec(member.network)).mtu or max(present.mtu, *(end.mtu for end in ends))
        places = [(member.place, present), *((HOST, end) for end in ends)]
        commands = [place.command(f"ip link set {end.name} mtu {right}") for place, end in places if end.mtu != right]
        fix = " && ".join(commands)
        yield warning(member.name, what, "another program changed an MTU: large packets are lost", fix)
