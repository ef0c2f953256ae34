"""Find the culprit at interfaces and sockets, for a probe that nftables has not dropped.

`Obstacles.proven` yields faults that certainly stop packets. `Obstacles.likely` yields objects that may have dropped
the probe, unless the observation of the probe excludes this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from drivers.firewall import ipsec_policies
from drivers.firewall.ipsec_policies import DIRECTIONS, IN, OUT
from drivers.linux import listeners, obstacles, path_lookup, sysctl
from drivers.linux.host import interface_addresses
from drivers.linux.obstacles import Obstacle
from drivers.registry import facts
from engine.diagnosis.trace import chains, neighbour_search, outside, rules
from engine.diagnosis.trace.model import Culprit
from engine.diagnosis.trace.packet_path import BRIDGED, EXTERNAL, LOCAL, PacketPath
from engine.diagnosis.trace.probing import Observation
from engine.diagnosis.trace.records import HOST, Place, Records
from engine.diagnosis.trace.state import bridge_of, port_of
from engine.diagnosis.trace.translation_rules import is_masqueraded

CHANGING = re.compile(
    r"\b(notrack|snat|masquerade|synproxy|queue|(ttl|hoplimit|mark|zone|saddr|daddr|sport|dport) set)\b", re.IGNORECASE
)
"""Statements of nftables that change a packet or its treatment, without a drop."""

# `Obstacles.likely` reports a hop limit (TTL) of at most this number, because many internet paths have more hops.
FEW_HOPS = 7


class Obstacles:
    """Searches the interfaces and sockets of one path for obstacles, which stop or may stop packets."""

    def __init__(self, records: Records, path: PacketPath) -> None:
        self._records, self._path = records, path
        self._known: dict[Place, dict[str, list[Obstacle]]] = {}

    def proven(self) -> Iterator[Culprit]:
        """Yield a culprit for each fault of an interface or a sysctl that certainly stops packets.

        Such an interface is down, has no carrier, does no ARP, or is a bridge port that gets no frames for an unknown
        MAC. Such a sysctl suppresses answers to ARP requests, or sets the hop limit (TTL) to 1.
        """
        path = self._path
        # A published IPv4 port needs no lo: DNAT sends the packets to the bridge before they reach lo.
        translated = path.binding is not None and path.address.version == path.inner_address.version == 4
        through_lo = (path.kind == LOCAL or path.address.is_loopback) and not translated
        if through_lo and path.source.inside(partial(obstacles.is_down, "lo")):
            what, where = f"interface lo of {path.source.name}", str(path.source)
            detail = f"lo of {path.source.name} is down, so it does not reach its own addresses"
            fix = f"bring it up: {path.source.command('ip link set lo up')}"
            yield Culprit("interface-down", what, where, detail, fix)
        for parent in self._parents():
            if obstacles.is_down(parent):
                what = f"interface {parent} of host"
                detail = f"{parent} is down, the parent of the network's interfaces"
                yield Culprit("interface-down", what, "host", detail, f"bring it up: ip link set {parent} up")
        for place, interface, whose in self._interfaces():
            for obstacle in self._at(place, interface):
                culprit = self._of_flag(obstacle, place, interface, whose)
                if culprit is not None:
                    yield culprit
        yield from self._silent_on_arp()
        yield from self._short_lives(1)

    def likely(self, seen: Observation) -> Iterator[Culprit]:
        """Yield a culprit for each object that may have dropped the probe.

        Such an object is, for example, a BPF program, a queue, a policy, a sysctl or a rule.
        """
        for place, interface, whose in self._interfaces():
            for obstacle in self._at(place, interface):
                culprit = _of_program(obstacle, place, interface, whose)
                if culprit is not None:
                    yield culprit
        yield from self._full_queue(seen)
        yield from self._policies()
        yield from self._short_lives(FEW_HOPS)
        if not self._has_left(seen):
            yield from _changing_rules(seen)
            yield from self._unresolved()

    def wrong_source(self, seen: Observation) -> Iterator[Culprit]:
        """Yield a culprit for each rule that changed the probe, if the probe left this host with a wrong source.

        A wrong source is an address that is neither the host's nor the expected address of the sender.
        """
        left = [s for p, s in seen.sights if p == HOST and s.outgoing and s.interface == self._outer() and not s.reply]
        expected = {None if is_masqueraded(self._path) else self._path.source_address}
        expected |= {address for _, address in interface_addresses()}
        if any(sight.source not in expected for sight in left):
            yield from _changing_rules(seen)

    def _at(self, place: Place, interface: str) -> list[Obstacle]:
        """Return the obstacles at an interface; the first call for a place reads those of all its interfaces."""
        if place not in self._known:
            self._known[place] = place.inside(obstacles.everywhere)
        return self._known[place].get(interface, [])

    def _has_left(self, seen: Observation) -> bool:
        """Return whether the probe has left this host to an external machine, and no answer has come back."""
        outer = self._outer()
        return self._path.kind == EXTERNAL and seen.saw(HOST, outer) and not seen.saw(HOST, outer, reply=True)

    def _outer(self) -> str:
        """Return the host's interface to the external machine at one end of the path, or "" without such a machine."""
        if self._path.kind != EXTERNAL:
            return self._path.source.interface
        return path_lookup.route(self._path.address).interface

    def _interfaces(self) -> Iterator[tuple[Place, str, str]]:
        """Yield three values for each interface on the path: its place, its name, and the name of its container.

        The third value is given only for a bridge port. For any other interface, it is "".
        """
        path = self._path
        if path.kind == LOCAL:
            return
        yield from ((HOST, parent, "") for parent in self._parents())
        for place, member in path.ends:
            if place.netns_path:
                yield place, member.endpoint.interface, ""
            if member.network.driver == "bridge":
                yield HOST, port_of(member), self._records.name_of(member)
                yield HOST, bridge_of(member.network), ""
        outer = self._outer()
        if outer and outer != "lo":
            yield HOST, outer, ""

    def _parents(self) -> list[str]:
        """Return the host's interfaces that are parents of the path's macvlan and ipvlan networks."""
        networks = [m.network for m in self._path.members if facts(m.network.driver).has_parent]
        parents = [(network.options or {}).get("parent", "") for network in networks]
        return list(dict.fromkeys(filter(None, parents)))

    def _of_flag(self, obstacle: Obstacle, place: Place, interface: str, whose: str) -> Culprit | None:
        what = f"interface {interface} of {whose or place.name}"
        if obstacle.kind == obstacles.NO_CARRIER:
            detail = f"{interface} is up, but has no carrier: its other end is down"
            return Culprit("interface-down", what, str(place), detail, "bring the other end or the wire up")
        if obstacle.kind == obstacles.NO_ARP:
            detail = f"ARP is off at {interface}, so it neither asks for MACs nor tells its own"
            fix = f"switch it on: {place.command(f'ip link set {interface} arp on')}"
            return Culprit("stale-neighbour", f"{what} (arp off)", str(place), detail, fix)
        if obstacle.kind == obstacles.NO_FLOODING and whose:
            detail = f"{interface} is in its bridge, but gets no frames for machines that the bridge does not know"
            fix = f"bridge link set dev {interface} flood on bcast_flood on mcast_flood on locked off"
            named = f"bridge port {interface} of {whose} ({obstacle.name})"
            return Culprit("not-in-bridge", named, "host", f"{detail}: {obstacle.name}", fix)
        return None

    def _silent_on_arp(self) -> Iterator[Culprit]:
        path = self._path
        if path.inner_address.version != 4 or path.kind == LOCAL:
            return
        for place, member in reversed(path.ends):
            if not place.netns_path:
                continue
            if neighbour_search.is_known(path, member):
                continue  # the other side has the MAC, so it does not ask
            for name in place.inside(partial(obstacles.silencing_sysctls, member.endpoint.interface)):
                detail = f"{name} lets {place.name} answer no ARP request for its address"
                fix = place.command(f"sysctl -w {name}=0")
                yield Culprit("container-firewall", f"sysctl {name} of {place.name}", str(place), detail, fix)

    def _full_queue(self, seen: Observation) -> Iterator[Culprit]:
        path = self._path
        if path.protocol != "tcp" or seen.result or path.target is None or not path.inner_port:
            return
        waiting = path.target.inside(partial(listeners.full_queue, path.inner_port))
        if waiting:
            what = f"port {path.service} of {path.target.name}"
            detail = f"{waiting} connections wait at port {path.service}, and its queue is full"
            fix = f"see what the process in {path.target.name} waits for, or give it a longer queue"
            yield Culprit("port-not-listening", what, str(path.target), detail, fix)

    def _policies(self) -> Iterator[Culprit]:
        """Yield a culprit for each IPsec policy, on the host or in a container, that stops packets of the path."""
        path, source_address = self._path, self._path.source_address
        if path.source == HOST:
            source_address = path_lookup.route(path.inner_address).source
        if source_address is None:
            return
        request, answer = rules.exchange(path, source_address)
        for place in path.places:
            for packet, sender, receiver in ((request, path.source, path.target), (answer, path.target, path.source)):
                directions = {sender: (OUT,), receiver: (IN,)}.get(place, DIRECTIONS)
                policy = place.inside(partial(ipsec_policies.stopping, packet, directions))
                if policy:
                    kind = "container-firewall" if place.netns_path else "foreign-firewall"
                    detail = f"an IPsec policy of {place.name} matches the probe: {policy}"
                    fix = f"look at it: {place.command('ip xfrm policy')}; {place.command('ip xfrm state')}"
                    yield Culprit(kind, f"IPsec policy of {place.name}", str(place), detail, fix)

    def _short_lives(self, hops: int) -> Iterator[Culprit]:
        """Yield a culprit if a sysctl limits the source's or the target's packets to ``hops`` hops (TTL) or fewer."""
        path, version = self._path, self._path.inner_address.version
        for place, member in path.ends:
            if path.kind == BRIDGED or not place.netns_path:
                continue
            setting = "net/ipv4/ip_default_ttl" if version == 4 else ""
            setting = setting or sysctl.conf("ipv6", member.endpoint.interface, "hop_limit")
            if 0 < int(place.inside(partial(sysctl.read, setting)) or 0) <= hops:
                name = sysctl.name_of(setting)
                detail = f"{name} lets the packets of {place.name} end after a few hops"
                fix = place.command(f"sysctl -w {name}=64")
                yield Culprit("container-firewall", f"sysctl {name} of {place.name}", str(place), detail, fix)

    def _unresolved(self) -> Iterator[Culprit]:
        """Yield a culprit for each address on the path that does not answer ARP requests or neighbour solicitations.

        The neighbour entries are read in the source's namespace, on the host, and in the target's namespace.
        """
        path = self._path
        asked = [(HOST, bridge) for bridge in path.bridges] if path.kind != BRIDGED else []
        asked += [(place, member.endpoint.interface) for place, member in path.ends if place.netns_path]
        concerned = {path.inner_address, path.source_address}
        for place, interface in asked:
            for address in sorted(place.inside(partial(path_lookup.unresolved, interface)) & concerned, key=str):
                if path.kind == EXTERNAL and address == path.address:
                    yield self._without_holder(interface, place)
                    continue
                what = f"neighbour {address} on {interface} of {place.name}"
                detail = f"{address} does not tell its MAC: nothing on {interface} answers the requests for it"
                fix = f"look at what {address} gets: tcpdump -ni any 'arp or icmp6' in its namespace"
                yield Culprit("stale-neighbour", what, str(place), detail, fix)
        if path.kind == EXTERNAL:
            yield from outside.silent_next_hop(path)

    def _without_holder(self, interface: str, place: Place) -> Culprit:
        """Return the culprit for a target address that no machine has.

        Nothing on ``interface`` of ``place`` answers the ARP requests or neighbour solicitations for the address.
        """
        address, member = self._path.address, self._path.source_member
        network = f"network {member.network.name}" if member is not None else str(place)
        detail = f"no container has {address}, and nothing on {interface} of {place.name} answers the requests for it"
        fix = "look at the addresses that are in use: hawse network inspect" + (
            f" {member.network.name}" if member is not None else ""
        )
        return Culprit("no-such-endpoint", f"address {address}", network, detail, fix)


