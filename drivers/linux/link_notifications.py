"""Notifications from the kernel about links, addresses, routes, neighbours and forwarding in one network namespace.

The messages are decoded without pyroute2, because a busy host sends hundreds of them a second. For a link, pyroute2
needs 110 us and this module 10 us.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from drivers.linux import attributes
from drivers.linux.errors import kernel_errors
from drivers.linux.netlink import Session, follow, messages, pending
from drivers.linux.socket_filter import ACCEPT, ANY_BIT, DROP, EQUAL, LOAD_BYTE, Instruction

Kind = Literal["link", "port", "address", "route", "neighbor", "forwarding"]

# Numbers of netlink multicast groups (RTNLGRP_*). In each pair, the first is for IPv4 and the second for IPv6.
LINKS, NEIGHBORS, ADDRESSES, ROUTES, FORWARDING = (1,), (3,), (5, 9), (7, 11), (24, 25)
HOST = (*LINKS, *ADDRESSES, *ROUTES, *FORWARDING)
SANDBOX = (*LINKS, *ADDRESSES, *ROUTES)
SWITCH = (*LINKS, *ADDRESSES, *ROUTES, *NEIGHBORS)
BUFFER_BYTES = 1 << 21  # receive buffer of a namespace in which hundreds of links may change together
GET_LINK = 18
READS = 1000
"""Maximum number of notifications that are read together. Because a process with CAP_NET_ADMIN in a container may cause
notifications faster than they are read, the caller serves other descriptors in between.
"""
NEW, GONE = {16: "link", 20: "address", 24: "route", 28: "neighbor", 80: "forwarding"}, 1
LINK, ADDRESS, ROUTE = struct.Struct("=BxHiII"), struct.Struct("=BBBBI"), struct.Struct("=BBBBBBBBI")
NEIGHBOR, NETCONF = struct.Struct("=BxxxiHBB"), struct.Struct("=Bxxx")
UP, NO_ARP = 1, 0x80  # flags IFF_*
MAIN, ALL_LINKS, PERMANENT = 254, -1, 0x80 | 0x40  # RT_TABLE_MAIN, NETCONFA_IFINDEX_ALL; NUD_* flags
MAC, NAME, MASTER, ALIAS = 1, 3, 10, 20  # attributes IFLA_*
OTHER_END, OWN, DESTINATION, OUT = 1, 2, 1, 4  # attributes IFA_ADDRESS, IFA_LOCAL, RTA_DST, RTA_OIF
OF_LINK, FORWARDS = 1, 2  # attributes NETCONFA_IFINDEX, NETCONFA_FORWARDING


_LITTLE = sys.byteorder == "little"
DELETED_ENTRIES = (
    (LOAD_BYTE, 0, 0, 4 if _LITTLE else 5), (EQUAL, 0, 5, 29),  # nlmsg_type: RTM_DELNEIGH
    (LOAD_BYTE, 0, 0, 16), (EQUAL, 0, 3, socket.AF_BRIDGE),  # ndm_family
    (LOAD_BYTE, 0, 0, 24 if _LITTLE else 25), (ANY_BIT, 0, 1, PERMANENT),  # ndm_state
    ACCEPT, DROP,
)  # fmt: skip
"""A BPF filter that accepts only one kind of message: a permanent entry was deleted from a forwarding database.

