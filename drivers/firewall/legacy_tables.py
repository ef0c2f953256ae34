"""Read the tables of iptables-legacy, and the packet counters of their rules.

nftables neither lists nor traces the rules of iptables-legacy. The function `counters` returns only the counters of
rules and policies that drop packets or translate their destination.

The kernel returns a table as one block of entries (linux/netfilter_ipv4/ip_tables.h). The functions run in the calling
thread's network namespace, change nothing, and load no table.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_libc = ctypes.CDLL(None, use_errno=True)
GET_INFO, GET_ENTRIES = 64, 65  # socket options IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES; the same numbers for IPv6
NAMES = {4: "/proc/thread-self/net/ip_tables_names", 6: "/proc/thread-self/net/ip6_tables_names"}
FAMILIES, LEVELS = {4: socket.AF_INET, 6: socket.AF_INET6}, {4: socket.IPPROTO_IP, 6: socket.IPPROTO_IPV6}
INFO = struct.Struct("=32sI5I5III")
# Byte offsets of fields in an entry, by IP version. OFFSETS: the fields target_offset and next_offset. COUNTERS: the
# counters of packets and bytes.
OFFSETS, COUNTERS = {4: 88, 6: 140}, {4: 96, 6: 152}
HEADER = 40  # bytes of the fields "name" and "size" before the first entry
VERDICT, DROP = 32, -1  # byte offset of a standard target's verdict; NF_DROP is stored as -NF_DROP - 1
TRANSLATING = ("DNAT", "REDIRECT", "NETMAP")
CHAINS = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")


class Dropping(NamedTuple):
    """A rule or policy that drops packets: its program, table, chain and rule number (0 for the policy)."""

    program: str
    table: str
    chain: str
    number: int


class Translating(Dropping):
    """A rule that sends packets to another destination. It has the fields of `Dropping`, but drops no packet."""

    __slots__ = ()


class Entry(NamedTuple):
    """One rule of a table, or the policy of a base chain.

    - ``at``: the offset in the table
    - ``number``: the rule's number in its chain, or 0 for a policy
    - ``data``: the bytes of the entry
    - ``target``: the offset of the target in ``data``
    - ``name``: the target's name, or "" for a standard target
    - ``verdict``: what a standard target does. A negative number means accept, drop or return. Any other number is the
      offset of the entry to which the rule jumps.
    """

    at: int
    chain: str
    number: int
    data: bytes
    target: int
    name: str
    verdict: int

    @property
    def drops(self) -> bool:
        """Whether the target drops packets."""
        return self.name in ("REJECT", "DROP") or (not self.name and self.verdict == DROP)

    @property
    def translates(self) -> bool:
        """Whether the target changes the destination of packets."""
        return self.name in TRANSLATING

    @property
    def decides(self) -> bool:
        """Whether the target drops packets or changes their destination."""
        return self.drops or self.translates


class Table(NamedTuple):
    """One table of iptables-legacy, as read from the kernel.

    ``program`` is ``iptables-legacy`` or ``ip6tables-legacy``. ``name`` is the table's name. ``entries`` maps each
    offset to the rule or policy at this offset. ``starts`` maps each base chain to the offset of its first rule.
    ``policies`` maps each base chain to the offset of its policy.
    """

    program: str
    name: str
    entries: Mapping[int, Entry]
    starts: Mapping[str, int]
    policies: Mapping[str, int]

    def dropping(self, entry: Entry) -> Dropping:
        """Return the program, table, chain and rule number of an entry that drops or translates packets."""
        kind = Translating if entry.translates else Dropping
        return kind(self.program, self.name, entry.chain, entry.number)


def counters() -> dict[Dropping, int]:
    """Return how many packets each rule or policy of iptables-legacy and ip6tables-legacy has dropped or translated.

    Rules and policies that do neither are left out.
    """
    return {
        table.dropping(entry): struct.unpack_from("=Q", entry.data, COUNTERS[version])[0]
        for version in NAMES
        for table in tables(version)
        for entry in table.entries.values()
        if entry.decides
    }


def tables(version: int) -> Iterator[Table]:
    """Yield the tables of iptables-legacy that the kernel has loaded for an IP version, 4 or 6.

    A table that the kernel does not let this process read is left out.
    """
    try:
        with open(NAMES[version], encoding="ascii") as names:
            loaded = names.read().split()
    except OSError:
        return
    for name in loaded:
        table = _read(version, name)
        if table is not None:
            yield table


def _read(version: int, table: str) -> Table | None:
    with socket.socket(FAMILIES[version], socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        info = _option(sock, version, GET_INFO, table.encode().ljust(32, b"\0"), INFO.size)
        if info is None:
            return None
        _, hooks, *numbers = INFO.unpack(info)
        request = struct.pack("=32sI", table.encode(), numbers[11])
        data = _option(sock, version, GET_ENTRIES, request, HEADER + numbers[11])
    if data is None:
        return None
    program = "iptables-legacy" if version == 4 else "ip6tables-legacy"
    present = [(hook, name) for hook, name in enumerate(CHAINS) if hooks >> hook & 1]
    starts = {name: numbers[hook] for hook, name in present}
    policies = {name: numbers[5 + hook] for hook, name in present}
    entries = {entry.at: entry for entry in _entries(version, data[HEADER:], starts, set(policies.values()))}
    return Table(program, table, entries, starts, policies)


def _entries(version: int, data: bytes, starts: Mapping[str, int], policies: set[int]) -> Iterator[Entry]:
    names = {at: name for name, at in starts.items()}
    at, chain, number = 0, "", 0
    while at < len(data):
        target, following = struct.unpack_from("=HH", data, at + OFFSETS[version])
        entry = data[at : at + (following or len(data))]
        name = entry[target + 2 : target + 31].rstrip(b"\0").decode("ascii", "replace")
        if at in names:
            chain, number = names[at], 0
        number += 1
        if name == "ERROR":
            chain = entry[target + VERDICT : target + 62].split(b"\0")[0].decode("ascii", "replace")
            number = 0
        verdict = 0 if name else struct.unpack_from("=i", entry, target + VERDICT)[0]
        yield Entry(at, chain, 0 if at in policies else number, entry, target, name, verdict)
        at += len(entry)


def _option(sock: socket.socket, version: int, option: int, request: bytes, size: int) -> bytes | None:
    """Return the value of the socket option with the number ``option``, or None if the kernel refuses it.

    ``version`` is 4 or 6. The kernel reads ``request`` from a buffer of ``size`` bytes, and writes the value into the
    same buffer.
    """
    buffer = ctypes.create_string_buffer(request, size)
    length = ctypes.c_uint32(size)
    code = _libc.getsockopt(sock.fileno(), LEVELS[version], option, buffer, ctypes.byref(length))
    return buffer.raw if code == 0 else None
