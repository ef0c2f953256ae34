"""The address ranges on a host's interfaces, read at a fraction of what an object for each message costs.

A host with a thousand networks has a thousand addresses, and every new network must avoid them all. Knows the layout
of the messages of two dumps (rtnetlink(7), RTM_GETADDR and RTM_GETROUTE) and nothing of whose addresses they are.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections.abc import Callable, Iterable
from typing import NamedTuple

from drivers.linux.errors import kernel_errors, refusal
from drivers.linux.netlink import DUMP_ATTEMPTS

RTM_GETADDR, RTM_GETROUTE = 22, 26
SOL_NETLINK, GET_STRICT_CHK = 270, 12
NLM_F_REQUEST, NLM_F_DUMP, NLM_F_DUMP_INTR = 0x01, 0x300, 0x10
NLMSG_ERROR, NLMSG_DONE = 2, 3
IFA_ADDRESS, IFA_LOCAL, RTA_DST = 1, 2, 1
MAIN, KERNEL, LINK = 254, 2, 253  # RT_TABLE_MAIN, RTPROT_KERNEL, RT_SCOPE_LINK
HEADER, ADDRESS, ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BBBBI"), struct.Struct("=HH")
FAMILY, PREFIX, FIRST, SECOND, OWN = 16, 17, (26, 27), (34, 35), 36  # where a message of an address has them:
USUAL = struct.Struct("=16xB9xH6xH4x")  # family, the types of two attributes, and the second's value
PROTOCOL = 21  # where a message of a route has it
ROUTE = struct.Struct("=BBBBBBBBI")  # family, destination's length, …, table, protocol, scope, type, flags
BUFFER = 1 << 16
FAMILIES = {4: (socket.AF_INET, 32), 6: (socket.AF_INET6, 128)}

Range = tuple[int, int]
"""First and last address, as integers."""


class _Interrupted(Exception):
    """The list changed while it was read."""


def ranges(version: int) -> list[Range]:
    """The subnets of all addresses of IP ``version`` in the calling thread's namespace, as the kernel lists them.

    Raises `KernelError`, with EINTR where the list never holds still.
    """
    family, bits = FAMILIES[version]
    reading = Reading(lambda data, start, end: _of_address(data, start, end, bits), _addresses_alike)
    return _read(RTM_GETADDR, ADDRESS.pack(family, 0, 0, 0, 0), reading)


def on_link_routes() -> list[Range]:
    """The destinations of IPv4 routes that somebody made to an interface itself, through no gateway; no default.

    Those that the kernel makes tell nothing that addresses do not.
    """
    return _read(RTM_GETROUTE, ROUTE.pack(socket.AF_INET, 0, 0, 0, MAIN, 0, 0, 0, 0), Reading(_of_route, _routes_alike))


class Reading(NamedTuple):
    """How messages are read: ``one`` tells of the data it is in, from where its body begins to where it ends.

    ``alike`` reads all of the data, messages of one kind and so many bytes each; None where it can't at one go.
    """

    one: Callable[[bytes, int, int], Range | None]
    alike: Callable[[bytes, int], list[Range] | None]


def _read(kind: int, body: bytes, reading: Reading) -> list[Range]:
    for _ in range(DUMP_ATTEMPTS):
        try:
            with kernel_errors("list", "addresses"), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as opened:
                opened.setsockopt(SOL_NETLINK, GET_STRICT_CHK, 1)  # or every table of routes would come
                opened.send(HEADER.pack(HEADER.size + len(body), kind, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + body)
                return _answer(opened, reading)
        except _Interrupted:
            continue
    raise refusal("list", "addresses", errno.EINTR)


def _answer(opened: socket.socket, reading: Reading) -> list[Range]:
    found: list[Range] = []
    done = False
    while not done:
        data = opened.recv(BUFFER)
        together = reading.alike(data, size) if (size := _size_if_alike(data)) else None
        if together is None:
            together = []
            done = _one_by_one(data, reading, together)
        found += together
    return found


def _size_if_alike(data: bytes) -> int:
    """How many bytes each message has, where all are of one length, kind and flags; else 0.

    A slice with a step looks at one byte of every message at once.
    """
    length, kind, flags, _, _ = HEADER.unpack_from(data)
    size = _aligned(length)
    if kind in (NLMSG_DONE, NLMSG_ERROR) or flags & NLM_F_DUMP_INTR or len(data) % size:
        return 0
    return size if _is_same(data, size, range(8)) else 0


def _is_same(data: bytes, size: int, places: Iterable[int]) -> bool:
    """Tell whether all messages have the same bytes at these places."""
    count = len(data) // size
    return all(data[place::size] == data[place : place + 1] * count for place in places)


def _addresses_alike(data: bytes, size: int) -> list[Range] | None:
    """IPv4 addresses whose attributes begin as the kernel mostly has them: the other end's address, then our own."""
    if size < USUAL.size or not _is_same(data, size, (FAMILY, *FIRST, *SECOND)):
        return None
    family, first, second = USUAL.unpack_from(data)
    if family != socket.AF_INET or (first, second) != (IFA_ADDRESS, IFA_LOCAL):
        return None
    count = len(data) // size
    packed = bytearray(4 * count)
    for byte in range(4):
        packed[byte::4] = data[OWN + byte :: size]
    addresses = struct.unpack(f">{count}I", packed)
    return [
        (first := address >> free << free, first | (1 << free) - 1)
        for address, free in zip(addresses, [32 - prefix for prefix in data[PREFIX::size]], strict=True)
    ]


