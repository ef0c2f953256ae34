"""Find how the kernel would send a packet: the route, the neighbour entry and the bridge's forwarding entry.

No function changes anything. Every function runs in the calling thread's network namespace.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections import defaultdict
from ipaddress import ip_address, ip_network
from itertools import chain
from typing import NamedTuple

from pyroute2.netlink.rtnl import RTM_GETNEIGH, RTM_GETROUTE
from pyroute2.netlink.rtnl.ndmsg import NUD_FAILED, NUD_INCOMPLETE, NUD_NOARP, NUD_PERMANENT, ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from drivers.linux.errors import kernel_errors
from drivers.linux.netlink import Session
from drivers.linux.route import CLONED, FAMILIES, MAIN_TABLE, UNREACHABLE
from drivers.linux.rtnetlink import decode, dump, encode
from drivers.model import IPAddress, IPNetwork

INTERFACE = struct.Struct("=4xi")  # the link's index in struct ndmsg; 4x skips the family and the padding
ANYWHERE = {4: "192.0.2.1", 6: "2001:db8::1"}  # documentation addresses, which are in no network (RFC 5737, RFC 3849)
LOOKUP_TABLE = 0x1000  # request flag RTM_F_LOOKUP_TABLE: return the table of the matching route
KINDS = {1: "unicast", 2: "local", 3: "broadcast", 6: "blackhole", 7: "unreachable", 8: "prohibit"}  # route types RTN_*
KIND_OF_ERROR = {
    errno.EINVAL: "blackhole",
    errno.EHOSTUNREACH: "unreachable",
    errno.EACCES: "prohibit",
    errno.EXDEV: "filtered",  # by a reverse path filter
}


class PacketRoute(NamedTuple):
    """The route of a packet.

    ``kind`` is the route's type, such as ``unicast``, ``local`` or ``blackhole``; "" without a route. ``gateway`` is
    the next hop, or None for a direct route. ``source`` is the source address that the kernel prefers, or None.
    ``table`` is the number of the routing table, or 0 if the kernel does not tell it.
    """

    kind: str
    interface: str = ""
    gateway: IPAddress | None = None
    source: IPAddress | None = None
    table: int = 0


class Neighbour(NamedTuple):
    """A neighbour entry with a MAC; ``permanent`` is True for a static entry, which does not expire."""

    address: IPAddress
    mac: str
    permanent: bool


def route(target: IPAddress, source: IPAddress | None = None, received: str = "") -> PacketRoute:
    """Return the route that a packet from ``source`` to ``target`` takes, by all routing rules and tables.

    For a forwarded packet, ``received`` is the interface at which the packet arrives. If forwarding is off at this
    interface, the kernel finds only local routes. Raises OSError if there is no such interface.
    """
    attributes: list[tuple[str, object]] = [("RTA_DST", str(target)), *([("RTA_SRC", str(source))] if source else [])]
    if received:
        attributes.append(("RTA_IIF", socket.if_nametoindex(received)))
    fields = {"family": FAMILIES[target.version], "dst_len": target.max_prefixlen, "flags": LOOKUP_TABLE}
    try:
        with Session() as opened:
            message = decode(rtmsg, opened.request(RTM_GETROUTE, encode(rtmsg, attributes, **fields))[0])
            index = message.get_attr("RTA_OIF")
            interface = opened.name(index) if index else ""
    except OSError as error:
        if error.errno not in (*UNREACHABLE, *KIND_OF_ERROR):
            raise
        return PacketRoute(KIND_OF_ERROR.get(error.errno or 0, ""))
    gateway, preferred = message.get_attr("RTA_GATEWAY"), message.get_attr("RTA_PREFSRC")
    return PacketRoute(
        KINDS.get(message["type"], "other"),
        interface,
        ip_address(gateway) if gateway else None,
        ip_address(preferred) if preferred else None,
        message.get_attr("RTA_TABLE") or 0,
    )


def deciding_route(target: IPAddress, found: PacketRoute) -> tuple[int, str]:
    """Return (table, words) of the route in the kernel's list that decides where packets to ``target`` go.

    ``found`` is the result of `route` for ``target``. ``table`` is the number of the routing table, and ``words`` are
    the arguments that select the route in ``ip route del``. The result is (0, "") in three cases:

    - A routing rule refuses the packets.
    - The route has several next hops.
    - The kernel does not tell which of several tables has decided.
    """
    routes = []
    with Session() as opened, kernel_errors("list", "routes"):
        for message in dump(opened, RTM_GETROUTE, rtmsg, (), lambda _: True, family=FAMILIES[target.version]):
            start = message.get_attr("RTA_DST") or ip_address(bytes(target.max_prefixlen // 8))
            destination, table = ip_network(f"{start}/{message['dst_len']}"), message.get_attr("RTA_TABLE")
            if target in destination and _is_of_route(opened, message, found):
                routes.append((table, destination.prefixlen, _words(destination, message, found)))
    if len({table for table, _, _ in routes}) != 1:
        return 0, ""
    table, _, words = max(routes, key=lambda route: route[1])
    return table, words


def _is_of_route(opened: Session, message: rtmsg, found: PacketRoute) -> bool:
    """Return whether the route ``message`` of the kernel's list may be the route that gave ``found``.

    The route's type must be the same. For a unicast route, the interface and the next hop must be the same too, and the
    table if ``found`` has it. Cached copies of other routes do not count.
    """
    if message["flags"] & CLONED or KINDS.get(message["type"]) != found.kind:
        return False
    if found.kind == "unicast" and found.table not in (0, message.get_attr("RTA_TABLE")):
        return False
    if found.kind != "unicast":
        return True
    link, gateway = message.get_attr("RTA_OIF"), message.get_attr("RTA_GATEWAY")
    next_hop = ip_address(gateway) if gateway else None
    return bool(link) and opened.name(link) == found.interface and next_hop == found.gateway


def _words(destination: IPNetwork, message: rtmsg, found: PacketRoute) -> str:
    table = message.get_attr("RTA_TABLE")
    words = [found.kind] if found.kind != "unicast" else []
    words += [str(destination), *(("via", str(found.gateway)) if found.gateway else ())]
    words += [*(("dev", found.interface) if found.interface else ())]
    return " ".join([*words, *(("table", str(table)) if table != MAIN_TABLE else ())])


def anywhere(version: int) -> IPAddress:
    """Return an address of IP version 4 or 6 that belongs to no network, so its route is the default route."""
    return ip_address(ANYWHERE[version])


def neighbours(interface: str) -> list[Neighbour]:
    """Return an interface's neighbour entries that have a MAC; an empty list if the interface is missing."""
    entries = []
    with Session() as opened:
        for entry in _entries(opened, interface):
            mac = entry.get_attr("NDA_LLADDR")
            if mac and not entry["state"] & (NUD_FAILED | NUD_INCOMPLETE | NUD_NOARP):
                address = ip_address(entry.get_attr("NDA_DST"))
                entries.append(Neighbour(address, mac, bool(entry["state"] & NUD_PERMANENT)))
    return entries


