"""Find the programs, queues and flags of an interface that can drop packets. nftables does not report such drops.

No function changes anything. Every function runs in the calling thread's network namespace.
"""

from __future__ import annotations

import socket
import struct
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from pyroute2.netlink.rtnl import RTM_GETLINK
from pyroute2.netlink.rtnl.ifinfmsg import IFF_BROADCAST, IFF_NOARP, IFF_UP, ifinfmsg

from drivers.linux import link, sysctl
from drivers.linux.attributes import read, read_text
from drivers.linux.errors import kernel_errors
from drivers.linux.netlink import Session
from drivers.linux.rtnetlink import dump

LOWER_UP = 1 << 16  # flag IFF_LOWER_UP: the interface has a carrier
GET_QDISC, KIND, STATISTICS, QUEUE = 38, 1, 7, 3  # kernel constants RTM_GETQDISC, TCA_KIND, TCA_STATS2, TCA_STATS_QUEUE
TCMSG, COUNTERS = struct.Struct("=BxxxiIII"), struct.Struct("=5I")
FILTERING = ("ingress", "clsact")
"""The queueing disciplines at which traffic control (tc) filters packets."""
USUAL = ("noqueue", "mq", "pfifo_fast", "fq_codel", "fq", "cake")
"""The queueing disciplines that interfaces have by default. They drop packets only under load."""
FILTER, XDP, DISCIPLINE, NO_ARP, NO_CARRIER, NO_FLOODING = "filter", "XDP", "discipline", "ARP", "carrier", "flooding"
WITH_ARP = ("", "veth", "bridge", "macvlan", "vlan", "bond")
"""The kinds of links that use ARP; "" is hardware. Tunnels and ipvlan in mode l3 do not use ARP."""
DROPPING = {"flood": 0, "bcast_flood": 0, "mcast_flood": 0, "locked": 1}
"""Flags of a bridge port, each with the value at which the port drops packets."""
SILENT_ON_ARP = (3, 8)  # with these values of arp_ignore, an interface does not answer ARP requests for its own address


class Obstacle(NamedTuple):
    """A program, queue or flag of an interface that can drop packets.

    ``kind`` is one of this module's constants `FILTER` to `NO_FLOODING`. ``name`` depends on ``kind``:

    - `DISCIPLINE`: the queueing discipline and its counters, such as "netem (5 packets dropped, 0 waiting)"
    - `NO_FLOODING`: the bridge port's flags and their values, such as "flood off, locked on"
    - any other kind: ""
    """

    kind: str
    name: str = ""


def is_down(interface: str) -> bool:
    """Return whether an interface exists and is down."""
    with Session() as opened:
        device = link.find(opened, interface)
    return device is not None and not device.up


def silencing_sysctls(interface: str) -> list[str]:
    """Return the names of the sysctls whose present values prevent an interface from answering ARP requests."""
    paths = (sysctl.conf("ipv4", scope, "arp_ignore") for scope in ("all", interface))
    return [sysctl.name_of(path) for path in paths if int(sysctl.read(path) or 0) in SILENT_ON_ARP]


def of(interface: str) -> list[Obstacle]:
    """Return the programs, queues and flags of an interface that can drop packets.

    The first item of the list is the most certain to drop packets. The list is empty if the interface is missing.
    """
    return everywhere().get(interface, [])


def everywhere() -> dict[str, list[Obstacle]]:
    """Return the obstacles of every interface in the thread's network namespace, by the interface's name.

    The obstacles are tc filters, XDP programs, queueing disciplines that drop packets or hold them back, a missing
    carrier, ARP switched off, and flags of bridge ports. Interfaces without obstacles are left out.
    """
    with Session() as opened:
        with kernel_errors("list", "links"):
            links = dump(opened, RTM_GETLINK, ifinfmsg, [link.SKIP_STATISTICS])
        with kernel_errors("list", "queueing disciplines"):
            bodies = opened.dump(GET_QDISC, TCMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0))
    by_interface: defaultdict[str, list[Obstacle]] = defaultdict(list)
    names = {message["index"]: message.get_attr("IFLA_IFNAME") for message in links}
    for message in links:
        by_interface[names[message["index"]]] += _of_link(message)
    for body in bodies:
        by_interface[names.get(TCMSG.unpack_from(body)[1], "")] += _of_discipline(body)
    return {name: obstacles for name, obstacles in by_interface.items() if obstacles}


def _of_link(message: Any) -> Iterator[Obstacle]:
    flags = message["flags"]
    if flags & IFF_UP and not flags & LOWER_UP:
        yield Obstacle(NO_CARRIER)
    kind = message.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") or ""
    if flags & IFF_NOARP and flags & IFF_BROADCAST and kind in WITH_ARP:
        yield Obstacle(NO_ARP)
    flags_of_port = link.flags_of_port(message)
    dropping = [flag for flag, value in DROPPING.items() if flags_of_port.get(flag) == value]
    if dropping:
        yield Obstacle(NO_FLOODING, ", ".join(f"{flag} {'on' if DROPPING[flag] else 'off'}" for flag in dropping))
    if message.get_nested("IFLA_XDP", "IFLA_XDP_PROG_ID"):
        yield Obstacle(XDP)


def _of_discipline(body: bytes) -> Iterator[Obstacle]:
    values = read(body, TCMSG.size)
    kind = read_text(values.get(KIND, b""))
    if kind in FILTERING:
        yield Obstacle(FILTER)
    elif kind not in USUAL:
        counters = read(values.get(STATISTICS, b"")).get(QUEUE, bytes(COUNTERS.size))
        waiting, _, dropped, _, _ = COUNTERS.unpack_from(counters)
        if waiting or dropped:
            yield Obstacle(DISCIPLINE, f"{kind} ({dropped} packets dropped, {waiting} waiting)")
