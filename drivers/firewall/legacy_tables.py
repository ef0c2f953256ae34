"""Read the packet counters of iptables-legacy rules that drop packets. nftables neither lists nor traces these rules.

The kernel returns a table as one block of entries (linux/netfilter_ipv4/ip_tables.h). The functions run in the calling
thread's network namespace, change nothing, and load no table.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

_libc = ctypes.CDLL(None, use_errno=True)
GET_INFO, GET_ENTRIES = 64, 65  # socket options IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES; the same numbers for IPv6
NAMES = {4: "/proc/thread-self/net/ip_tables_names", 6: "/proc/thread-self/net/ip6_tables_names"}
FAMILIES, LEVELS = {4: socket.AF_INET, 6: socket.AF_INET6}, {4: socket.IPPROTO_IP, 6: socket.IPPROTO_IPV6}
INFO = struct.Struct("=32sI5I5III")
# Positions in an entry, in bytes, by IP version. OFFSETS: the offset of the target, then the offset of the next entry.
# COUNTERS: the counters of packets and bytes.
OFFSETS, COUNTERS = {4: 88, 6: 140}, {4: 96, 6: 152}
HEADER = 40  # bytes of the fields "name" and "size" before the first entry
VERDICT, DROP = 32, -1  # byte offset of a standard target's verdict; NF_DROP is stored as -NF_DROP - 1
CHAINS = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")


class Dropping(NamedTuple):
    """A rule or policy that drops packets: its program, table, chain and rule number (0 for the policy)."""

    program: str
    table: str
    chain: str
    number: int


def counters() -> dict[Dropping, int]:
    """Return the number of packets that each dropping rule of iptables-legacy and ip6tables-legacy has dropped."""
    found: dict[Dropping, int] = {}
    for version, file in NAMES.items():
        try:
            with open(file, encoding="ascii") as names:
                tables = names.read().split()
        except OSError:
            continue
        for table in tables:
            found.update(_read(version, table))
    return found


def _read(version: int, table: str) -> Iterator[tuple[Dropping, int]]:
    with socket.socket(FAMILIES[version], socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        info = _option(sock, version, GET_INFO, table.encode().ljust(32, b"\0"), INFO.size)
        if info is None:
            return
        _, hooks, *numbers = INFO.unpack(info)
        entries, policies, size = numbers[:5], numbers[5:10], numbers[11]
        request = struct.pack("=32sI", table.encode(), size)
        data = _option(sock, version, GET_ENTRIES, request, HEADER + size)
    if data is None:
        return
    program = "iptables-legacy" if version == 4 else "ip6tables-legacy"
    starts = {entries[n]: name for n, name in enumerate(CHAINS) if hooks >> n & 1}
    ends = {policies[n] for n in range(5) if hooks >> n & 1}
    at, chain, number = 0, "", 0
    while at < size:
        entry = data[HEADER + at :]
        target, following = struct.unpack_from("=HH", entry, OFFSETS[version])
        name = entry[target + 2 : target + 31].rstrip(b"\0")
        if at in starts:
            chain, number = starts[at], 0
        number += 1
        if name == b"ERROR":
            chain = entry[target + VERDICT : target + 62].split(b"\0")[0].decode("ascii", "replace")
            number = 0
        elif name in (b"REJECT", b"DROP") or (
            not name and struct.unpack_from("=i", entry, target + VERDICT)[0] == DROP
        ):
            place = Dropping(program, table, chain, 0 if at in ends else number)
            yield place, struct.unpack_from("=Q", entry, COUNTERS[version])[0]
        at += following or size


def _option(sock: socket.socket, version: int, option: int, request: bytes, size: int) -> bytes | None:
    """Return the value of a socket option whose buffer also holds the request, or None if the kernel refuses it."""
    buffer = ctypes.create_string_buffer(request, size)
    length = ctypes.c_uint32(size)
    code = _libc.getsockopt(sock.fileno(), LEVELS[version], option, buffer, ctypes.byref(length))
    return buffer.raw if code == 0 else None
