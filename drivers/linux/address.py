"""Addresses on links.

Addresses we add carry a protocol number of our own (IFA_PROTO, Linux 5.18), so that on an interface somebody else
made we remove ours and leave theirs.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from functools import partial
from ipaddress import IPv4Interface, ip_interface
from socket import AF_INET, AF_INET6
from typing import Any

from drivers.api import IPAddress, IPInterface
from drivers.linux.netlink import Session, doing, dump

OURS = 104
NODAD = 0x02  # IFA_F_NODAD: addresses are handed out by IPAM, so waiting for duplicates only delays a start


def add(session: Session, link_index: int, address: IPInterface, *, protocol: int = 0) -> None:
    """Put an address on a link; one that is there already stays as it is."""
    attributes: dict[str, object] = {}
    if isinstance(address, IPv4Interface):
        if address.network.prefixlen < 31:
            attributes["broadcast"] = str(address.network.broadcast_address)
    else:
        attributes["flags"] = NODAD
    if protocol:
        attributes["proto"] = protocol
    with doing("add address", str(address), ignore=(errno.EEXIST,)):
        session.addr(
            "add", index=link_index, address=str(address.ip), prefixlen=address.network.prefixlen, **attributes
        )


def remove_ours(session: Session, link_index: int) -> None:
    """Remove from a link what `add` put there with our protocol number; idempotent."""
    for message in _messages(session, link_index):
        if message.get_attr("IFA_PROTO") == OURS:
            address = _interface(message)
            with doing("remove address", str(address), ignore=(errno.EADDRNOTAVAIL, errno.ENODEV)):
                session.addr("del", index=link_index, address=str(address.ip), prefixlen=message["prefixlen"])


def all_addresses(session: Session) -> list[tuple[int, IPInterface]]:
    """Every address in the session's namespace with the index of its link."""
    return [(m["index"], _interface(m)) for m in _messages(session, 0)]


def holder(session: Session, address: IPAddress) -> int:
    """The index of the link that has an address, 0 where none has."""
    return next((m["index"] for m in _messages(session, 0) if _interface(m).ip == address), 0)


def _messages(session: Session, link_index: int) -> Iterator[Any]:
    chosen = {"index": link_index} if link_index else {}
    for family in (AF_INET, AF_INET6):
        yield from dump("addresses", partial(session.get_addr, family=family, **chosen))


def _interface(message: Any) -> IPInterface:
    # On a point-to-point link IFA_ADDRESS is the other end.
    address = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
    return ip_interface(f"{address}/{message['prefixlen']}")
