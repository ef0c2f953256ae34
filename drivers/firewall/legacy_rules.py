"""Determine whether the rules of iptables-legacy drop a packet, without sending the packet.

Each condition of a rule is true, false or unknown for the packet. A dropping rule with an unknown condition is skipped.
At a rule with an unknown condition that may accept the packet, the examination ends without a result. Runs in the
calling thread's network namespace. The structures are those of linux/netfilter_ipv4/ip_tables.h and
linux/netfilter/xt_*.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from drivers.api import IPAddress
from drivers.firewall.legacy_tables import Dropping, Entry, Table, tables
from drivers.firewall.packets import Packet
from drivers.firewall.rule_reading import DEPTH_LIMIT, NUMBERS
from drivers.linux import echo

ORDER = ("raw", "mangle", "filter")
ACCEPT, RETURN = -2, -5  # verdicts of standard targets: -NF_ACCEPT - 1, XT_RETURN
CONTINUING = frozenset(
    ("AUDIT", "CHECKSUM", "CLASSIFY", "CONNMARK", "CONNSECMARK", "DSCP", "HL", "LOG", "MARK", "NFLOG", "SECMARK", "SET",
     "TCPMSS", "TOS", "TRACE", "TTL")
)  # fmt: skip
"""Targets after which the next rule is examined."""
MATCHES = {4: 112, 6: 168}  # size of an entry before its matches, in bytes
INTERFACES = {4: 16, 6: 64}  # offset of the names of the interfaces; four fields of 16 bytes
PROTOCOL, FLAGS, INVERTED = {4: 80, 6: 128}, {4: 82, 6: 131}, {4: 83, 6: 132}  # offsets of fields
FRAGMENTS, GOTO = {4: 1, 6: 0}, {4: 2, 6: 4}  # bits of FLAGS
IN, OUT, SOURCE, DESTINATION, OTHER = 1, 2, 8, 16, 64  # bits of INVERTED: IPT_INV_VIA_IN to IPT_INV_PROTO
STATES = {"established": 2, "new": 8}  # bits of XT_CONNTRACK_STATE_BIT
OTHER_STATES = 0xF0  # bits for SNAT and DNAT; a packet has these besides its state
TCP_FLAGS = {"new": 0x02, "established": 0x12}  # SYN; SYN and ACK
STEP_LIMIT = 100_000
"""Maximum number of rules examined for one packet. Without a limit, jumps in a container's rules could take forever."""
ANY_PORTS, ANY_TYPE = (0, 65535), 0xFF
CONNTRACK_FLAGS, BY_STATE, ALIAS = 146, 1, 1 << 13
"""Offset of match_flags in struct xt_conntrack_mtinfo1; the flags XT_CONNTRACK_STATE and XT_CONNTRACK_STATE_ALIAS."""


class Unproven(Exception):
    """Raised if a rule with an unknown condition or target may decide about the packet."""


def find_drops(steps: Iterable[tuple[str, Packet]]) -> Iterator[tuple[Packet, Dropping]]:
    """Yield the first proven drop for each step (a hook and a packet); the tables are read only once."""
    known: dict[int, list[Table]] = {}
    for hook, packet in steps:
        if packet.version not in known:
            loaded = {table.name: table for table in tables(packet.version)}
            known[packet.version] = [loaded[name] for name in ORDER if name in loaded]
        for table in known[packet.version]:
            dropping = _Reader(table, packet).decide(hook.upper())
            if dropping is not None:
                yield packet, dropping
                break