Without the filter, messages about learned entries and neighbours would wake the agent of a busy host hundreds of
times a second.
"""


class Change(NamedTuple):
    """One change of the kernel's state. A field that does not apply to the kind of change has its default.

    - ``kind``: the type of the changed object; "port" is a bridge port, and "forwarding" the IP forwarding of a link
    - ``gone``: whether the object was removed
    - ``link``: the index of the link that was changed or that has the changed object, or -1 for all links
    - ``name``, ``alias``, ``mac``: those of a changed link, or "" for another kind of change
    - ``master``: the index of the bridge (or bond …) that has the link as a port, or 0
    - ``address``, ``prefix``: the packed address and the prefix length of an interface's address or a route's
      destination; b"" and 0 for a default route
    - ``on``: whether a link is up with ARP enabled, or whether packets are forwarded
    - ``author``: the PID of the process that made the change, or 0 if unknown
    """

    kind: Kind
    gone: bool
    link: int
    name: str = ""
    alias: str = ""
    mac: str = ""
    on: bool = True
    master: int = 0
    address: bytes = b""
    prefix: int = 0
    author: int = 0


class LinkListener:
    """A listener for the changes in the namespace of the thread that creates the listener.

    ``groups`` are the kernel's multicast groups to receive, such as `HOST`. ``buffer_bytes`` and ``accepts`` are those
    of `drivers.linux.netlink.follow`.
    """

    def __init__(self, groups: tuple[int, ...], buffer_bytes: int = 0, accepts: Sequence[Instruction] = ()) -> None:
        self._socket = follow("links", groups, buffer_bytes=buffer_bytes, accepts=accepts)

    def fileno(self) -> int:
        """Return the file descriptor that becomes readable when the kernel has sent notifications."""
        return self._socket.fileno()

    def read(self) -> tuple[list[Change], bool]:
        """Return the changes since the last call, and whether the kernel dropped notifications; never blocks.

        Reads from the socket at most `READS` times. The next call returns the remaining changes.
        """
        notifications = list(pending(self._socket, READS))
        return [change for data in notifications if data for change in decoded(data)], None in notifications

    def close(self) -> None:
        """Close the listener's socket; idempotent."""
        self._socket.close()


def present_links() -> list[Change]:
    """Return the links of the calling thread's namespace as `Change` values."""
    with Session() as opened, kernel_errors("list", "links"):
        bodies = opened.dump(GET_LINK, LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0))
    return [_link(body, False, 0) for body in bodies]


def decoded(data: bytes) -> Iterator[Change]:
    """Yield the changes that the kernel's messages in ``data`` describe."""
    for kind, _, _, port, body in messages(data):
        author = port if port < 1 << 22 else 0  # a larger number is no PID, but identifies a process's second socket
        subject = NEW.get(kind & ~GONE)
        change = _READERS[subject](body, bool(kind & GONE), author) if subject else None
        if change is not None:
            yield change


def _link(body: bytes, gone: bool, author: int) -> Change:
    family, _, index, flags, _ = LINK.unpack_from(body)
    if family != socket.AF_UNSPEC:
        return Change("port", gone, index, author=author)  # the bridge's own message about one of its ports
    values = attributes.read(body, LINK.size)
    master = values.get(MASTER, b"")
    return Change(
        "link",
        gone,
        index,
        name=attributes.read_text(values.get(NAME, b"")),
        alias=attributes.read_text(values.get(ALIAS, b"")),
        mac=values.get(MAC, b"").hex(":"),
        on=flags & (UP | NO_ARP) == UP,
        master=int.from_bytes(master, sys.byteorder) if master else 0,
        author=author,
    )


def _address(body: bytes, gone: bool, author: int) -> Change:
    _, prefix, _, _, index = ADDRESS.unpack_from(body)
    values = attributes.read(body, ADDRESS.size)
    local = values.get(OWN) or values.get(OTHER_END, b"")
    return Change("address", gone, index, address=local, prefix=prefix, author=author)


def _route(body: bytes, gone: bool, author: int) -> Change | None:
    _, prefix, _, _, table, _, _, _, _ = ROUTE.unpack_from(body)
    if table != MAIN:
        return None
    values = attributes.read(body, ROUTE.size)
    index = struct.unpack("=i", values[OUT])[0] if OUT in values else 0
    return Change("route", gone, index, address=values.get(DESTINATION, b""), prefix=prefix, author=author)


def _neighbor(body: bytes, gone: bool, author: int) -> Change | None:
    _, index, state, _, _ = NEIGHBOR.unpack_from(body)
    return Change("neighbor", gone, index, author=author) if gone or state & PERMANENT else None


def _forwarding(body: bytes, gone: bool, author: int) -> Change | None:
    values = attributes.read(body, NETCONF.size)
    if OF_LINK not in values or FORWARDS not in values:
        return None
    index, forwards = (struct.unpack("=i", values[kind])[0] for kind in (OF_LINK, FORWARDS))
    return Change("forwarding", gone, index, on=bool(forwards), author=author)


_READERS = {"link": _link, "address": _address, "route": _route, "neighbor": _neighbor, "forwarding": _forwarding}