def unresolved(interface: str) -> set[IPAddress]:
    """Return the addresses whose ARP requests or neighbour solicitations on an interface got no answer."""
    with Session() as opened:
        failed = [e for e in _entries(opened, interface) if e["state"] & (NUD_FAILED | NUD_INCOMPLETE)]
    return {ip_address(entry.get_attr("NDA_DST")) for entry in failed}


def _entries(opened: Session, interface: str) -> list[ndmsg]:
    try:
        index = socket.if_nametoindex(interface)
    except OSError:
        return []

    def is_of_interface(body: bytes) -> bool:
        (entry_index,) = INTERFACE.unpack_from(body)
        return bool(entry_index == index)

    with kernel_errors("list", "neighbours"):
        lists = [dump(opened, RTM_GETNEIGH, ndmsg, (), is_of_interface, family=f) for f in FAMILIES.values()]
    return list(chain.from_iterable(lists))


def static_ports(bridge: str) -> dict[str, str]:
    """Return a bridge's static forwarding entries, as a mapping from MAC to the port's interface name.

    The entries include the own MACs of the ports and of the bridge. An entry for a MAC of the bridge has the bridge's
    name. The result is empty if the bridge is missing.
    """
    return static_ports_of_bridges().get(bridge, {})


def static_ports_of_bridges() -> dict[str, dict[str, str]]:
    """Return the static forwarding entries of each bridge that has such entries, by the bridge's name.

    The entries have the form that `static_ports` returns.
    """
    with Session() as opened, kernel_errors("list", "forwarding entries"):
        listed = dump(opened, RTM_GETNEIGH, ndmsg, family=socket.AF_BRIDGE)
    names, ports = dict(socket.if_nameindex()), defaultdict[str, dict[str, str]](dict)
    for entry in listed:
        bridge, port = names.get(entry.get_attr("NDA_MASTER")), names.get(entry["ifindex"])
        if bridge and port and entry["state"] & (NUD_NOARP | NUD_PERMANENT):
            ports[bridge][entry.get_attr("NDA_LLADDR")] = port
    return ports
