"""Find rules of other programs that send the packets of a path to another destination, or keep hawse from translating.

Reads the rules, and sends no packets.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from drivers.api import DriverError
from drivers.firewall.packets import Packet
from drivers.firewall.rule_reading import (
    DNAT_PRIORITY,
    TRACKING_PRIORITY,
    TRANSLATIONS,
    UNTRACKED,
    Changed,
    find_statements,
)
from drivers.linux import path_lookup
from engine.diagnosis.trace import rules
from engine.diagnosis.trace.destination import EXTERNAL, ROUTED, Way
from engine.diagnosis.trace.direct_access import options_of
from engine.diagnosis.trace.model import Culprit
from engine.diagnosis.trace.probing import neighbour_outside
from engine.diagnosis.trace.records import HOST
from engine.diagnosis.trace.source import OUTSIDE
from engine.diagnosis.trace.state import bridge_of


def changing(way: Way) -> Culprit | None:
    """Return the culprit for a rule of the host that changes where the packets go, or None.

    Such a rule is a DNAT rule of another program that comes before hawse's, or exempts packets that hawse must
    translate from connection tracking.
    """
    if way.kind not in (ROUTED, EXTERNAL) or way.address.version != way.inner_address.version:
        return None
    limit = DNAT_PRIORITY if way.binding is not None else DNAT_PRIORITY + 1
    moved = [one for one in _found(way, TRANSLATIONS) if way.target_member is not None and one.priority < limit]
    untracked = _found(way, UNTRACKED) if way.binding is not None or is_masqueraded(way) else []
    for rule in (*moved, *(one for one in untracked if one.priority < TRACKING_PRIORITY)):
        what = f"table {rule.table} chain {rule.chain}"
        effect = "sends such packets somewhere else" if rule in moved else "keeps hawse from translating such packets"
        shown = rules.rule_in(HOST, rule)
        return Culprit("foreign-firewall", what, f"host, {what}", f"it {effect} by {shown}", rules.removing(HOST, rule))
    return None


def is_masqueraded(way: Way) -> bool:
    """Return whether hawse replaces the source address of packets on a path to an external machine."""
    near, version = way.source_member, way.address.version
    if way.kind != EXTERNAL or near is None or near.network.driver != "bridge" or near.network.internal:
        return False
    options = options_of(near)
    return options is not None and options.masquerade and options.mode(version).startswith("nat")


def _found(way: Way, statements: Sequence[str]) -> list[Changed]:
    near, source = way.source_member, way.source_address
    if way.source.kind == OUTSIDE:
        source = neighbour_outside(way.source.interface, way.address)[0]
    packet = Packet(way.protocol, source, way.address, way.port)
    if way.source == HOST:
        step = ("output", packet.at("", path_lookup.route(way.address).interface))
    elif near is not None and near.network.driver == "bridge":
        step = ("prerouting", packet.at(bridge_of(near.network)))
    else:
        step = ("prerouting", packet.at(way.source.interface))
    try:
        return [rule for _, rule in HOST.inside(partial(find_statements, [step], statements))]
    except (DriverError, OSError):
        return []