def _of_program(obstacle: Obstacle, place: Place, interface: str, whose: str) -> Culprit | None:
    """Return the culprit for a tc filter, an XDP program or a queueing discipline; None for another kind of obstacle.

    If the interface is a bridge port, ``whose`` is the name of the port's container. Otherwise, it is "".
    """
    if obstacle.kind == obstacles.FILTER:
        what, name = f"traffic control filter on {interface}", "a filter of traffic control (tc)"
        shows = (place.command(f"tc filter show dev {interface} {side}") for side in ("ingress", "egress"))
        fix = f"look at it: {'; '.join(shows)}"
    elif obstacle.kind == obstacles.XDP:
        what, name = f"XDP program on {interface}", "an XDP program"
        fix = f"remove it: {place.command(f'ip link set dev {interface} xdp off')}"
    elif obstacle.kind == obstacles.DISCIPLINE:
        what, name = f"queueing discipline of {interface}", f"the queueing discipline {obstacle.name}"
        fix = f"remove it: {place.command(f'tc qdisc del dev {interface} root')}"
    else:
        return None
    detail = f"the probe is lost at {interface}, which has {name}"
    if place.netns_path:
        return Culprit("container-firewall", f"{what} of {place.name}", str(place), detail, fix)
    of = f" of {whose}" if whose else ""
    return Culprit("foreign-firewall", f"{what}{of}", f"host, interface {interface}", detail, fix)


def _changing_rules(seen: Observation) -> Iterator[Culprit]:
    """Yield a culprit for each rule of another program that matched the probe or its answer and changed the packet."""
    for place, event, rule in chains.passed(seen.events, CHANGING):
        which = "answer" if event.reply else "probe"
        detail = f"{chains.text_of(event)} changes the {which}, which is then lost: {rule}"
        yield chains.culprit(place, event, detail, chains.removing(place, event))
