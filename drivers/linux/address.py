"""Addresses on links.

hawse marks the addresses that it adds with its own protocol number (IFA_PROTO, Linux 5.18). By this number, hawse
finds its own addresses on an interface of another program, and removes only these addresses.
"""

from __future__ import annotations

import errno
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Interface, ip_interface
from socket import AF_INET, AF_INET6
from typing import NamedTuple

from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL
from pyroute2.netlink.rtnl import RTM_DELADDR, RTM_GETADDR, RTM_NEWADDR
from pyroute2.netlink.rtnl.ifaddrmsg import IFA_F_NODAD, ifaddrmsg

from drivers.linux.errors import kernel_errors
from drivers.linux.netlink import Session
from drivers.linux.rtnetlink import SANDBOX_LIMIT, Attributes, decode, encode
from drivers.model import IPInterface

FAMILIES = {4: AF_INET, 6: AF_INET6}
OURS = 104  # the value of IFA_PROTO that marks hawse's own addresses
HEADER = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, index of the link


class _LinkAddress(NamedTuple):
    """An address that the kernel lists. ``link`` is the index of the link that has the address.

    ``protocol`` (IFA_PROTO) marks who added the address: `OURS` for hawse, 0 for a program that set no number.
    """

    link: int
    address: IPInterface
    protocol: int


def add(session: Session, link_index: int, address: IPInterface, *, protocol: int = 0) -> None:
    """Add an address to a link; idempotent: an address that already exists stays unchanged.

    ``protocol`` is a number that marks who adds the address (IFA_PROTO). The kernel stores it unless it is 0.
    """
    attributes: list[tuple[str, object]] = []
    if isinstance(address, IPv4Interface) and address.network.prefixlen < 31:
        attributes.append(("IFA_BROADCAST", str(address.network.broadcast_address)))
    if protocol:
        attributes.append(("IFA_PROTO", protocol))
    with kernel_errors("add address", str(address), ignore=(errno.EEXIST,)):
        session.request(RTM_NEWADDR, _body(link_index, address, attributes), NLM_F_CREATE | NLM_F_EXCL)


def remove_ours(session: Session, link_index: int) -> None:
    """Remove a link's addresses that have hawse's protocol number; idempotent."""
    for record in _all(session, link_index):
        if record.protocol == OURS:
            with kernel_errors("remove address", str(record.address), ignore=(errno.EADDRNOTAVAIL, errno.ENODEV)):
                session.request(RTM_DELADDR, _body(link_index, record.address))


def foreign(session: Session, link_index: int) -> list[IPInterface]:
    """Return a link's addresses that do not have hawse's protocol number."""
    return [record.address for record in _all(session, link_index) if record.protocol != OURS]


def all_addresses(session: Session) -> list[tuple[int, IPInterface]]:
    """Return every address in the session's namespace, with the index of its link."""
    return [(record.link, record.address) for record in _all(session)]


def by_link(session: Session) -> Mapping[int, list[IPInterface]]:
    """Return the addresses of each link by the link's index; an empty list for a link without addresses."""
    held: defaultdict[int, list[IPInterface]] = defaultdict(list)
    for record in _all(session):
        held[record.link].append(record.address)
    return held


def of_link(session: Session, link_index: int) -> list[IPInterface]:
    """Return the addresses of one link, IPv4 first.

    Addresses of other links are not decoded, because decoding takes most of the time. Raises `KernelError` if the link
    has more than `SANDBOX_LIMIT` addresses of one family.
    """
    return [record.address for record in _all(session, link_index)]


def _body(link_index: int, address: IPInterface, attributes: Attributes = ()) -> bytes:
    values = [("IFA_LOCAL", str(address.ip)), ("IFA_ADDRESS", str(address.ip)), *attributes]
    # Skip duplicate address detection, because IPAM has already made the address unique. The detection would only delay
    # the start of the container.
    flags = 0 if address.version == 4 else IFA_F_NODAD
    fields = {"family": FAMILIES[address.version], "prefixlen": address.network.prefixlen}
    return encode(ifaddrmsg, values, index=link_index, flags=flags, **fields)


def _all(session: Session, link_index: int | None = None) -> Iterator[_LinkAddress]:
    """Yield all addresses, or only the addresses of the link ``link_index`` if it is not None."""

    def is_of_link(body: bytes) -> bool:
        index: int = HEADER.unpack_from(body)[4]
        return index == link_index

    of_one_link = () if link_index is None else (is_of_link, SANDBOX_LIMIT)
    for family in FAMILIES.values():
        with kernel_errors("list", "addresses"):
            bodies = session.dump(RTM_GETADDR, encode(ifaddrmsg, family=family), *of_one_link)
        for body in bodies:
            message = decode(ifaddrmsg, body)
            # Prefer IFA_LOCAL, because on a point-to-point link IFA_ADDRESS is the address of the other end.
            local = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
            interface = ip_interface((local, message["prefixlen"]))
            yield _LinkAddress(message["index"], interface, message.get_attr("IFA_PROTO", 0))
