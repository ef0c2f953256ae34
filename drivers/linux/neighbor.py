"""Rows of the kernel's neighbour tables and forwarding databases, in packed netlink messages.

A network of a thousand peers is some thousand rows, so this speaks rtnetlink itself (rtnetlink(7), linux/neighbour.h):
many rows a system call, one acknowledgement a batch. Every function acts in the calling thread's namespace.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import ip_address
from typing import Literal, NamedTuple

from drivers.api import KernelError
from drivers.linux.errors import refusal
from drivers.linux.netlink import DUMP_ATTEMPTS

NEW, DELETE, GET = 28, 29, 30  # RTM_*NEIGH
ERROR, DONE = 2, 3  # NLMSG_*
REQUEST, ACK, DUMP_INTERRUPTED, REPLACE, DUMP, CREATE, APPEND = 0x1, 0x4, 0x10, 0x100, 0x300, 0x400, 0x800  # NLM_F_*
DST, LLADDR, BRIDGE = 1, 2, 9  # NDA_DST, NDA_LLADDR, NDA_MASTER
SELF, MASTER = 0x02, 0x04  # NTF_*
NOARP, PERMANENT = 0x40, 0x80  # NUD_*
HEADER, NDMSG = struct.Struct("=IHHII"), struct.Struct("=BxxxiHBB")
ATTRIBUTE, CODE = struct.Struct("=HH"), struct.Struct("=i")
CAP_ACK, SOL_NETLINK = 10, 270
BATCH = 256  # messages; their refusals, should all be refused, fit the socket's buffer
RECEIVE = 1 << 17
TIMEOUT = 30.0  # seconds
ALL_ZERO = bytes(6)

Kind = Literal["forward", "flood", "port", "neighbor"]
Encoder = Callable[["Row"], tuple[int, int, bytes]]


class Row(NamedTuple):
    """One row. What ``key`` and ``value`` are depends on the kind.

    ``forward``: a VXLAN device sends frames for a MAC (key) to a VTEP (value). ``flood``: it sends what has no row of
    its own to a VTEP (key) too. ``port``: the bridge sends frames for a MAC (key) out of this port, whatever it hears.
    ``neighbor``: an address (key) is at a MAC (value), for good.
    """

    kind: Kind
    link: int
    key: str
    value: str = ""


def change(add: Iterable[Row] = (), remove: Iterable[Row] = ()) -> None:
    """Add rows, replacing those that differ, then remove rows; idempotent both ways.

    Goes on after a refusal and raises the first as `KernelError` at the end.
    """
    first: Exception | None = None
    with _socket() as opened:
        for rows, encode, ignored in ((add, _added, ()), (remove, _removed, (errno.ENOENT, errno.ESRCH))):
            for row, code in _send(opened, list(rows), encode):
                if code not in ignored:
                    first = first or refusal("program", f"{row.kind} {row.key} on link {row.link}", code)
    if first is not None:
        raise first


def rows(vxlans: Iterable[int]) -> set[Row]:
    """All rows of these VXLAN devices (by index), and of the bridge for them; learned and local ones left out."""
    chosen, found = set(vxlans), set[Row]()
    with _socket() as opened:
        for family in (socket.AF_BRIDGE, socket.AF_INET, socket.AF_INET6):
            found.update(row for m in _dump(opened, family) if (row := _read(m)) is not None and row.link in chosen)
    return found


def _socket() -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    opened.setsockopt(SOL_NETLINK, CAP_ACK, 1)
    opened.settimeout(TIMEOUT)
    return opened


def _added(row: Row) -> tuple[int, int, bytes]:
    return NEW, CREATE | (APPEND if row.kind == "flood" else REPLACE), _body(row)


def _removed(row: Row) -> tuple[int, int, bytes]:
    return DELETE, 0, _body(row)


def _body(row: Row) -> bytes:
    match row.kind:
        case "forward":
            return _ndmsg(socket.AF_BRIDGE, row.link, PERMANENT, SELF, _mac(row.key), _packed(row.value))
        case "flood":
            return _ndmsg(socket.AF_BRIDGE, row.link, PERMANENT, SELF, ALL_ZERO, _packed(row.key))
        case "port":
            return _ndmsg(socket.AF_BRIDGE, row.link, NOARP, MASTER, _mac(row.key))
        case "neighbor":
            address = _packed(row.key)
            family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
            return _ndmsg(family, row.link, PERMANENT, 0, _mac(row.value), address)


def _ndmsg(family: int, link: int, state: int, flags: int, mac: bytes, address: bytes = b"") -> bytes:
    body = NDMSG.pack(family, link, state, flags, 0) + ATTRIBUTE.pack(10, LLADDR) + mac + b"\0\0"
    return body + ATTRIBUTE.pack(4 + len(address), DST) + address if address else body


def _send(opened: socket.socket, todo: Sequence[Row], encode: Encoder) -> Iterator[tuple[Row, int]]:
    """Send rows in batches; gives back each that was refused, with its errno."""
    for start in range(0, len(todo), BATCH):
        batch = todo[start : start + BATCH]
        messages = []
        for number, row in enumerate(batch):
            kind, flags, body = encode(row)
            flags |= REQUEST | (ACK if number == len(batch) - 1 else 0)
            messages.append(HEADER.pack(HEADER.size + len(body), kind, flags, number, 0) + body)
        opened.send(b"".join(messages))
        yield from ((batch[number], code) for number, code in _answers(opened, len(batch) - 1))


def _answers(opened: socket.socket, last: int) -> Iterator[tuple[int, int]]:
    """(number, errno) of every refused message, up to the acknowledgement of the last one."""
    while True:
        for kind, _, number, body in _messages(opened.recv(RECEIVE)):
            if kind == ERROR:
                code = -CODE.unpack_from(body)[0]
                if code:
                    yield number, code
                if number == last:
                    return


def _dump(opened: socket.socket, family: int) -> list[bytes]:
    """The bodies of a family's rows, read again when the table changed meanwhile; `KernelError` when it never rests."""
    for _ in range(DUMP_ATTEMPTS):
        opened.send(HEADER.pack(HEADER.size + NDMSG.size, GET, REQUEST | DUMP, 0, 0) + NDMSG.pack(family, 0, 0, 0, 0))
        found, interrupted, done = list[bytes](), False, False
        while not done:
            for kind, flags, _, body in _messages(opened.recv(RECEIVE)):
                interrupted |= bool(flags & DUMP_INTERRUPTED)
                done |= kind in (DONE, ERROR)
                if kind == NEW:
                    found.append(body)
        if not interrupted:
            return found
    raise KernelError("list", "neighbours", errno.EINTR)


