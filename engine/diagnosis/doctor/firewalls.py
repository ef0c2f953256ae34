"""Find rules of other programs, in nftables and iptables-legacy, that certainly drop packets of a bridge network.

`drivers.firewall.foreign_rules` looks at single rules. This module evaluates whole rule sets, with jumps, sets and
verdict maps, for a few packets of each network. It sends no packet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import NamedTuple

from drivers import bridge_options
from drivers.firewall import legacy_rules
from drivers.firewall.legacy_tables import Dropping
from drivers.firewall.packets import ARP as ARP_PACKET
from drivers.firewall.packets import Packet
from drivers.firewall.rule_reading import IP_FAMILIES, Tables, find_drops, read
from drivers.linux import features, path_lookup
from drivers.linux.host import filters_bridged
from drivers.model import IPAddress
from engine.api import Check
from engine.diagnosis.doctor import paths, translations
from engine.diagnosis.doctor.checks import Examined, fault, warning
from engine.diagnosis.doctor.paths import Joined
from engine.diagnosis.trace.chains import Decision, in_shell
from engine.events import repair as repairs
from engine.host import network_spec

OUTSIDE = {4: ip_address("193.0.14.129"), 6: ip_address("2001:7fd::1")}
"""The address of an external machine for the examined packets, by IP version: k.root-servers.net.

