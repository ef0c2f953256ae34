"""Find out whether a namespace's programs, or source address translation (SNAT), have no free source port left."""

from __future__ import annotations

import re
from functools import partial

from msgspec.structs import replace

from drivers.errors import DriverError
from drivers.firewall.packets import Packet
from drivers.firewall.rule_reading import SOURCES, find_statements, read
from drivers.linux import conntrack, host, path_lookup, sysctl
from drivers.linux import source_ports as ports
from drivers.scalars import socket_text
from engine.diagnosis.trace import chains
from engine.diagnosis.trace.model import Culprit
from engine.diagnosis.trace.packet_path import EXTERNAL, PacketPath
from engine.diagnosis.trace.probing import Observation
from engine.diagnosis.trace.records import HOST, OUTSIDE, Place

KIND = "ports-exhausted"
PORTS = re.compile(r"\bto \S*:(\d+)(?:-(\d+))?(?= |$)")  # the ports in "masquerade to :1024-2047"
TRANSLATING = re.compile(r"\b(snat|masquerade|SNAT|MASQUERADE)\b")


def of_programs(place: Place, protocol: str, target: str) -> Culprit:
    """Return the culprit: programs in ``place`` have no free source port for packets to ``target``.

    ``protocol`` is "tcp" or "udp". ``target`` is the text that names the target, such as "192.0.2.1:80".
    """
    what = f"{protocol.upper()} source port"
    name = sysctl.name_of(host.PORT_RANGE)
    span = "-".join((place.inside(partial(sysctl.read, host.PORT_RANGE)) or "").split())
    detail = f"{place.name} has no free {what} for {target}: all ports of {name} ({span}) are in use"
    wider = place.command(f"sysctl -w {name}='1024 65535'")
    fix = f"end connections in {place}, or widen the range: {wider}"
    return Culprit(KIND, f"{what}s of {place.name}", str(place), detail, fix)


def of_sockets(path: PacketPath) -> Culprit | None:
    """Return the culprit if the source's sockets use all source ports for the target, or None; sends nothing."""
    if path.source.kind == OUTSIDE or path.protocol not in ("tcp", "udp"):
        return None
    use = path.source.inside(partial(ports.use, (path.address, path.port)))
    if (use.tcp if path.protocol == "tcp" else use.udp) < use.available:
        return None
    return of_programs(path.source, path.protocol, socket_text(path.address, path.port))


def of_ranges(path: PacketPath) -> Culprit | None:
    """Return the culprit if an nftables SNAT rule with a range of ports has no free port for the target, or None.

    The range is full if flows to the target use all its ports. Examines only TCP and UDP paths to external targets.
    Sends nothing. Returns None if the rules cannot be read.
    """
    if path.kind != EXTERNAL or path.protocol not in ("tcp", "udp"):
        return None
    packet = Packet(path.protocol, path.source_address, path.address, path.port)
    packet = packet.at("", path_lookup.route(path.address).interface)
    try:
        for _, rule in find_statements(read(), [("postrouting", packet)], SOURCES):
            text = chains.rule_in(HOST, rule)
            span = PORTS.search(text)
            if span is None:
                continue
            used = {flow.returning_port for flow in conntrack.flows_to(path.protocol, path.address, path.port)}
            if used.issuperset(range(int(span[1]), int(span[2] or span[1]) + 1)):
                what = chains.text_of(rule)
                return _of_rule(path, what, f"{HOST}, {what}", text)
    except (DriverError, OSError):
        return None
    return None


def _of_rule(path: PacketPath, what: str, where: str, rule: str) -> Culprit:
    target = socket_text(path.address, path.port)
    detail = f"the translation of source addresses has no free port for {target}, so the kernel drops the probe"
    fix = f"give it more ports, or end connections: conntrack -L -p {path.protocol} --orig-dst {path.address}"
    return Culprit(KIND, what, where, f"{detail}: {rule}" if rule else detail, fix)


def of_translation(path: PacketPath, seen: Observation) -> Culprit | None:
    """Return the culprit if SNAT gave the probe the same addresses and ports as another flow, or None.

    The kernel drops such a packet after all rules have accepted it.
    """
    if not seen.collided or (path.kind == EXTERNAL and seen.saw(HOST, path_lookup.route(path.address).interface)):
        return None
    for place, event, rule in chains.passed(seen.events, TRANSLATING):
        what = chains.text_of(event)
        return _of_rule(path, what, f"{place}, {what}", rule)
    place = seen.collided[0]
    unknown = _of_rule(path, f"translated source ports of {place.name}", str(place), "")
    shows = f"{place.command('nft list ruleset')}; {place.command('iptables-legacy -t nat -S')}"
    fix = f"{unknown.fix}; find its rule: {shows}"
    return replace(unknown, fix=fix)
