"""Announcements to the sandboxes of an overlay network that an address has moved to another host.

The neighbour entry of a sandbox may hold the address's old MAC. Without an announcement, such a sandbox would continue
to send to the old MAC for half a minute. The announcement that the new owner of the address sends does not reach this
host's sandboxes, because the VXLAN devices answer ARP themselves. Therefore, each host sends announcements into the
bridge for its own sandboxes: a gratuitous ARP request (RFC 5227, 3) and an unsolicited neighbour advertisement (RFC
4861, 7.2.6). These announcements update existing neighbour entries and create no new entries.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import closing

from drivers.api import IPAddress, Peer

BROADCAST, ALL_NODES_MAC = b"\xff" * 6, b"\x33\x33\0\0\0\x01"
ALL_NODES = bytes.fromhex("ff02" + "00" * 13 + "01")
OVERRIDE = 0x20000000


def announce(bridge: str, peers: Iterable[Peer]) -> None:
    """Announce the addresses of these peers on ``bridge``; runs in the calling thread's network namespace."""
    with closing(socket.socket(socket.AF_PACKET, socket.SOCK_RAW)) as raw:
        raw.bind((bridge, 0))
        for frame in (f for peer in peers for f in frames(peer)):
            raw.send(frame)


def frames(peer: Peer) -> Iterator[bytes]:
    """Yield the Ethernet frames that announce the addresses of one peer."""
    mac = bytes.fromhex(peer.mac.replace(":", ""))
    if peer.ipv4 is not None:
        arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + peer.ipv4.packed + bytes(6) + peer.ipv4.packed
        yield BROADCAST + mac + b"\x08\x06" + arp
    if peer.ipv6 is not None:
        yield ALL_NODES_MAC + mac + b"\x86\xdd" + _advertisement(peer.ipv6, mac)


def _advertisement(address: IPAddress, mac: bytes) -> bytes:
    body = struct.pack("!BBHI", 136, 0, 0, OVERRIDE) + address.packed + b"\x02\x01" + mac
    pseudo = address.packed + ALL_NODES + struct.pack("!II", len(body), socket.IPPROTO_ICMPV6)
    body = body[:2] + _checksum(pseudo + body).to_bytes(2, "big") + body[4:]
    return struct.pack("!IHBB", 6 << 28, len(body), socket.IPPROTO_ICMPV6, 255) + address.packed + ALL_NODES + body


def _checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
