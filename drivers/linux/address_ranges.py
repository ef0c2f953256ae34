"""The address ranges on a host's interfaces, read at a fraction of what an object for each message costs.

A host with a thousand networks has a thousand addresses, and every new network must avoid them all. Knows the layout
of the messages of two dumps (rtnetlink(7), RTM_GETADDR and RTM_GETROUTE) and nothing of whose addresses they are.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections.abc import Callable, Iterator

from drivers.linux.netlink import DUMP_ATTEMPTS, doing, refusal

RTM_GETADDR, RTM_GETROUTE = 22, 26
SOL_NETLINK, GET_STRICT_CHK = 270, 12
NLM_F_REQUEST, NLM_F_DUMP, NLM_F_DUMP_INTR = 0x01, 0x300, 0x10
NLMSG_ERROR, NLMSG_DONE = 2, 3
IFA_ADDRESS, IFA_LOCAL, RTA_DST = 1, 2, 1
MAIN, KERNEL, LINK = 254, 2, 253  # RT_TABLE_MAIN, RTPROT_KERNEL, RT_SCOPE_LINK
HEADER, ADDRESS, ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BBBBI"), struct.Struct("=HH")
USUAL = struct.Struct("=xB6x2xH4x2xH4s")  # an address of IPv4 with the two attributes that the kernel writes first
ROUTE = struct.Struct("=BBBBBBBBI")  # family, destination's length, …, table, protocol, scope, type, flags
BUFFER = 1 << 16
IPV4 = bytes([socket.AF_INET])
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
    return _read(
        RTM_GETADDR, ADDRESS.pack(family, 0, 0, 0, 0), lambda data, start, end: _of_address(data, start, end, bits)
    )


def on_link_routes() -> list[Range]:
    """The destinations of IPv4 routes that somebody made to an interface itself, through no gateway; no default.

    Those that the kernel makes tell nothing that addresses do not.
    """
    return _read(RTM_GETROUTE, ROUTE.pack(socket.AF_INET, 0, 0, 0, MAIN, 0, 0, 0, 0), _of_route)


Reading = Callable[[bytes, int, int], Range | None]
"""What one message tells: the data that it is in, and where its body begins and ends."""


def _read(kind: int, body: bytes, reading: Reading) -> list[Range]:
    for _ in range(DUMP_ATTEMPTS):
        try:
            with doing("list", "addresses"), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as opened:
                opened.setsockopt(SOL_NETLINK, GET_STRICT_CHK, 1)  # or every table of routes would come
                return [found for place in _dump(opened, kind, body) if (found := reading(*place)) is not None]
        except _Interrupted:
            continue
    raise refusal("list", "addresses", errno.EINTR)


def _of_address(data: bytes, start: int, end: int, bits: int) -> Range:
    if data[start : start + 1] == IPV4 and end - start >= USUAL.size:  # as all but strange ones are: at one go
        prefix, first, second, address = USUAL.unpack_from(data, start)
        if first == IFA_ADDRESS and second == IFA_LOCAL:
            return _range(address, bits - prefix)
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


def _dump(opened: socket.socket, wanted: int, body: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield every message: the data that it is in, and where its body begins and ends."""
    opened.send(HEADER.pack(HEADER.size + len(body), wanted, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + body)
    while True:
        data, start = opened.recv(BUFFER), 0
        while start < len(data):
            length, kind, flags, _, _ = HEADER.unpack_from(data, start)
            if flags & NLM_F_DUMP_INTR:
                raise _Interrupted
            if kind == NLMSG_DONE:
                return
            if kind == NLMSG_ERROR:
                code = -int.from_bytes(data[start + HEADER.size : start + HEADER.size + 4], sys.byteorder, signed=True)
                raise OSError(code, "dump refused")
            yield data, start + HEADER.size, start + length
            start += _aligned(length)


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
