"""Checks of single hops by kernel state: neighbours, sysctls, MTUs, listening sockets, connection tracking."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from ipaddress import IPv4Address, ip_address

from drivers import bridge_options
from drivers.errors import DriverError
from drivers.linux import address_conflict, conntrack, link, listeners, path_lookup, sysctl
from drivers.linux.features import bridge_runs_stp, holders, mac_of, mtu_of, port_state
from drivers.model import IPAddress
from drivers.scalars import socket_text
from engine.diagnosis.trace.direct_access import has_icc
from engine.diagnosis.trace.model import Culprit
from engine.diagnosis.trace.packet_path import BRIDGED, EXTERNAL, LOCAL, REMOTE, ROUTED, PacketPath
from engine.diagnosis.trace.records import HOST, OUTSIDE, Place, Records, address_of
from engine.diagnosis.trace.source import of_container, without_address
from engine.diagnosis.trace.state import bridge_of, port_of
from engine.endpoints.sandbox import JoinedEndpoint

MOST_NEIGHBOURS = 100
"""The maximum number of containers of one network whose addresses are compared. It limits the duration of a trace."""


class Checks:
    """The checks of the hops on one `PacketPath`; each check yields a `Culprit` for each fault that it proves."""

    def __init__(self, records: Records, path: PacketPath) -> None:
        self._records, self._path = records, path
        self._version = path.inner_address.version

    # --------------------------------------------------------------------------------------- neighbours

    def neighbours(self) -> Iterator[Culprit]:
        """Yield a culprit for each entry on the path that sends packets to a wrong machine.

        A neighbour entry is wrong if it has a wrong MAC. A static forwarding entry of a bridge is wrong if it has a
        wrong port.
        """
        path, near, far = self._path, self._path.source_member, self._path.target_member
        source_address = path.source_address
        if path.kind == REMOTE and near is not None and far is not None:
            yield from self._changed_mac(path.source, near)
            yield from self._compare_macs(path.source, near, far, path.inner_address)
        elif path.kind == BRIDGED and near is not None and far is not None and path.target is not None:
            if has_icc(near.network):
                yield from self._compare_macs(path.source, near, far, path.inner_address)
                if source_address is not None:
                    yield from self._compare_macs(path.target, far, near, source_address)
        elif near is not None:
            yield from self._compare_gateway(path.source, near)
        if path.kind == ROUTED and far is not None and path.target is not None:
            yield from self._compare_gateway(path.target, far)
            yield from self._compare_on_bridge(far, path.inner_address)
            if near is not None and source_address is not None:
                yield from self._compare_on_bridge(near, source_address)
        for member in path.members:
            if member.network.driver == "bridge":
                yield from self._forwarding_entry(member)

    def _compare_macs(
        self, place: Place, by: JoinedEndpoint, other: JoinedEndpoint, target: IPAddress
    ) -> Iterator[Culprit]:
        good = {self._mac_of(other) or other.endpoint.link_mac}
        yield from self._wrong_entries(place, by.endpoint.interface, target, good, self._records.name_of(other))

    @staticmethod
    def _changed_mac(place: Place, member: JoinedEndpoint) -> Iterator[Culprit]:
        """Yield a culprit if an endpoint's interface does not have the recorded MAC, to which other hosts send frames.

        ``member`` is the endpoint, and ``place`` the network namespace of its container.
        """
        interface, right = member.endpoint.interface, member.endpoint.link_mac
        mac = place.inside(partial(mac_of, interface))
        if mac and mac != right:
            detail = f"{interface} of {place.name} has the MAC {mac}, and the other hosts send to {right}"
            fix = f"set it: {place.command(f'ip link set {interface} address {right}')}"
            yield Culprit("wrong-address", f"MAC {right} of {interface} of {place.name}", str(place), detail, fix)

    def _compare_gateway(self, place: Place, member: JoinedEndpoint) -> Iterator[Culprit]:
        if member.network.driver != "bridge":
            return
        bridge = bridge_of(member.network)
        text = member.endpoint.gateway4 if self._version == 4 else member.endpoint.gateway6
        gateways = [p.gateway for p in member.network.pools if p.gateway and (":" in p.gateway) == (self._version == 6)]
        if text in [address for p in member.network.pools for address in p.aux_addresses.values()]:
            text = ""  # the gateway is another router, not the bridge
        for gateway in dict.fromkeys(filter(None, [text, *gateways])):
            good = {mac_of(bridge)}
            target = ip_address(gateway)
            yield from self._wrong_entries(place, member.endpoint.interface, target, good, bridge)

    def _compare_on_bridge(self, member: JoinedEndpoint, target: IPAddress) -> Iterator[Culprit]:
        if member.network.driver == "bridge":
            good = {self._mac_of(member) or member.endpoint.link_mac}
            name = self._records.name_of(member)
            yield from self._wrong_entries(HOST, bridge_of(member.network), target, good, name)

    @staticmethod
    def _wrong_entries(
        place: Place, interface: str, target: IPAddress, good: set[str], whose: str
    ) -> Iterator[Culprit]:
        for entry in place.inside(partial(path_lookup.neighbours, interface)):
            if entry.address == target and entry.mac not in good and any(good):
                kind = "permanent" if entry.permanent else "learned"
                right = " or ".join(sorted(filter(None, good)))
                detail = f"a {kind} entry says that {target} ({whose}) is at {entry.mac}; it is at {right}"
                fix = f"delete it: {place.command(f'ip neigh del {target} dev {interface}')}"
                what = f"neighbour {target} on {interface} of {place.name}"
                yield Culprit("stale-neighbour", what, str(place), detail, fix)

    def _forwarding_entry(self, member: JoinedEndpoint) -> Iterator[Culprit]:
        bridge, port, mac = bridge_of(member.network), port_of(member), member.endpoint.link_mac
        if not link.index(bridge):
            return
        by = path_lookup.static_ports(bridge).get(mac)
        if by is not None and by != port:
            detail = f"{bridge} has a static entry that sends {mac} to {by}, not to {port}"
            fix = f"delete it: bridge fdb del {mac} dev {by} master"
            yield Culprit("stale-neighbour", f"forwarding entry {mac} of {bridge}", "host", detail, fix)

    def _mac_of(self, member: JoinedEndpoint) -> str:
        container = self._records.container_of(member)
        if container is None:
            return ""
        try:
            place = of_container(self._records, container)
            return place.inside(partial(mac_of, member.endpoint.interface))
        except (DriverError, OSError):
            return ""

    # ----------------------------------------------------------------------------------------- conflict

    def duplicates(self, *, sending: bool) -> Iterator[Culprit]:
        """Yield a culprit if the host or another container also has the target's or the source's address.

        With ``sending``, and if the path is IPv4 within one network, also sends ARP requests to find other machines
        that have the target's address.
        """
        for member in (self._path.target_member, self._path.source_member):
            value = address_of(member.endpoint, self._version) if member is not None else None
            if member is not None and value is not None:
                yield from self._held_by_others(member, value)
        path = self._path
        if sending and path.kind == BRIDGED and path.source_member is not None and path.target_member is not None:
            yield from self._asked(path.source_member, path.target_member)

    def _held_by_others(self, member: JoinedEndpoint, value: IPAddress) -> Iterator[Culprit]:
        others = [
            e for e in self._records.endpoints if e.network_id == member.network.id and e.id != member.endpoint.id
        ]
        for endpoint in others[:MOST_NEIGHBOURS]:
            container = self._records.containers.get(endpoint.container_id)
            if container is None or container.id == member.endpoint.container_id:
                continue
            try:
                place = of_container(self._records, container)
                held = place.inside(partial(holders, value))
            except (DriverError, OSError):
                continue  # the container has ended meanwhile
            if held:
                yield self._conflict(member, value, str(place), str(place), without_address(place, held))
        if held := holders(value):
            yield self._conflict(member, value, "the host", "host", without_address(HOST, held))

    def _asked(self, near: JoinedEndpoint, far: JoinedEndpoint) -> Iterator[Culprit]:
        source, target = (address_of(m.endpoint, 4) for m in (near, far))
        if self._version != 4 or not (isinstance(source, IPv4Address) and isinstance(target, IPv4Address)):
            return
        if not has_icc(near.network):
            return
        try:
            macs = self._path.source.inside(partial(address_conflict.holders, near.endpoint.interface, source, target))
        except (DriverError, OSError):
            return
        strangers = macs - {self._mac_of(far) or far.endpoint.link_mac}
        if strangers and len(macs) > 1:
            holder = f"a machine with the MAC {', '.join(sorted(strangers))}"
            yield self._conflict(far, target, holder, holder, f"remove {target} from {holder}")

    def _conflict(self, member: JoinedEndpoint, value: IPAddress, holder: str, where: str, fix: str) -> Culprit:
        name = self._records.name_of(member)
        detail = f"{value} belongs to {name}, and {holder} has it too: either may get the packets"
        return Culprit("duplicate-address", f"address {value} of {name}", where, detail, fix)

    # ------------------------------------------------------------------------------------------ sysctls

    def forwarding(self) -> Iterator[Culprit]:
        """Yield a culprit if the path needs forwarding and the host does not forward."""
        path = self._path
        if path.kind not in (ROUTED, EXTERNAL) or not self._is_forwarded():
            return
        family = f"ipv{self._version}"
        keys = ["net/ipv4/ip_forward"] if self._version == 4 else [sysctl.conf("ipv6", "all", "forwarding")]
        if self._version == 4:
            keys += [sysctl.conf(family, interface, "forwarding") for interface in self._host_interfaces()]
        for key in keys:
            if sysctl.read(key) == "0":
                name = sysctl.name_of(key)
                detail = f"{name} is 0, so the host does not forward packets of {path.source} to {path.target_name}"
                yield Culprit("forwarding-off", f"sysctl {name}", "host", detail, f"sysctl -w {name}=1")

    def _is_forwarded(self) -> bool:
        path = self._path
        if path.avoids_host:
            return False
        through = path.source_member is not None or path.source.kind == OUTSIDE
        return through and (path.target_member is not None or path.target is None)

    def _host_interfaces(self) -> list[str]:
        """Return the host's interfaces at which the packet and its answer arrive."""
        outer = path_lookup.route(self._path.address).interface if self._path.kind == EXTERNAL else ""
        return [*filter(None, (self._path.source.interface, outer)), *self._path.bridges]

    def reverse_path(self, source: IPAddress | None) -> Iterator[Culprit]:
        """Yield a culprit if a reverse path filter drops the packet or its answer.

        ``source`` is the packet's sender; None means the source's endpoint. A strict filter (1) accepts a packet only
        if the route to its sender leaves by the interface at which the packet arrived. A loose filter (2) accepts any
        route to the sender.
        """
        path, client = self._path, source or self._path.source_address
        triples: list[tuple[Place, str, IPAddress | None]] = []
        if path.kind == ROUTED and path.source.interface:
            triples.append((HOST, path.source.interface, client))
        if path.kind in (ROUTED, EXTERNAL) and path.source_bridge:
            triples.append((HOST, path.source_bridge, client))
        if path.target is not None and path.target_member is not None and path.target.netns_path:
            triples.append((path.target, path.target_member.endpoint.interface, client))
            if path.kind == ROUTED and path.target_bridge:
                triples.append((HOST, path.target_bridge, path.inner_address))
        if path.source_member is not None and path.kind != LOCAL:
            triples.append((path.source, path.source_member.endpoint.interface, path.address))
        for place, interface, sender in triples:
            if sender is not None and sender.version == 4:
                yield from place.inside(partial(_reverse, place, interface, sender))

    def port_states(self) -> Iterator[Culprit]:
        """Yield a culprit for each bridge port on the path that is in another state than forwarding."""
        for member in self._path.members:
            if member.network.driver == "bridge" and self._path.kind != LOCAL:
                port, name = port_of(member), self._records.name_of(member)
                state = port_state(port)
                if state not in (None, link.FORWARDING):
                    detail = f"{port} is in {bridge_of(member.network)}, but in state {state}, which forwards nothing"
                    fix = f"bridge link set dev {port} state {link.FORWARDING}"
                    if bridge_runs_stp(bridge_of(member.network)):  # the kernel sets the states of the ports
                        wait = "wait 30 s for the spanning tree protocol, or switch it off if there is no loop"
                        fix = f"{wait}: ip link set {bridge_of(member.network)} type bridge stp_state 0 && {fix}"
                    yield Culprit("not-in-bridge", f"bridge port {port} of {name}", "host", detail, fix)

    def ignores_ping(self) -> Iterator[Culprit]:
        """Yield a culprit if the target ignores echo requests because of a sysctl."""
        key = {4: "net/ipv4/icmp_echo_ignore_all", 6: "net/ipv6/icmp/echo_ignore_all"}[self._version]
        target = self._path.target
        if target is not None and self._path.protocol == "icmp" and target.inside(lambda: sysctl.read(key)) == "1":
            name = sysctl.name_of(key)
            detail = f"{name} is 1 in {target.name}, so it does not answer pings"
            what = f"sysctl {name} of {target.name}"
            kind = "container-firewall" if target.netns_path else "foreign-firewall"
            yield Culprit(kind, what, str(target), detail, target.command(f"sysctl -w {name}=0"))

    # ---------------------------------------------------------------------------------------------- MTU

    def mtu(self) -> Iterator[Culprit]:
        """Yield a culprit for each interface on the path with a smaller MTU than an interface that sends to it.

        At such an interface, large packets are lost and small packets pass. Exception: if the interface is a bridge
        port whose MTU is the one that the network's option requires, the culprit is the container's interface. Its MTU
        is then too large. Only endpoints of bridge networks are checked. For TCP, only bridge ports are checked,
        because TCP adapts to the MTU of a container's interface.
        """
        path, ends = self._path, list[tuple[int, str, Place]]()
        for place, member in path.ends:
            if not place.netns_path or path.kind == LOCAL or member.network.driver != "bridge":
                continue
            interface, port = member.endpoint.interface, port_of(member)
            inner, outer = place.inside(partial(mtu_of, interface)), mtu_of(port)
            ends.append((inner, interface, place))
            if 0 < outer < inner and outer == bridge_options.parse(member.spec).mtu:
                yield _too_large(interface, inner, outer, place)
            elif 0 < outer < inner:
                yield _too_small(port, outer, f"{interface} of {place.name}", inner, HOST, place)
            bridge = bridge_of(member.network)
            if path.kind != BRIDGED and path.protocol != "tcp" and 0 < inner < mtu_of(bridge):
                yield _too_small(interface, inner, bridge, mtu_of(bridge), place, place)
        if path.kind == BRIDGED and len(ends) == 2 and path.protocol != "tcp":
            (size, interface, place), (other, peer, far) = sorted(ends, key=lambda end: end[0])
            if 0 < size < other:
                yield _too_small(interface, size, f"{peer} of {far.name}", other, place, place)

    # ---------------------------------------------------------------------------------------- listening

    def listening(self) -> Iterator[Culprit]:
        """Yield a culprit if no socket of the target listens on the path's port at the packet's address.

        Yields nothing for ICMP and for external targets.
        """
        path = self._path
        if path.target is None or not path.inner_port or path.protocol not in ("tcp", "udp"):
            return
        waiting, ipv6_only = path.target.inside(partial(_waiting, path.protocol, path.inner_port))
        expected = path.inner_address if path.target_member is not None else path.address
        if listeners.accepts(waiting, expected, ipv6_only=ipv6_only):
            return
        what, where = f"port {path.service} of {path.target.name}", str(path.target)
        if not waiting and path.target == HOST and path.binding is None and path.source.kind in ("host", OUTSIDE):
            detail = f"no container publishes port {path.service} at {path.address}, and no process of the host listens"
            fix = f"publish it: hawse publish CONTAINER -p {path.port}:CONTAINER_PORT/{path.protocol}"
            yield Culprit("not-published", what, where, detail, fix)
        elif not waiting:
            detail = f"no process in {path.target.name} listens at port {path.service}"
            fix = f"start the service in {path.target.name}, or use the port at which it listens"
            yield Culprit("port-not-listening", what, where, detail, fix)
        elif all(_is_loopback(value) for value in waiting):
            detail = f"the process in {path.target.name} listens at {_shown(waiting)} only"
            fix = f"let the service listen at 0.0.0.0 (or ::), not at {_shown(waiting)}"
            yield Culprit("listening-on-loopback-only", what, where, detail, fix)
        elif ipv6_only and expected.version == 4:
            detail = f"the process in {path.target.name} listens at {_shown(waiting)} for IPv6 only (IPV6_V6ONLY)"
            fix = "let the service listen at 0.0.0.0 too, or use an IPv6 address of the target"
            yield Culprit("port-not-listening", what, where, detail, fix)
        else:
            detail = f"the process in {path.target.name} listens at {_shown(waiting)}, and not at {expected}"
            fix = f"let the service listen at {expected} or at every address"
            yield Culprit("port-not-listening", what, where, detail, fix)

    # ---------------------------------------------------------------------------------------- conntrack

    def conntrack_full(self) -> Iterator[Culprit]:
        """Yield a culprit if a connection tracking table on the path is full."""
        for place in self._path.places:
            full = place.inside(conntrack.reached_limit)
            if full is not None:
                detail = f"{full[0]} of {full[1]} flows are in use, so new connections are dropped"
                fix = "raise it: sysctl -w net.netfilter.nf_conntrack_max=…, and see who opens so many: conntrack -L"
                yield Culprit("conntrack-full", f"connection tracking of {place.name}", str(place), detail, fix)

    def conntrack_stale(self) -> Iterator[Culprit]:
        """Yield a culprit for each tracked UDP flow to the path's port that leads to a wrong address.

        The right address is that of the target's endpoint.
        """
        path = self._path
        if path.protocol != "udp" or path.target_member is None or path.inner_address.version != path.address.version:
            return
        source_address = path.source_address
        for flow in conntrack.flows_to("udp", path.address, path.port):
            from_here = source_address is None or flow.source == source_address.packed
            if flow.answering != path.inner_address.packed and from_here:
                client, old = (ip_address(packed) for packed in (flow.source, flow.answering))
                where = socket_text(path.address, path.port)
                detail = f"the flow from {client} to {where} still leads to {old}"
                fix = f"delete it: conntrack -D -p udp --orig-dst {path.address} --dport {path.port}"
                what = f"flow {client} to {where}/udp"
                yield Culprit("conntrack-stale", what, "host", detail, fix)