def _messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    offset = 0
    while offset + HEADER.size <= len(data):
        length, kind, flags, number, _ = HEADER.unpack_from(data, offset)
        yield kind, flags, number, data[offset + HEADER.size : offset + length]
        offset += length + 3 & ~3


def _read(body: bytes) -> Row | None:
    family, link, state, flags, _ = NDMSG.unpack_from(body)
    attributes = _attributes(body)
    mac, address = attributes.get(LLADDR, b"").hex(":"), attributes.get(DST, b"")
    if family != socket.AF_BRIDGE:
        return Row("neighbor", link, _text(address), mac) if state & PERMANENT else None
    if BRIDGE in attributes:
        return Row("port", link, mac) if state & NOARP else None
    if not flags & SELF or not address:
        return None
    return (
        Row("flood", link, _text(address)) if not any(attributes[LLADDR]) else Row("forward", link, mac, _text(address))
    )


def _attributes(body: bytes) -> dict[int, bytes]:
    found, offset = {}, NDMSG.size
    while offset + ATTRIBUTE.size <= len(body):
        length, kind = ATTRIBUTE.unpack_from(body, offset)
        found[kind] = body[offset + ATTRIBUTE.size : offset + length]
        offset += length + 3 & ~3
    return found


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _packed(text: str) -> bytes:
    return ip_address(text).packed


def _text(packed: bytes) -> str:
    return str(ip_address(packed))
