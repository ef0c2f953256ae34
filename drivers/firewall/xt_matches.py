"""Evaluate matches of iptables (linux/netfilter/xt_*.h) for a packet, without sending the packet.

The rules of iptables-legacy and those of iptables-nft hold the same structures. Runs in the calling thread's network
namespace.
"""

from __future__ import annotations

import struct

from drivers.firewall.packets import Packet
from drivers.firewall.rule_values import all_of, any_of, turned
from drivers.linux import echo, path_lookup
from drivers.model import IPAddress

STATES = {"established": 2, "new": 8}  # bits of XT_CONNTRACK_STATE_BIT
OTHER_STATES = 0xF0  # bits that are not in STATES because they select no state: SNAT (0x40), DNAT (0x80), two unused
TCP_FLAGS = {"new": 0x02, "established": 0x12}  # SYN; SYN and ACK
ANY_PORTS, ANY_TYPE = (0, 65535), 0xFF
CONNTRACK_FLAGS, BY_STATE, ALIAS = 146, 1, 1 << 13
"""Offset of match_flags in struct xt_conntrack_mtinfo1; the flags XT_CONNTRACK_STATE and XT_CONNTRACK_STATE_ALIAS."""
ADDRTYPE_BYTES, LOCAL, OTHER_FLAGS = 8, 1 << 2, 0xC
"""Size of struct xt_addrtype_info_v1; the type XT_ADDRTYPE_LOCAL; the flags that limit the type to an interface."""
PHYSDEV_FLAGS, BRIDGED = 64, 4  # offset of "invert" in struct xt_physdev_info; the bit XT_PHYSDEV_OP_BRIDGED
MULTIPORT = struct.Struct("=BB15H15BB")
"""Struct xt_multiport_v1: the ports' place (0 source, 1 destination, 2 either), count, ports, range marks, invert."""


def matches(name: str, data: bytes, packet: Packet) -> bool | None:
    """Return whether the iptables match ``name`` with the structure ``data`` matches the packet; None if unknown."""
    if name == "comment":
        return True
    if name in ("tcp", "udp"):
        return _ports(name, data, packet) if packet.protocol == name else False
    if name in ("icmp", "icmp6"):
        return _is_echo(data, packet) if packet.protocol == "icmp" else False
    if name == "multiport":
        return _one_of_ports(data, packet)
    if name == "addrtype" and len(data) == ADDRTYPE_BYTES:
        return _address_types(data, packet)
    if name == "physdev":
        return _is_bridged(data, packet)
    if name == "conntrack":
        flags, inverted, states = struct.unpack_from("=HHH", data, CONNTRACK_FLAGS)
        if flags & ~ALIAS != BY_STATE or states & OTHER_STATES:
            return None
        return turned(bool(states & STATES[packet.state]), inverted & BY_STATE)
    return None


def _ports(name: str, data: bytes, packet: Packet) -> bool | None:
    low, high, first, last, *flags = struct.unpack_from("=4H4B" if name == "tcp" else "=4HB", data)
    conditions = [
        turned(_is_between(packet.source_port, low, high), flags[-1] & 1),
        turned(_is_between(packet.port, first, last), flags[-1] & 2),
    ]
    if name == "tcp":
        option, mask, expected, _ = flags
        conditions += [None if option else True]
        conditions += [turned(TCP_FLAGS[packet.state] & mask == expected, flags[-1] & 4)]
    return all_of(conditions)


def _one_of_ports(data: bytes, packet: Packet) -> bool | None:
    if packet.protocol not in ("tcp", "udp"):
        return False
    side, count, *rest = MULTIPORT.unpack_from(data)
    ports, starts, inverted = rest[:15], rest[15:30], rest[30]
    spans = [
        (port, ports[number + 1] if starts[number] else port)
        for number, port in enumerate(ports[:count])
        if number == 0 or not starts[number - 1]
    ]
    compared = [packet.source_port, packet.port] if side > 1 else [packet.port if side else packet.source_port]
    return turned(any_of(_is_between(port, *span) for port in compared for span in spans), inverted)


def _is_bridged(data: bytes, packet: Packet) -> bool | None:
    """Return whether a physdev match matches the packet; None if unknown.

    ``data`` is the structure of the match. Only the condition ``--physdev-is-bridged`` is evaluated. It is true if the
    packet stays within one bridge. With br_netfilter, this bridge is both the packet's incoming interface and its
    outgoing interface.
    """
    inverted, conditions = data[PHYSDEV_FLAGS : PHYSDEV_FLAGS + 2]
    if conditions != BRIDGED or not packet.received or not packet.sent:
        return None
    return (packet.received == packet.sent) != bool(inverted & BRIDGED)


def _address_types(data: bytes, packet: Packet) -> bool | None:
    source, destination, flags = struct.unpack_from("=HHI", data)
    if flags & OTHER_FLAGS:
        return None
    ends = (packet.source, source), (packet.destination, destination)
    return all_of(turned(_is_local(address, kinds), flags >> n & 1) for n, (address, kinds) in enumerate(ends))


def _is_local(address: IPAddress | None, kinds: int) -> bool | None:
    """Return whether an address has one of the types ``kinds``, a bit mask; None if unknown.

    - 0: every address matches.
    - `LOCAL`: an address of the host matches.
    - Other values are not evaluated: the result is None.
    """
    if not kinds:
        return True
    if kinds != LOCAL or address is None:
        return None
    return path_lookup.route(address).kind == "local"


def _is_echo(data: bytes, packet: Packet) -> bool:
    """Return whether a packet fulfils a rule's condition on the ICMP type and code (the match "icmp" or "icmp6").

    The packet is an echo request or an echo reply, so its code is 0. ``data`` is the structure of the match: the type,
    the lowest code, the highest code, and 1 if the match is inverted.
    """
    kind, lowest_code, _, inverted = data[:4]
    request, reply = echo.KINDS[packet.version][2:]
    is_kind = kind == (request if packet.state == "new" else reply)
    return (kind == ANY_TYPE or (is_kind and not lowest_code)) != bool(inverted)


def _is_between(port: int, low: int, high: int) -> bool | None:
    if (low, high) == ANY_PORTS:
        return True
    return low <= port <= high if port else None
