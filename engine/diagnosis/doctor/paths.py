"""Checks for changes by other programs that block the path to a container: routes, addresses, neighbours, MACs, MTUs.

No record describes these objects. The agent does not repair them, because hawse did not make them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface

from drivers.api import DriverError, IPAddress
from drivers.linux import features, netns, path_lookup
from drivers.linux import obstacles as linux_obstacles
from drivers.linux.features import Interface
from drivers.linux.path_lookup import Neighbour
from engine.api import Check
from engine.diagnosis.doctor import obstacles
from engine.diagnosis.doctor.checks import Examined, fault, ok, warning
from engine.model import ContainerRecord, EndpointRecord, NetworkRecord

SHARING_MAC = ("ipvlan",)
"""The drivers whose endpoints all have the MAC address of the parent interface."""
COMPARING_MAC = ("bridge", "overlay")
"""The drivers for which the comparison with the records also checks the MAC of the container's interface."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A running container's endpoint on an undamaged network.

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
    def addresses(self) -> list[IPAddress]:
        """The endpoint's addresses."""
        return [ip_interface(text).ip for text in (self.endpoint.ipv4, self.endpoint.ipv6) if text]

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


def check(examined: Examined) -> Iterator[Check]:
    """Yield a finding for each obstacle on the way to a container, or one result `OK` if there is no obstacle."""
    interfaces = features.interfaces()
    joined = list(joined_endpoints(examined, interfaces))
    holders = {(j.network.id, address): j for j in joined for address in j.addresses}
    ports = {interface.endpoint_id: interface for interface in interfaces.values() if interface.endpoint_id}
    hindered = linux_obstacles.everywhere() if joined else {}
    versions = sorted({a.version for one in joined if not one.network.internal for a in one.addresses})
    found = [*obstacles.way_out(hindered, versions), *obstacles.loopback("host")] if joined else []
    static = path_lookup.static_ports_of_bridges() if joined else {}
    for bridge, members in by_bridge(joined).items():
        found += _on_host(bridge, members)
        found += _static_entries(bridge, members, static.get(bridge, {}), ports)
    for one in joined:
        port = ports.get(one.endpoint.id)
        found += _inside(one, holders, port)
        found += obstacles.at(one.name, port.name, hindered.get(port.name, ())) if port is not None else ()
    if joined and not found:
        yield ok("paths", "routes, neighbour entries, MACs and MTUs lead to all containers")
    yield from found


def joined_endpoints(examined: Examined, interfaces: Mapping[str, Interface]) -> Iterator[Joined]:
    """Yield the endpoints whose container and network do not differ from their records."""
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
    for one in joined:
        if one.bridge is not None:
            members[one.bridge.name].append(one)
    return members


def _on_host(bridge: str, members: Sequence[Joined]) -> Iterator[Check]:
    """Check the host's routes and neighbour entries for the containers of one bridge."""
    known = {neighbour.address: neighbour for neighbour in path_lookup.neighbours(bridge)}
    for one in members:
        for address in one.addresses_on_bridge:
            found = path_lookup.route(address)
            if found.interface != bridge or found.kind != "unicast":
                what = f"this host's packets to {address} {_way(found)} instead of by {bridge}"
                cause = "another program added a route, a rule or the same address"
                yield fault(one.name, what, cause, f"see: ip route get {address}; ip rule; and delete what is wrong")
            elif (entry := known.get(address)) is not None and entry.mac != one.endpoint.link_mac:
                yield _stale(one.name, f"this host takes {address} for", entry, f"ip neigh del {address} dev {bridge}")
        yield from obstacles.blocking_policies(one.name, _pairs(one))
    senders = {address.version: address for one in members for address in one.addresses_on_bridge}
    if 4 in senders:
        yield from obstacles.silence_on_arp(f"network {members[0].network.name}", bridge, "")
    if not members[0].network.internal:
        for sender in senders.values():
            yield from obstacles.routing_rules(f"network {members[0].network.name}", bridge, sender)


def _pairs(one: Joined) -> Sequence[tuple[IPAddress, IPAddress]]:
    """Return an endpoint's addresses, each with its gateway and with an address outside of this host."""
    others = [*one.gateways, *(path_lookup.anywhere(version) for version in (4, 6))]
    return [(own, other) for own in one.addresses for other in others if own.version == other.version]


def _static_entries(
    bridge: str, members: Sequence[Joined], static: Mapping[str, str], ports: Mapping[str, Interface]
) -> Iterator[Check]:
    """Check that no static forwarding entry of the bridge sends a container's frames to another port."""
    for one in members:
        right, present = ports.get(one.endpoint.id), static.get(one.endpoint.link_mac)
        if right is not None and present not in (None, right.name):
            what = f"{bridge} sends frames for its MAC {one.endpoint.link_mac} to {present} instead of {right.name}"
            fix = f"bridge fdb del {one.endpoint.link_mac} dev {present} {'self' if present == bridge else 'master'}"
            yield fault(one.name, what, "another program added a static forwarding entry", fix)


