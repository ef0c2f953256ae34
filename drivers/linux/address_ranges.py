"""The address ranges on a host's interfaces, decoded from netlink messages without pyroute2.

Every new network must avoid the addresses of all existing networks. To decode a thousand addresses, pyroute2 needs 40
ms and this module 0.6 ms. The rest of `network create` takes 12 ms.

The module knows the message layout of two netlink lists (rtnetlink(7), RTM_GETADDR and RTM_GETROUTE). The module does
not know which program added an address.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple

from pyroute2.netlink.rtnl import RTM_GETADDR, RTM_GETROUTE

from drivers.linux import attributes, netlink
from drivers.linux.errors import kernel_errors
from drivers.linux.netlink import HEADER

GET_STRICT_CHK = 12
IFA_ADDRESS, IFA_LOCAL, RTA_DST = 1, 2, 1
MAIN, KERNEL, LINK = 254, 2, 253  # kernel constants RT_TABLE_MAIN, RTPROT_KERNEL, RT_SCOPE_LINK
ADDRESS = struct.Struct("=BBBBI")  # struct ifaddrmsg: family, prefix length, flags, scope, link
FAMILY, PREFIX, FIRST, SECOND, OWN = 16, 17, (26, 27), (34, 35), 36  # byte offsets in an RTM_NEWADDR message
USUAL = struct.Struct("=16xB9xH6xH4x")  # family and the types of the first two attributes in RTM_NEWADDR
PROTOCOL = 21  # byte offset of the field "protocol" in an RTM_NEWROUTE message
ROUTE = struct.Struct("=BBBBBBBBI")  # rtmsg: family, prefix length, 2 unused, table, protocol, scope, type, flags
FAMILIES = {4: (socket.AF_INET, 32), 6: (socket.AF_INET6, 128)}

Range = tuple[int, int]
"""First and last address of an address range, as integers."""


def ranges(version: int) -> list[Range]:
    """Return the subnets of all interface addresses of one family, as pairs of integers, in the kernel's order.

    Each pair is the first and the last address of a subnet. ``version`` is 4 or 6. Runs in the calling thread's network
    namespace. Raises `KernelError` with EINTR if the kernel's list changes during every attempt to read it.
    """
    family, bits = FAMILIES[version]
    reading = Reading(lambda data, start, end: _of_address(data, start, end, bits), _addresses_alike)
    return _read(RTM_GETADDR, ADDRESS.pack(family, 0, 0, 0, 0), reading)


def on_link_routes() -> list[Range]:
    """Return the destinations of IPv4 routes that lead directly to an interface, without a gateway.

    Each destination is a pair of integers: its first and its last address. Omits default routes. Also omits routes that
    the kernel made for addresses, because `ranges` returns these subnets.
    """
    return _read(RTM_GETROUTE, ROUTE.pack(socket.AF_INET, 0, 0, 0, MAIN, 0, 0, 0, 0), Reading(_of_route, _routes_alike))


class Reading(NamedTuple):
    """Two functions that decode the messages of a netlink list.

    - ``decode`` decodes one message. Its arguments are the data, and the offsets at which the message's body begins and
      ends.
    - ``decode_all`` decodes all messages in the data together, if they have the same type and size. Its arguments are
      the data and the size of each message. It returns None if it does not support the layout of the messages.
    """

    decode: Callable[[bytes, int, int], Range | None]
    decode_all: Callable[[bytes, int], list[Range] | None]


def _read(kind: int, body: bytes, reading: Reading) -> list[Range]:
    request = HEADER.pack(HEADER.size + len(body), kind, netlink.REQUEST | netlink.DUMP, 1, 0) + body
    with kernel_errors("list", "addresses"):
        for _ in netlink.dump_attempts():
            with suppress(InterruptedError), netlink.open_socket() as opened:
                # With this option, the kernel returns only the routes of the table that the request names.
                opened.setsockopt(netlink.SOL_NETLINK, GET_STRICT_CHK, 1)
                opened.send(request)
                return _answer(opened, reading)
        raise OSError(errno.EINTR, "list changed while it was read")


def _answer(opened: socket.socket, reading: Reading) -> list[Range]:
    collected: list[Range] = []
    done = False
    while not done:
        data = opened.recv(netlink.RECEIVE)
        together = reading.decode_all(data, size) if (size := _size_if_alike(data)) else None
        if together is None:
            together = []
            done = _one_by_one(data, reading, together)
        collected += together
    return collected


def _size_if_alike(data: bytes) -> int:
    """Return the size of each message if all messages have the same length, type and flags, else 0.

    Such messages can be decoded together: ``data[offset::size]`` has the byte at ``offset`` of every message.
    """
    length, kind, flags, _, _ = HEADER.unpack_from(data)
    size = _aligned(length)
    if kind in (netlink.DONE, netlink.ERROR) or flags & netlink.DUMP_INTERRUPTED or len(data) % size:
        return 0
    return size if _is_same(data, size, range(8)) else 0


def _is_same(data: bytes, size: int, offsets: Iterable[int]) -> bool:
    """Return whether all messages in ``data`` have the same bytes at ``offsets``.

    ``size`` is the size of each message. An offset counts from the message's first byte.
    """
    count = len(data) // size
    return all(data[offset::size] == data[offset : offset + 1] * count for offset in offsets)


def _addresses_alike(data: bytes, size: int) -> list[Range] | None:
    """Return the subnets of the IPv4 addresses in ``data``, or None if the messages do not have the usual layout.

    In the usual layout, the first attribute is the other end's address (IFA_ADDRESS), and the second is the own address
    (IFA_LOCAL). ``size`` is the size of each message.
    """
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
    """Return an empty list if the kernel made all routes in ``data``, otherwise None.

    The list is empty because `on_link_routes` omits the routes that the kernel made. Often ``data`` contains only such
    routes: one for each of hawse's bridges. ``size`` is the size of each message.
    """
    return [] if data[PROTOCOL] == KERNEL and _is_same(data, size, (PROTOCOL,)) else None


def _of_address(data: bytes, start: int, end: int, bits: int) -> Range:
    values = attributes.read(data[start:end], ADDRESS.size)
    local = (
        values.get(IFA_LOCAL) or values[IFA_ADDRESS]
    )  # IFA_ADDRESS is the other end's address on point-to-point links
    return _range(local, bits - data[start + 1])


def _of_route(data: bytes, start: int, end: int) -> Range | None:
    length, protocol, scope = data[start + 1], data[start + 5], data[start + 6]
    if protocol == KERNEL or scope != LINK or not length:
        return None
    destination = attributes.read(data[start:end], ROUTE.size).get(RTA_DST)
    return None if destination is None else _range(destination, 32 - length)


def _range(address: bytes, host_bits: int) -> Range:
    first = int.from_bytes(address) >> host_bits << host_bits
    return first, first + (1 << host_bits) - 1


def _one_by_one(data: bytes, reading: Reading, collected: list[Range]) -> bool:
    """Decode the messages in ``data`` one by one, and add their address ranges to ``collected``.

    Returns whether ``data`` contains the end of the kernel's list. Raises InterruptedError if the list changed during
    the reading, and OSError if the kernel refused to list.
    """
    start = 0
    while start < len(data):
        length, kind, flags, _, _ = HEADER.unpack_from(data, start)
        if flags & netlink.DUMP_INTERRUPTED:
            raise InterruptedError
        if kind == netlink.DONE:
            return True
        if kind == netlink.ERROR:
            raise OSError(-netlink.CODE.unpack_from(data, start + HEADER.size)[0], "dump refused")
        item = reading.decode(data, start + HEADER.size, start + length)
        if item is not None:
            collected.append(item)
        start += _aligned(length)
    return False


def _aligned(length: int) -> int:
    return length + 3 & ~3
