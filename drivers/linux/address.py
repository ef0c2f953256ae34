"""Addresses on links.

Addresses we add carry a protocol number of our own (IFA_PROTO, Linux 5.18), so that on an interface somebody else
made we remove ours and leave theirs.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator
from ipaddress import IPv4Interface, ip_address, ip_interface
from socket import AF_INET, AF_INET6
from typing import NamedTuple

from drivers.api import IPAddress, IPInterface
from drivers.linux.attributes import attribute, read
from drivers.linux.errors import kernel_errors
from drivers.linux.netlink import Session

NEW, DELETE, GET = 20, 21, 22  # RTM_*ADDR
CREATE, EXCLUSIVE = 0x400, 0x200  # NLM_F_*
IFADDRMSG = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, link
ADDRESS, LOCAL, BROADCAST, PROTOCOL = 1, 2, 4, 11  # IFA_*
FAMILIES = {4: AF_INET, 6: AF_INET6}
OURS = 104
NODAD = 0x02  # IFA_F_NODAD: addresses are handed out by IPAM, so waiting for duplicates only delays a start


class _Found(NamedTuple):
    """An address as the kernel has it, on the link of an index."""

    link: int
    address: IPInterface
    protocol: int


def add(session: Session, link_index: int, address: IPInterface, *, protocol: int = 0) -> None:
    """Put an address on a link; one that is there already stays as it is."""
    body = _message(link_index, address)
    if isinstance(address, IPv4Interface) and address.network.prefixlen < 31:
        body += attribute(BROADCAST, address.network.broadcast_address.packed)
    if protocol:
        body += attribute(PROTOCOL, bytes([protocol]))
    with kernel_errors("add address", str(address), ignore=(errno.EEXIST,)):
        session.request(NEW, body, CREATE | EXCLUSIVE)


def remove_ours(session: Session, link_index: int) -> None:
    """Remove from a link what `add` put there with our protocol number; idempotent."""
    for found in _all(session):
        if found.link == link_index and found.protocol == OURS:
            with kernel_errors("remove address", str(found.address), ignore=(errno.EADDRNOTAVAIL, errno.ENODEV)):
                session.request(DELETE, _message(link_index, found.address))


def all_addresses(session: Session) -> list[tuple[int, IPInterface]]:
    """Every address in the session's namespace with the index of its link."""
    return [(found.link, found.address) for found in _all(session)]


def holder(session: Session, address: IPAddress) -> int:
    """The index of the link that has an address, 0 where none has."""
    return next((found.link for found in _all(session) if found.address.ip == address), 0)


def _message(link_index: int, address: IPInterface) -> bytes:
    flags = 0 if address.version == 4 else NODAD
    body = IFADDRMSG.pack(FAMILIES[address.version], address.network.prefixlen, flags, 0, link_index)
    return body + attribute(LOCAL, address.ip.packed) + attribute(ADDRESS, address.ip.packed)


def _all(session: Session) -> Iterator[_Found]:
    for family in FAMILIES.values():
        with kernel_errors("list", "addresses"):
            listed = session.dump(GET, IFADDRMSG.pack(family, 0, 0, 0, 0))
        yield from map(_read, listed)


def _read(body: bytes) -> _Found:
    _, prefix, _, _, link_index = IFADDRMSG.unpack_from(body)
    found = read(body, IFADDRMSG.size)
    # On a point-to-point link IFA_ADDRESS is the other end.
    own = ip_address(found.get(LOCAL) or found[ADDRESS])
    return _Found(link_index, ip_interface((own, prefix)), found.get(PROTOCOL, b"\0")[0])