class _Reader:
    """Evaluates the rules of one table for one packet."""

    def __init__(self, table: Table, packet: Packet) -> None:
        self._table, self._packet, self._version = table, packet, packet.version
        self._steps = 0

    def decide(self, chain: str) -> Dropping | None:
        """Return the rule or policy of a base chain that drops the packet, or None if none is proven."""
        if chain not in self._table.starts:
            return None
        try:
            decision = self._walk(self._table.starts[chain])
            decision = decision or self._walk(self._table.policies[chain])
        except Unproven:
            return None
        return self._table.dropping(decision) if decision is not None and decision.drops else None

    def _walk(self, at: int, depth: int = 0) -> Entry | None:
        """Return the entry that accepts or drops the packet, or None if the chain returns."""
        while (entry := self._table.entries.get(at)) is not None and depth <= DEPTH_LIMIT and self._steps < STEP_LIMIT:
            self._steps += 1
            at += len(entry.data)
            matches = self._matches(entry)
            if matches is False or entry.name in CONTINUING or (matches is None and entry.drops):
                continue
            if matches is None or (entry.name and not entry.drops):
                raise Unproven
            if entry.drops or entry.verdict == ACCEPT:
                return entry
            if entry.verdict == RETURN:
                return None
            decision = self._walk(entry.verdict, depth + 1)
            if decision is not None or entry.data[FLAGS[self._version]] & GOTO[self._version]:
                return decision
        raise Unproven

    def _matches(self, entry: Entry) -> bool | None:
        """Return whether all conditions of a rule match the packet, or None if that is unknown."""
        return _all([*self._header(entry.data), *self._extensions(entry)])

    def _header(self, data: bytes) -> Iterator[bool | None]:
        version, packet = self._version, self._packet
        size = 4 if version == 4 else 16
        inverted = data[INVERTED[version]]
        ends = (packet.source, SOURCE), (packet.destination, DESTINATION)
        for place, (address, bit) in enumerate(ends):
            value, mask = data[place * size :][:size], data[(2 + place) * size :][:size]
            yield _turned(_is_in(address, value, mask), inverted & bit)
        for place, (name, bit) in enumerate(((packet.received, IN), (packet.sent, OUT))):
            at = INTERFACES[version] + 16 * place
            yield _turned(_is_at(name, data[at : at + 16], data[at + 32 : at + 48]), inverted & bit)
        protocol = struct.unpack_from("=H", data, PROTOCOL[version])[0]
        yield _turned(protocol in (0, NUMBERS[packet.l4]), inverted & OTHER)
        yield not data[FLAGS[version]] & FRAGMENTS[version]

    def _extensions(self, entry: Entry) -> Iterator[bool | None]:
        at = MATCHES[self._version]
        while at < entry.target:
            size = struct.unpack_from("=H", entry.data, at)[0]
            name = entry.data[at + 2 : at + 31].rstrip(b"\0").decode("ascii", "replace")
            yield self._extension(name, entry.data[at + 32 : at + size])
            at += size or len(entry.data)

    def _extension(self, name: str, data: bytes) -> bool | None:
        packet = self._packet
        if name == "comment":
            return True
        if name in ("tcp", "udp"):
            return self._ports(name, data) if packet.protocol == name else False
        if name in ("icmp", "icmp6"):
            return self._is_echo(data) if packet.protocol == "icmp" else False
        if name == "conntrack":
            flags, inverted, states = struct.unpack_from("=HHH", data, CONNTRACK_FLAGS)
            if flags & ~ALIAS != BY_STATE or states & OTHER_STATES:
                return None
            return _turned(bool(states & STATES[packet.state]), inverted & BY_STATE)
        return None

    def _ports(self, name: str, data: bytes) -> bool | None:
        low, high, first, last, *flags = struct.unpack_from("=4H4B" if name == "tcp" else "=4HB", data)
        conditions = [
            _turned(_is_between(self._packet.source_port, low, high), flags[-1] & 1),
            _turned(_is_between(self._packet.port, first, last), flags[-1] & 2),
        ]
        if name == "tcp":
            option, mask, expected, _ = flags
            conditions += [None if option else True]
            conditions += [_turned(TCP_FLAGS[self._packet.state] & mask == expected, flags[-1] & 4)]
        return _all(conditions)

    def _is_echo(self, data: bytes) -> bool:
        kind, _, _, inverted = data[:4]  # type, lowest and highest code, flag
        request, reply = echo.KINDS[self._version][2:]
        return (kind in (ANY_TYPE, request if self._packet.state == "new" else reply)) != bool(inverted)


def _all(conditions: Iterable[bool | None]) -> bool | None:
    known = list(conditions)
    if False in known:
        return False
    return None if None in known else True


def _turned(known: bool | None, inverted: int) -> bool | None:
    return None if known is None else known != bool(inverted)


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


def _is_between(port: int, low: int, high: int) -> bool | None:
    if (low, high) == ANY_PORTS:
        return True
    return low <= port <= high if port else None