def _routes_alike(data: bytes, size: int) -> list[Range] | None:
    """No routes, where all are the kernel's, as those of our bridges are."""
    return [] if data[PROTOCOL] == KERNEL and _is_same(data, size, (PROTOCOL,)) else None


def _of_address(data: bytes, start: int, end: int, bits: int) -> Range:
    return _range(_address(data, start, end), bits - data[start + 1])


def _of_route(data: bytes, start: int, end: int) -> Range | None:
    length, protocol, scope = data[start + 1], data[start + 5], data[start + 6]
    if protocol == KERNEL or scope != LINK or not length:
        return None
    at = start + ROUTE.size
    while at < end:
        size, kind = ATTRIBUTE.unpack_from(data, at)
        if kind == RTA_DST:
            return _range(data[at + ATTRIBUTE.size : at + size], 32 - length)
        at += _aligned(size)
    return None


def _range(address: bytes, host_bits: int) -> Range:
    first = int.from_bytes(address) >> host_bits << host_bits
    return first, first + (1 << host_bits) - 1


def _one_by_one(data: bytes, reading: Reading, found: list[Range]) -> bool:
    """Read messages of any kind, adding to ``found``; whether the last of all was among them."""
    start = 0
    while start < len(data):
        length, kind, flags, _, _ = HEADER.unpack_from(data, start)
        if flags & NLM_F_DUMP_INTR:
            raise _Interrupted
        if kind == NLMSG_DONE:
            return True
        if kind == NLMSG_ERROR:
            code = -int.from_bytes(data[start + HEADER.size : start + HEADER.size + 4], sys.byteorder, signed=True)
            raise OSError(code, "dump refused")
        item = reading.one(data, start + HEADER.size, start + length)
        if item is not None:
            found.append(item)
        start += _aligned(length)
    return False


def _address(data: bytes, start: int, end: int) -> bytes:
    """Find the interface's own address in one message; on a point-to-point link IFA_ADDRESS is the other end's."""
    at, found = start + ADDRESS.size, b""
    while at < end:
        length, kind = ATTRIBUTE.unpack_from(data, at)
        if kind == IFA_LOCAL:
            return data[at + ATTRIBUTE.size : at + length]
        if kind == IFA_ADDRESS:
            found = data[at + ATTRIBUTE.size : at + length]
        at += _aligned(length)
    return found


def _aligned(length: int) -> int:
    return length + 3 & ~3
