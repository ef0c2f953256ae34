"""Determine whether the rules of iptables-legacy drop a packet, without sending the packet.

Each condition of a rule is true, false or unknown for the packet. A dropping rule with an unknown condition is skipped.
If a rule with an unknown condition may accept the packet, the examination ends without a result. Runs in the calling
thread's network namespace. linux/netfilter_ipv4/ip_tables.h and linux/netfilter/x_tables.h define the structures.

A parameter ``steps`` has pairs of a netfilter hook, such as "forward", and the packet as it is at this hook. Each IP
version's tables are read only once.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from functools import cache

from drivers.firewall.legacy_tables import Dropping, Entry, Table, Translating, tables
from drivers.firewall.packets import Packet
from drivers.firewall.rule_reading import DEPTH_LIMIT, STEP_LIMIT
from drivers.firewall.rule_values import NUMBERS, all_of, turned
from drivers.firewall.xt_matches import matches
from drivers.model import IPAddress

ORDER = ("raw", "mangle", "filter")
ACCEPT, RETURN = -2, -5  # verdicts of standard targets: -NF_ACCEPT - 1, XT_RETURN
CONTINUING = frozenset(
    ("AUDIT", "CHECKSUM", "CLASSIFY", "CONNMARK", "CONNSECMARK", "DSCP", "HL", "LOG", "MARK", "NFLOG", "SECMARK", "SET",
     "TCPMSS", "TOS", "TRACE", "TTL")
)  # fmt: skip
"""Targets after which the next rule is examined."""
MATCHES = {4: 112, 6: 168}  # size of an entry before its matches, in bytes
INTERFACES = {4: 16, 6: 64}  # offset of 4 fields of 16 bytes: names of input and output interface, then their masks
PROTOCOL, FLAGS, INVERTED = {4: 80, 6: 128}, {4: 82, 6: 131}, {4: 83, 6: 132}  # offsets of fields
FRAGMENTS, GOTO = {4: 1, 6: 0}, {4: 2, 6: 4}  # bits of FLAGS
IN, OUT, SOURCE, DESTINATION, WHOLE, OTHER = 1, 2, 8, 16, 32, 64
"""Bits of INVERTED: IPT_INV_VIA_IN, _VIA_OUT, _SRCIP, _DSTIP, _FRAG and _PROTO."""


class Unproven(Exception):
    """Raised if a rule with an unknown condition or target may decide about the packet."""


def find_drops(steps: Iterable[tuple[str, Packet]]) -> Iterator[tuple[Packet, Dropping]]:
    """Yield each packet that is certainly dropped, with the first rule or policy that drops it."""
    loaded = cache(_by_name)
    for hook, packet in steps:
        for table in (loaded(packet.version)[name] for name in ORDER if name in loaded(packet.version)):
            dropping = _Reader(table, packet).decide(hook.upper())
            if dropping is not None:
                yield packet, dropping
                break


def find_translations(steps: Iterable[tuple[str, Packet]]) -> Iterator[tuple[Packet, Translating]]:
    """Yield each packet whose destination is certainly changed by a rule, with this rule.

    Only the hooks "prerouting" and "output" are examined, because DNAT is done there.
    """
    loaded = cache(_by_name)
    for hook, packet in steps:
        table = loaded(packet.version).get("nat") if hook in ("prerouting", "output") else None
        decision = _Reader(table, packet).decide(hook.upper()) if table is not None else None
        if isinstance(decision, Translating):
            yield packet, decision


def _by_name(version: int) -> dict[str, Table]:
    return {table.name: table for table in tables(version)}


class _Reader:
    """Evaluates the rules of one table for one packet."""

    def __init__(self, table: Table, packet: Packet) -> None:
        self._table, self._packet, self._version = table, packet, packet.version
        self._steps = 0

    def decide(self, chain: str) -> Dropping | None:
        """Return the rule or policy of a base chain that certainly drops or translates the packet, or None.

        ``chain`` is the chain's name. None means that the packet passes unchanged, or that the result is unknown.
        """
        if chain not in self._table.starts:
            return None
        try:
            decision = self._walk(self._table.starts[chain])
            decision = decision or self._walk(self._table.policies[chain])
        except Unproven:
            return None
        return self._table.dropping(decision) if decision is not None and decision.decides else None

    def _walk(self, at: int, depth: int = 0) -> Entry | None:
        """Return the rule or policy that decides about the packet, or None if the chain returns without a decision.

        The search begins at the offset ``at``; ``depth`` is the number of jumps so far. The result accepts, drops or
        translates the packet. Raises `Unproven` if a rule with an unknown condition or target may decide, and at the
        `STEP_LIMIT` or `DEPTH_LIMIT`.
        """
        while (entry := self._table.entries.get(at)) is not None and depth <= DEPTH_LIMIT and self._steps < STEP_LIMIT:
            self._steps += 1
            at += len(entry.data)
            matches = self._matches(entry)
            if matches is False or entry.name in CONTINUING or (matches is None and entry.drops):
                continue
            if matches is None or (entry.name and not entry.decides):
                raise Unproven
            if entry.decides or entry.verdict == ACCEPT:
                return entry
            if entry.verdict == RETURN:
                return None
            decision = self._walk(entry.verdict, depth + 1)
            if decision is not None or entry.data[FLAGS[self._version]] & GOTO[self._version]:
                return decision
        raise Unproven

    def _matches(self, entry: Entry) -> bool | None:
        """Return whether all conditions of a rule match the packet, or None if that is unknown."""
        return all_of([*self._header(entry.data), *self._extensions(entry)])

    def _header(self, data: bytes) -> Iterator[bool | None]:
        version, packet = self._version, self._packet
        size = 4 if version == 4 else 16
        inverted = data[INVERTED[version]]
        ends = (packet.source, SOURCE), (packet.destination, DESTINATION)
        for end, (address, bit) in enumerate(ends):
            value, mask = data[end * size :][:size], data[(2 + end) * size :][:size]
            yield turned(_is_in(address, value, mask), inverted & bit)
        for end, (name, bit) in enumerate(((packet.received, IN), (packet.sent, OUT))):
            at = INTERFACES[version] + 16 * end
            yield turned(_is_at(name, data[at : at + 16], data[at + 32 : at + 48]), inverted & bit)
        protocol = struct.unpack_from("=H", data, PROTOCOL[version])[0]
        yield turned(protocol in (0, NUMBERS[packet.l4]), inverted & OTHER)
        yield turned(not data[FLAGS[version]] & FRAGMENTS[version], inverted & WHOLE)

    def _extensions(self, entry: Entry) -> Iterator[bool | None]:
        at = MATCHES[self._version]
        while at < entry.target:
            size = struct.unpack_from("=H", entry.data, at)[0]
            name = entry.data[at + 2 : at + 31].rstrip(b"\0").decode("ascii", "replace")
            yield matches(name, entry.data[at + 32 : at + size], self._packet)
            at += size or len(entry.data)


def _is_in(address: IPAddress | None, value: bytes, mask: bytes) -> bool | None:
    if not any(mask):
        return True
    if address is None:
        return None
    return int(address) & int.from_bytes(mask) == int.from_bytes(value)


def _is_at(name: str, value: bytes, mask: bytes) -> bool | None:
    if not any(mask):
        return True
    if not name:
        return None
    padded = name.encode().ljust(len(mask), b"\0")
    return all((left ^ right) & bit == 0 for left, right, bit in zip(padded, value, mask, strict=True))