def _way(found: path_lookup.Found) -> str:
    if found.kind == "local":
        return "stay on this host, which has that address itself,"
    if found.kind == "unicast":
        return f"leave by {found.interface}"
    return f"are dropped ({found.kind or 'no route'})"


def _stale(name: str, what: str, entry: Neighbour, fix: str) -> Check:
    cause = "another program set the neighbour entry" if entry.permanent else "the neighbour entry is stale or forged"
    return fault(name, f"{what} {entry.mac}, which is another MAC than its own", cause, fix)


def _inside(one: Joined, holders: Mapping[tuple[str, IPAddress], Joined], port: Interface | None) -> Iterator[Check]:
    """Check the endpoint's interface in the sandbox, and the sandbox's neighbour entries.

    ``port`` is the host's end of the endpoint's veth pair, or None if there is none.
    """
    container, interface = one.container, one.endpoint.interface
    enter = f"nsenter -t {container.pid} -n "

    def look() -> tuple[Interface | None, Sequence[Neighbour], Sequence[Check]]:
        silent = [
            *obstacles.at(one.name, interface, linux_obstacles.of(interface), enter),
            *obstacles.silence_on_arp(one.name, interface, enter),
            *_routes_inside(one, enter),
            *obstacles.loopback(one.name, enter),
            *obstacles.blocking_policies(one.name, _pairs(one), enter),
        ]
        return features.interfaces().get(interface), path_lookup.neighbours(interface), silent

    try:
        present, neighbours, silent = netns.run_in_netns(container.sandbox_path, look, container.sandbox_inode)
    except DriverError:
        return  # the container has ended
    if present is None:
        return
    yield from silent
    is_unchecked = one.network.driver not in (*SHARING_MAC, *COMPARING_MAC)
    if is_unchecked and one.endpoint.link_mac and present.mac != one.endpoint.link_mac:
        what = f"{interface} has the MAC {present.mac} instead of {one.endpoint.link_mac}"
        fix = f"nsenter -t {container.pid} -n ip link set {interface} address {one.endpoint.link_mac}"
        yield fault(one.name, what, "a program in the container changed it", fix)
    for address in present.addresses:
        holder = holders.get((one.network.id, address.ip))
        if holder is not None and holder.endpoint.id != one.endpoint.id:
            what = f"{interface} also has the address {address.ip} of {holder.name}"
            fix = f"nsenter -t {container.pid} -n ip addr del {address} dev {interface}"
            yield fault(one.name, what, "a program in the container added it", fix)
    yield from _neighbours(one, neighbours, holders)
    yield from _mtu(one, present, port)


def _routes_inside(one: Joined, enter: str) -> Iterator[Check]:
    """Check that the sandbox's routing sends packets to the gateway, and drops none to other networks.

    Only endpoints on bridge and macvlan networks are checked. It is also a fault if the sandbox has the gateway's
    address itself.
    """
    cause = "a program in the container added a route or a rule"
    for gateway in one.gateways if one.network.driver in ("bridge", "macvlan") else ():
        see = f"see: {enter}ip -{gateway.version} route; {enter}ip -{gateway.version} rule; and delete what is wrong"
        found = path_lookup.route(gateway)
        if found.kind == "local":
            yield fault(one.name, f"it has the address {gateway} of its gateway itself", cause, see)
        elif found.kind != "unicast":
            yield fault(one.name, f"its packets to the gateway {gateway} {_way(found)}", cause, see)
        elif (found := path_lookup.route(path_lookup.anywhere(gateway.version))).kind in obstacles.DROPPING:
            yield warning(one.name, f"its packets to other networks {_way(found)}", cause, see)


def _neighbours(
    one: Joined, neighbours: Sequence[Neighbour], holders: Mapping[tuple[str, IPAddress], Joined]
) -> Iterator[Check]:
    gateways = one.gateways
    for entry in neighbours:
        holder = holders.get((one.network.id, entry.address))
        expected = holder.endpoint.link_mac if holder is not None else ""
        if one.bridge is not None and entry.address in gateways:
            expected = one.bridge.mac
        if expected and entry.mac != expected and one.network.driver not in SHARING_MAC:
            fix = f"nsenter -t {one.container.pid} -n ip neigh del {entry.address} dev {one.endpoint.interface}"
            yield _stale(one.name, f"it takes {entry.address} for", entry, fix)


def _mtu(one: Joined, present: Interface, port: Interface | None) -> Iterator[Check]:
    """Check that the bridge, its port and the container's interface have the same MTU.

    Otherwise, large packets are lost.
    """
    ends = [end for end in (one.bridge, port) if end is not None and end.mtu != present.mtu]
    if one.bridge is not None and ends:
        others = ", ".join(f"{end.name} has {end.mtu}" for end in ends)
        what = f"{one.endpoint.interface} has the MTU {present.mtu}, but {others}"
        fix = f"ip link set … mtu {max(present.mtu, *(end.mtu for end in ends))} on each of them"
        yield warning(one.name, what, "another program changed an MTU: large packets are lost", fix)
