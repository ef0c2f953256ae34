"""Find other programs' rules that change the destination of a path's packets, or that prevent hawse's translation.

The translation is hawse's NAT for published ports and masquerading. This module reads the rules and sends no packets.
"""

from __future__ import annotations

from collections.abc import Sequence

from drivers.errors import DriverError
from drivers.firewall import legacy_rules
from drivers.firewall.legacy_tables import Translating
from drivers.firewall.packets import Packet
from drivers.firewall.rule_reading import (
    DNAT_PRIORITY,
    TRACKING_PRIORITY,
    TRANSLATIONS,
    UNTRACKED,
    Changed,
    find_statements,
    read,
)
from drivers.linux import path_lookup
from engine.diagnosis.trace import chains
from engine.diagnosis.trace.direct_access import options_of
from engine.diagnosis.trace.model import Culprit
from engine.diagnosis.trace.packet_path import EXTERNAL, ROUTED, PacketPath
from engine.diagnosis.trace.probing import neighbour_outside
from engine.diagnosis.trace.records import HOST, OUTSIDE


def changing(path: PacketPath) -> Culprit | None:
    """Return the culprit for a rule of the host that changes where the packets go, or None.

    Finds two kinds of rules of other programs. The first is a DNAT rule that comes before hawse's rules. The second
    exempts packets from connection tracking, although hawse must translate them.
    """
    if path.kind not in (ROUTED, EXTERNAL) or path.address.version != path.inner_address.version:
        return None
    searched: list[tuple[Sequence[str], str]] = []
    if path.target_member is not None:
        searched.append((TRANSLATIONS, "sends such packets somewhere else"))
    if path.binding is not None or is_masqueraded(path):
        searched.append((UNTRACKED, "keeps hawse from translating such packets"))
    try:
        steps, tables = [_step(path)], read() if searched else {}
    except (DriverError, OSError):
        return None
    for statements, effect in searched:
        for _, rule in find_statements(tables, steps, statements):
            if _precedes(rule, statements, is_published=path.binding is not None):
                detail = f"it {effect} by {chains.rule_in(HOST, rule)}"
                return chains.culprit(HOST, rule, detail, chains.removing(HOST, rule))
    return None


def of_legacy(path: PacketPath) -> tuple[Translating, Culprit] | None:
    """Find a rule of iptables-legacy that may change where the packets go; return it and its culprit, or None.

    The rule has no effect if hawse's rules come first. The kernel does not show which rules come first.
    """
    if path.kind not in (ROUTED, EXTERNAL) or path.target_member is None:
        return None
    try:
        proven = next(legacy_rules.find_translations([_step(path)]), None)
    except (DriverError, OSError):
        return None
    if proven is None:
        return None
    _, rule = proven
    detail = f"it sends such packets somewhere else by {chains.rule_in(HOST, rule)}"
    return rule, chains.culprit(HOST, rule, detail, chains.listing(HOST, rule))


def _precedes(rule: Changed, statements: Sequence[str], *, is_published: bool) -> bool:
    """Return whether the kernel applies a rule early enough to change where packets go.

    ``statements`` says what the rule does:

    - `UNTRACKED`: exempts packets from connection tracking. The rule must come before the connection tracking.
    - `TRANSLATIONS`: DNAT. The rule must come before hawse's DNAT rules. If the path leads through no published port
      (``is_published`` is False), the rule may also have the same priority as hawse's DNAT rules.
    """
    if statements == UNTRACKED:
        return rule.priority < TRACKING_PRIORITY
    return rule.precedes_dnat or (rule.priority == DNAT_PRIORITY and not is_published)


def is_masqueraded(path: PacketPath) -> bool:
    """Return whether hawse replaces the source address of packets on a path to an external machine."""
    near = path.source_member
    if path.kind != EXTERNAL or near is None or near.network.driver != "bridge" or near.network.internal:
        return False
    options = options_of(near)
    return options is not None and options.masquerades(path.address.version)


def _step(path: PacketPath) -> tuple[str, Packet]:
    """Return the first hook at which the host's rules see the packet, and the packet at this hook."""
    source = path.source_address
    if path.source.kind == OUTSIDE:
        source = neighbour_outside(path.source.interface, path.address)[0]
    packet = Packet(path.protocol, source, path.address, path.port)
    if path.source == HOST:
        return "output", packet.at("", path_lookup.route(path.address).interface)
    return "prerouting", packet.at(path.source_bridge or path.source.interface)
