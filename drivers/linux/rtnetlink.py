"""rtnetlink messages: pyroute2 encodes and decodes them, and a `Session` sends them.

pyroute2's message classes know the layout of links, addresses, routes and neighbours. pyroute2's class `IPRoute` is not
used, for three reasons:

- `IPRoute` starts an asyncio event loop for each socket. That takes 0.25 ms, where a plain socket takes 0.01 ms. Each
  message takes another 0.1 ms.
- `IPRoute` waits for the kernel's answers without a time limit.
- hawse needs its own session for nftables and connection tracking anyway.

pyroute2 takes 0.16 ms to encode a veth pair and 0.11 ms to decode a link. Code without pyroute2 takes 0.01 ms to encode
or decode the same bytes. Therefore, two modules that decode very many messages do not use pyroute2:
`drivers.linux.link_notifications` and `drivers.linux.address_ranges`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

from pyroute2.netlink import nla
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from drivers.linux.netlink import HEADER, Session

SANDBOX_LIMIT = 4096
"""The maximum number of objects of one kind that hawse decodes in a sandbox.

Root in a sandbox can make any number of links, addresses, routes and neighbours. Each takes 0.1 ms to decode.
"""
Attributes = Iterable[tuple[Any, ...]]
"""Netlink attributes as pyroute2 needs them: tuples of name, value and, if the kernel needs them, netlink flags."""


class Ipvlan(nla):  # type: ignore[misc]
    """The layout of an ipvlan link's attributes, including IFLA_IPVLAN_FLAGS (Linux 4.15), which pyroute2 lacks."""

    prefix = "IFLA_"
    nla_map = (("IFLA_IPVLAN_UNSPEC", "none"), ("IFLA_IPVLAN_MODE", "uint16"), ("IFLA_IPVLAN_FLAGS", "uint16"))


class Bridge(ifinfmsg.ifinfo.bridge_data):  # type: ignore[misc]
    """The layout of a bridge's attributes, including IFLA_BR_FDB_MAX_LEARNED (Linux 6.7), which pyroute2 lacks."""

    nla_map = (
        *ifinfmsg.ifinfo.bridge_data.nla_map[:45],
        ("IFLA_BR_VLAN_STATS_PER_PORT", "uint8"),
        ("IFLA_BR_MULTI_BOOLOPT", "hex"),
        ("IFLA_BR_MCAST_QUERIER_STATE", "hex"),
        ("IFLA_BR_FDB_N_LEARNED", "uint32"),
        ("IFLA_BR_FDB_MAX_LEARNED", "uint32"),
    )


ifinfmsg.ifinfo.register_link_kind(module={"bridge": Bridge, "ipvlan": Ipvlan})


def encode(layout: Any, attributes: Attributes = (), **fields: Any) -> bytes:
    """Return the body of a netlink message (without nlmsghdr) in the layout of the pyroute2 class ``layout``.

    ``fields`` are the fields at the beginning of the body, such as ``family``. ``attributes`` are tuples of name and
    value.
    """
    message = layout()
    message.update(fields, attrs=list(attributes))
    message.encode()
    return bytes(message.data[HEADER.size :])


def decode(layout: Any, body: bytes) -> Any:
    """Return a message body decoded as the pyroute2 class ``layout``."""
    message = layout(HEADER.pack(HEADER.size + len(body), 0, 0, 0, 0) + body)
    message.decode()
    return message


def dump(
    session: Session,
    kind: int,
    layout: Any,
    attributes: Attributes = (),
    is_kept: Callable[[bytes], bool] | None = None,
    limit: int = sys.maxsize,
    **fields: Any,
) -> list[Any]:
    """Return the objects that the kernel lists, decoded as the pyroute2 class ``layout``.

    ``kind`` is the type of the request, and ``attributes`` and ``fields`` are its content. ``is_kept`` gets the body
    of each message; if it returns False, the object is left out. If the list changes while the function reads it, the
    function reads the list again. Raises OSError with EMSGSIZE if more than ``limit`` objects would be returned.
    """
    return [decode(layout, body) for body in session.dump(kind, encode(layout, attributes, **fields), is_kept, limit)]
