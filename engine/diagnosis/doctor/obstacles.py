"""Report what may drop packets at interfaces of endpoints: flags, sysctls, queues, XDP programs, routing rules.

The checks examine the namespace of the calling thread; ``place`` describes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from drivers.firewall import ipsec_policies
from drivers.firewall.packets import Packet
from drivers.linux import features, obstacles, path_lookup, sysctl
from drivers.linux.host import down_towards
from drivers.linux.obstacles import Obstacle
from drivers.model import IPAddress
from engine.api import Check
from engine.diagnosis.doctor.checks import fault, warning
from engine.diagnosis.trace.records import HOST, Place

DROPPING = ("blackhole", "unreachable", "prohibit")
"""The kinds of routes that drop packets."""
BY_OTHERS = "another program changed it"


def at(name: str, interface: str, obstacles_here: Iterable[Obstacle], place: Place = HOST) -> Iterator[Check]:
    """Yield a finding for each obstacle at one interface, such as ARP off, no carrier or an XDP program.

    The flags of bridge ports are omitted, because the comparison with the records reports them.
    """
    for obstacle in obstacles_here:
        if obstacle.kind == obstacles.NO_CARRIER:
            what = f"{interface} is up, but has no carrier"
            yield fault(name, what, "its other end is down", "bring the other end up")
        elif obstacle.kind == obstacles.NO_ARP:
            what = f"{interface} has ARP off, so it neither asks for MACs nor tells its own"
            yield fault(name, what, BY_OTHERS, place.command(f"ip link set {interface} arp on"))
        elif obstacle.kind == obstacles.XDP:
            fix = place.command(f"ip link set dev {interface} xdp off")
            yield warning(name, f"{interface} has an XDP program, which may drop packets", "another program", fix)
        elif obstacle.kind == obstacles.FILTER:
            fix = f"see: {place.command(f'tc filter show dev {interface} ingress')}"
            yield warning(name, f"{interface} has traffic control filters, which may drop packets", BY_OTHERS, fix)
        elif obstacle.kind == obstacles.DISCIPLINE:
            fix = place.command(f"tc qdisc del dev {interface} root")
            what = f"the queueing discipline of {interface} drops packets: {obstacle.name}"
            yield warning(name, what, BY_OTHERS, fix)


def silence_on_arp(name: str, interface: str, place: Place = HOST) -> Iterator[Check]:
    """Yield a fault for each sysctl that forbids an interface to answer ARP requests."""
    for key in obstacles.silencing_sysctls(interface):
        fix = place.command(f"sysctl -w {key}=0")
        yield fault(name, f"{key} lets {interface} answer no ARP request", BY_OTHERS, fix)


def routing_rules(name: str, bridge: str, sender: IPAddress) -> Iterator[Check]:
    """Yield a fault if routing rules drop packets from a bridge's containers to other networks.

    ``sender`` is the address of a container at the bridge. Yields nothing if forwarding is off, because another check
    reports this.
    """
    outside = path_lookup.anywhere(sender.version)
    family = f"ipv{sender.version}"
    if any(sysctl.read(sysctl.conf(family, interface, "forwarding")) == "0" for interface in ("all", bridge)):
        return
    usual, forwarded = path_lookup.route(outside), path_lookup.route(outside, sender, bridge)
    if usual.kind == "unicast" and forwarded.kind not in ("unicast", "filtered"):
        what = f"this host drops packets of {sender} to the outside ({forwarded.kind or 'no route'})"
        yield fault(name, what, "a routing rule of another program", "see: ip rule; and delete what is wrong")


def towards_outside(hindered: Mapping[str, Sequence[Obstacle]], versions: Iterable[int]) -> Iterator[Check]:
    """Yield a finding if the host has no way to the outside, or if its outgoing interface does not work.

    The host has no way to the outside in two cases:

    - A route drops the packets.
    - The IPv4 default route is missing, and an interface that may have had this route is down. If no such interface is
      down, a missing default route is no finding, because a host may need none.

    The outgoing interface does not work if it has no carrier or if ARP is off. ``versions`` are the IP versions of the
    networks. ``hindered`` maps the name of a host interface to its obstacles.
    """
    uplink, _ = features.uplink()
    for version in versions:
        kind = path_lookup.route(path_lookup.anywhere(version)).kind
        if kind in DROPPING:
            what = f"it drops IPv{version} packets to the outside ({kind})"
            see = f"see: ip -{version} route; ip -{version} rule; and delete what is wrong"
            yield warning("host", what, "another program added a route or a rule", see)
        elif not kind and version == 4 and (down := down_towards(path_lookup.anywhere(version))):
            what = "it has no IPv4 default route, so containers reach no machine outside of its own networks"
            fix = f"ip link set {down} up && ip route add default via ROUTER"
            yield warning("host", what, f"{down} is down", fix)
    hindering = hindered.get(uplink, ())
    if Obstacle(obstacles.NO_CARRIER) in hindering:
        what = f"{uplink}, the way out, has no carrier"
        yield fault("host", what, "the wire, or the machine at its other end, is down", "check the wire")
    if Obstacle(obstacles.NO_ARP) in hindering:
        what = f"{uplink}, the way out, has ARP off, so it neither asks for MACs nor tells its own"
        yield fault("host", what, BY_OTHERS, f"ip link set {uplink} arp on")


def loopback(name: str, place: Place = HOST) -> Iterator[Check]:
    """Yield a fault if lo is down."""
    if obstacles.is_down("lo"):
        what = f"lo is down: {'its' if place is HOST else 'its resolver and its'} own addresses do not answer"
        yield fault(name, what, BY_OTHERS, place.command("ip link set lo up"))


def blocking_policies(name: str, pairs: Iterable[tuple[IPAddress, IPAddress]], place: Place = HOST) -> Iterator[Check]:
    """Yield a fault if an IPsec policy blocks TCP between the addresses of a pair, in one direction or the other."""
    directions = (direction for source, target in pairs for direction in ((source, target), (target, source)))
    policy = ipsec_policies.blocking(Packet("tcp", *direction, 0) for direction in directions)
    if policy:
        what = f"an IPsec policy blocks its packets: {policy}"
        yield fault(name, what, BY_OTHERS, f"see: {place.command('ip xfrm policy')}")
