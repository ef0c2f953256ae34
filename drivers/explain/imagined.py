"""The links that a dry run pretends to make. The later steps of the dry run read them here, not in the kernel.

Only the values that drivers read are stored: name, index, kind, alias, MAC, MTU, master and flags. A ``namespace`` is
the inode number of a network namespace.
"""

from __future__ import annotations

import os
from collections import defaultdict
from itertools import count
from socket import AF_BRIDGE
from typing import Any

from msgspec import Struct, field
from pyroute2.netlink import NLM_F_CREATE
from pyroute2.netlink.rtnl import RTM_DELLINK
from pyroute2.netlink.rtnl.ifinfmsg import IFF_UP, ifinfmsg

from drivers.linux.netlink import Message
from drivers.linux.rtnetlink import decode, encode

FIRST_INDEX = 1 << 30
READ = ("IFLA_IFNAME", "IFLA_IFALIAS", "IFLA_ADDRESS", "IFLA_MTU", "IFLA_MASTER")
DEFAULTS = ("conf", "neigh")  # directories below net/ipv4 and net/ipv6 with one directory per link


class Imagined(Struct):
    """A link that exists only in a dry run; ``attributes`` are the attributes of its netlink messages.

    ``kind`` is the type of the link, such as "veth". ``flags`` are the flags IFF_* of the link.
    """

    index: int
    kind: str
    flags: int = 0
    attributes: dict[str, Any] = field(default_factory=dict)

    def body(self) -> bytes:
        """Return the body of the kernel's answer to a request for this link."""
        kind = ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", self.kind)]})
        return encode(ifinfmsg, [*self.attributes.items(), kind], index=self.index, flags=self.flags)


class ImaginedLinks:
    """The links that a dry run has made (stored as `Imagined`) or deleted (stored as None), by namespace and name."""

    def __init__(self) -> None:
        self._links: defaultdict[int, dict[str, Imagined | None]] = defaultdict(dict)
        self._groups: defaultdict[tuple[int, int], list[str]] = defaultdict(list)
        self._numbers = count(FIRST_INDEX)

    def knows(self, namespace: int, name: str) -> bool:
        """Return whether the dry run has made or deleted a link."""
        return name in self._links[namespace]

    def find(self, namespace: int, name: str) -> Imagined | None:
        """Return the link of that name, or None if the dry run has not made it or has deleted it."""
        return self._links[namespace].get(name)

    def name(self, namespace: int, index: int) -> str:
        """Return the name of the link with that index, or "" if the dry run has made no such link."""
        names = (name for name, link in self._links[namespace].items() if link is not None and link.index == index)
        return next(names, "")

    def apply(self, namespace: int, message: Message, name: str) -> None:
        """Change the stored links as the kernel would change its links after ``message``.

        ``name`` is the present name of the link that the message changes or deletes.
        """
        content = decode(ifinfmsg, message.body)
        if message.kind == RTM_DELLINK:
            group = content.get_attr("IFLA_GROUP")
            for gone in [name] if group is None else self._groups[namespace, group]:
                self._links[namespace][gone] = None
        elif message.flags & NLM_F_CREATE:
            self._make(namespace, content, content.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND"))
        elif content["family"] != AF_BRIDGE:
            self._change(namespace, content, name)

    def _make(self, namespace: int, content: Any, kind: str) -> None:
        data = content.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA")
        peer = data.get_attr("VETH_INFO_PEER") if kind == "veth" and data is not None else None
        if peer is not None:
            self._make(namespace, peer, "")
        descriptor = content.get_attr("IFLA_NET_NS_FD")
        target = namespace if descriptor is None else os.fstat(descriptor).st_ino
        values = {name: content.get_attr(name) for name in READ if content.get_attr(name) is not None}
        self._links[target][values["IFLA_IFNAME"]] = Imagined(next(self._numbers), kind or "veth", 0, values)

    def _change(self, namespace: int, content: Any, name: str) -> None:
        group = content.get_attr("IFLA_GROUP")
        if group is not None:
            self._groups[namespace, group].append(name)
        link = self._links[namespace].get(name)
        if link is None:
            return
        link.flags = link.flags & ~content["change"] | content["flags"] & content["change"] & IFF_UP
        link.attributes |= {key: content.get_attr(key) for key in READ if content.get_attr(key) is not None}
        self._links[namespace][link.attributes["IFLA_IFNAME"]] = link
        if link.attributes["IFLA_IFNAME"] != name:
            self._links[namespace][name] = None


def of_link(path: str) -> str:
    """Return the name of the link that a sysctl belongs to, or "" for a sysctl that belongs to no link.

    Example: "net/ipv4/conf/eth0/forwarding" gives "eth0".
    """
    parts = path.split("/")
    return parts[3] if len(parts) == 5 and parts[2] in DEFAULTS else ""


def for_new_links(path: str) -> str:
    """Convert the path of a link's sysctl to the path of the sysctl that has the kernel's value for new links.

    Example: "net/ipv4/conf/eth0/forwarding" gives "net/ipv4/conf/default/forwarding".
    """
    parts = path.split("/")
    return "/".join([*parts[:3], "default", *parts[4:]])