def _reverse(place: Place, interface: str, sender: IPAddress) -> list[Culprit]:
    values = {i: int(sysctl.read(sysctl.conf("ipv4", i, "rp_filter")) or 0) for i in ("all", interface)}
    strictness = max(values.values())
    route = path_lookup.route(sender)
    lost = not route.kind or (strictness == 1 and route.kind == "unicast" and route.interface != interface)
    if strictness not in (1, 2) or not lost:
        return []
    name = "all" if values["all"] == strictness else interface
    key = sysctl.name_of(sysctl.conf("ipv4", name, "rp_filter"))
    by = f"by {route.interface}" if route.interface else "nowhere"
    detail = f"packets of {sender} come in by {interface}, but the route back leads {by}; {key}={strictness} drops them"
    fix = f"correct the route back to {sender}, or let the filter be loose: {place.command(f'sysctl -w {key}=2')}"
    return [Culprit("rp-filter", f"sysctl {key} ({interface})", str(place), detail, fix)]


def _too_small(name: str, size: int, other: str, other_size: int, place: Place, owner: Place) -> Culprit:
    """Return the culprit for an interface with a smaller MTU than the interface ``other``.

    The interface ``name`` is in the namespace of ``place``, and belongs to the container ``owner``.
    """
    whose = f"of {owner.name}"
    detail = (
        f"{name} {whose} has an MTU of {size}, {other} of {other_size}: packets above {size} bytes are dropped silently"
    )
    fix = f"make them equal: {place.command(f'ip link set {name} mtu {other_size}')}"
    return Culprit("mtu", f"interface {name} {whose}", str(place), detail, fix)


def _too_large(name: str, size: int, right: int, place: Place) -> Culprit:
    """Return the culprit for an interface whose MTU is larger than the MTU of its network.

    ``name`` is the name of the interface in ``place``, ``size`` its MTU, and ``right`` the MTU of the network.
    """
    what = f"interface {name} of {place.name}"
    detail = f"{name} of {place.name} has an MTU of {size}, its network of {right}: larger packets are dropped silently"
    return Culprit("mtu", what, str(place), detail, f"lower it: {place.command(f'ip link set {name} mtu {right}')}")


def _waiting(protocol: str, port: int) -> tuple[list[IPAddress], bool]:
    """Return the local addresses of the sockets that wait for clients at a port, and whether ``::`` is IPv6-only.

    The second value is that of `listeners.is_ipv6_only`. Both are read in the calling thread's network namespace.
    """
    return listeners.at(protocol, port), listeners.is_ipv6_only(protocol, port)


def _is_loopback(value: IPAddress) -> bool:
    mapped = getattr(value, "ipv4_mapped", None)
    return value.is_loopback or bool(mapped and mapped.is_loopback)


def _shown(values: list[IPAddress]) -> str:
    return ", ".join(dict.fromkeys(map(str, values)))