Nothing is sent there. Addresses for documentation are not used, because good firewalls drop packets to them.
"""
ARP, BRIDGE, DEVICE = ("arp",), ("bridge",), ("netdev", "inet")
"""The families of tables that see ARP, packets within a bridge, and packets at one interface."""
INSIDE, OUTWARD, INWARD, ASKING, FROM_HOST = (
    "packets within", "packets to the outside of", "packets from the outside to", "ARP requests of",
    "this host's own packets to",
)  # fmt: skip
Step = tuple[tuple[str, ...], str, Packet, str]
"""The fields of a `Probe` without the network."""


class Probe(NamedTuple):
    """A packet to examine at a netfilter hook, and the table families that see it there.

    ``traffic`` describes the packet in the text of a finding, such as "packets within" (`INSIDE`). In this text, the
    name of the network (``network``) follows ``traffic``.
    """

    families: tuple[str, ...]
    hook: str
    packet: Packet
    traffic: str
    network: str


def check(examined: Examined, known: Sequence[Check]) -> Iterator[Check]:
    """Yield a finding for each chain of another program that drops or redirects packets of hawse's networks.

    ``known`` are the earlier findings. If one of them names a table, the dropping chains of this table are left out.
    """
    interfaces = features.interfaces()
    joined = list(paths.joined_endpoints(examined, interfaces))
    ports = {interface.endpoint_id: interface.name for interface in interfaces.values() if interface.endpoint_id}
    networks = list(paths.by_bridge(joined).values())
    if not networks:
        return
    probes, ip_tables = [p for members in networks for p in _probes(members, ports)], read()
    by_decision: dict[Decision, list[Probe]] = {}
    for families in (IP_FAMILIES, ARP, BRIDGE, DEVICE):
        chosen = [p for p in probes if p.families == families]
        if not chosen:
            continue
        tables = ip_tables if families == IP_FAMILIES else read(families)
        for decision, probe in _dropped(chosen, tables, families):
            by_decision.setdefault(decision, []).append(probe)
    for decision, dropped in by_decision.items():
        if not any(f"'{decision.table} " in finding.what for finding in known):
            yield _finding(decision, dropped)
    yield from translations.check(networks, ip_tables)


def _dropped(probes: Sequence[Probe], tables: Tables, families: tuple[str, ...]) -> Iterator[tuple[Decision, Probe]]:
    by_packet = {probe.packet: probe for probe in reversed(probes)}
    steps = [(probe.hook, probe.packet) for probe in probes]
    for packet, drop in find_drops(tables, steps, strict=True):
        yield drop, by_packet[packet]
    if families == IP_FAMILIES:
        for packet, dropping in legacy_rules.find_drops(steps):
            yield dropping, by_packet[packet]


def described(decision: Decision) -> tuple[str, bool]:
    """Return a text that names the chain that drops packets, and how the chain drops them.

    The second value is True if a rule drops the packets, and False if the policy of the chain does. The text has the
    family, the table and the name of the chain. For iptables-legacy, it has the program, the table and the name.
    """
    if isinstance(decision, Dropping):
        return f"{decision.program} {decision.table} {decision.chain}", bool(decision.number)
    return f"{decision.table} {decision.chain}", bool(decision.handle)


def _finding(decision: Decision, dropped: Sequence[Probe]) -> Check:
    networks = repairs.brief(list(dict.fromkeys(probe.network for probe in dropped)))
    kinds = {probe.traffic for probe in dropped}
    if INSIDE in kinds:
        kinds.discard(ASKING)  # a rule that drops all packets within a network drops its ARP requests too
    traffic = kinds.pop() if len(kinds) == 1 else "packets of"
    if isinstance(decision, Dropping):
        show = f"{decision.program} -t {decision.table} -L {decision.chain} -n -v"
    else:
        show = f"nft -a list chain {in_shell(decision.table, decision.chain)}"
    chain, by_rule = described(decision)
    what = f"{'a rule' if by_rule else 'the policy'} of the chain '{chain}' drops {traffic} {networks}"
    make = warning if traffic == FROM_HOST else fault
    fix = f"see: {show}; and accept these packets there"
    return make("foreign firewall", what, "another program's firewall", fix)


def _probes(members: Sequence[Joined], ports: Mapping[str, str]) -> Iterator[Probe]:
    """Yield the IPv4 and IPv6 probes of one bridge network. Each probe is one packet at one netfilter hook.

    ``members`` are the network's endpoints. ``ports`` maps an endpoint's id to the name of its bridge port.
    """
    network = members[0].network
    for version in (4, 6):
        held = [(member, a) for member in members for a in member.addresses if a.version == version]
        if not held:
            continue
        (first, address), (other, target) = held[0], held[-1]
        step_groups: list[Iterable[Step]] = []
        if target != address and bridge_options.parse(network_spec(network)).icc:
            packet = Packet("tcp", address, target, 0)
            near, far = (ports.get(member.endpoint.id, "") for member in (first, other))
            step_groups.append(_inside(first, packet, near, far))
        if address in first.addresses_on_bridge:
            step_groups.append(_beside(first, address))
        if not network.internal:
            step_groups.append(_outside(members, address))
        yield from (Probe(*step, network.name) for steps in step_groups for step in steps)


def _bridge(member: Joined) -> str:
    assert member.bridge is not None  # `paths.by_bridge` omits endpoints without a bridge
    return member.bridge.name


def _inside(member: Joined, packet: Packet, near: str, far: str) -> Iterator[Step]:
    """Yield the netfilter hooks that ``packet`` passes from one container to another container of the same network.

    ``member`` is the sender's endpoint. ``near`` is the sender's bridge port, and ``far`` the receiver's. For IPv4, the
    hooks of the ARP request come first.
    """
    if packet.version == 4:
        request = Packet(ARP_PACKET, packet.source, packet.destination, 0)
        for hook in ("prerouting", "forward", "postrouting"):
            yield BRIDGE, hook, request.at(near, far), ASKING
    yield DEVICE, "ingress", packet.at(near), INSIDE
    yield DEVICE, "egress", packet.at("", far), INSIDE
    for hook in ("prerouting", "forward", "postrouting"):
        yield BRIDGE, hook, packet.at(near, far), INSIDE
    if filters_bridged(packet.version):
        yield IP_FAMILIES, "forward", packet.at(_bridge(member), _bridge(member)), INSIDE


def _beside(member: Joined, address: IPAddress) -> Iterator[Step]:
    """Yield the netfilter hooks that packets from this host to a container pass.

    For IPv4, also yields the hooks of the ARP packets between this host and the container. ``member`` is the
    container's endpoint, and ``address`` one of its addresses.
    """
    bridge = _bridge(member)
    if address.version == 4:
        request = Packet(ARP_PACKET, address, address, 0)
        yield ARP, "input", request.at(bridge), ASKING
        yield ARP, "output", request.at("", bridge), ASKING
    packet = Packet("tcp", None, address, 0)
    yield DEVICE, "egress", packet.at("", bridge), FROM_HOST
    for hook in ("output", "postrouting"):
        yield IP_FAMILIES, hook, packet.at("", bridge), FROM_HOST


def _outside(members: Sequence[Joined], address: IPAddress) -> Iterator[Step]:
    """Yield the netfilter hooks that packets pass between the containers of a network and other machines.

    ``members`` are the network's endpoints. ``address`` is the address of one of them, and chooses the IP version.
    Yields nothing if the host has no route to other machines.
    """
    outside, bridge = OUTSIDE[address.version], _bridge(members[0])
    route = path_lookup.route(outside)
    if route.kind != "unicast" or not route.interface:
        return
    request = Packet("tcp", address, outside, 0)
    answer = Packet("tcp", None, address, 0, state="established")
    yield DEVICE, "ingress", request.at(bridge), OUTWARD
    yield IP_FAMILIES, "prerouting", request.at(bridge), OUTWARD
    yield IP_FAMILIES, "forward", request.at(bridge, route.interface), OUTWARD
    yield IP_FAMILIES, "postrouting", request.at("", route.interface), OUTWARD
    yield IP_FAMILIES, "forward", answer.at(route.interface, bridge), INWARD
    published = [(member, port) for member in members for port in member.endpoint.ports]
    for member, port in published[: translations.PORTS_LIMIT]:
        host_ip = ip_address(port.host_ip)
        target = next((a for a in member.addresses if a.version == address.version), None)
        if target is None or host_ip.version != address.version or host_ip.is_loopback:
            continue
        arriving = host_ip if not host_ip.is_unspecified else route.source
        if arriving is not None and port.host_port:
            packet = Packet(port.protocol, None, arriving, port.host_port)
            yield DEVICE, "ingress", packet.at(route.interface), INWARD
            yield IP_FAMILIES, "prerouting", packet.at(route.interface), INWARD
        inner = Packet(port.protocol, None, target, port.port, dnat=True)
        yield IP_FAMILIES, "forward", inner.at(route.interface, bridge), INWARD
