"""The address ranges on a host's interfaces, read at a fraction of what an object for each message costs.

A host with a thousand networks has a thousand addresses, and every new network must avoid them all. Knows the layout
of the messages of one dump (rtnetlink(7), RTM_GETADDR) and nothing of whose addresses they are.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections.abc import Iterator

from drivers.linux.netlink import DUMP_ATTEMPTS, doing, refusal

RTM_GETADDR = 22
NLM_F_REQUEST, NLM_F_DUMP, NLM_F_DUMP_INTR = 0x01, 0x300, 0x10
NLMSG_ERROR, NLMSG_DONE = 2, 3
IFA_ADDRESS, IFA_LOCAL = 1, 2
HEADER, ADDRESS, ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BBBBI"), struct.Struct("=HH")
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
    for _ in range(DUMP_ATTEMPTS):
        try:
            with doing("list", "addresses"), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as opened:
                return [_range(address, bits - prefix) for address, prefix in _dump(opened, family)]
        except _Interrupted:
            continue
    raise refusal("list", "addresses", errno.EINTR)


def _range(address: bytes, host_bits: int) -> Range:
    first = int.from_bytes(address) >> host_bits << host_bits
    return first, first + (1 << host_bits) - 1


def _dump(opened: socket.socket, family: int) -> Iterator[tuple[bytes, int]]:
    """Yield every address with its prefix length."""
    body = ADDRESS.pack(family, 0, 0, 0, 0)
    opened.send(HEADER.pack(HEADER.size + len(body), RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + body)
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
            yield _address(data, start + HEADER.size, start + length), data[start + HEADER.size + 1]
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
