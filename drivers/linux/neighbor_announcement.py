"""Announce to the neighbours on a link which MAC an address has now. The neighbours then use this MAC immediately.

Without an announcement, two kinds of neighbours reach the address late:

- A neighbour that knows the address's old MAC sends to this MAC for about half a minute.
- A neighbour that got no answer to its last request repeats the request only after a second.

An announcement is a gratuitous ARP request (RFC 5227, 3) or an unsolicited neighbour advertisement (RFC 4861, 7.2.6).
It updates existing neighbour entries and creates no new entries.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from contextlib import closing

from drivers.linux.echo import checksum
from drivers.model import IPAddress

BROADCAST, ALL_NODES_MAC = b"\xff" * 6, b"\x33\x33\0\0\0\x01"
ALL_NODES = bytes.fromhex("ff02" + "00" * 13 + "01")
OVERRIDE = 0x20000000


def announce(interface: str, holders: Iterable[tuple[str, IPAddress]]) -> None:
    """Announce the MAC of each address to the neighbours on a link.

    ``holders`` are pairs of MAC and address. Runs in the calling thread's network namespace.
    """
    with closing(socket.socket(socket.AF_PACKET, socket.SOCK_RAW)) as raw:
        raw.bind((interface, 0))
        for mac, address in holders:
            raw.send(frame(mac, address))


def frame(mac_text: str, address: IPAddress) -> bytes:
    """Return the Ethernet frame that tells the neighbours that ``address`` is at the MAC ``mac_text``."""
    mac = bytes.fromhex(mac_text.replace(":", ""))
    if address.version == 4:
        arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + address.packed + bytes(6) + address.packed
        return BROADCAST + mac + b"\x08\x06" + arp
    return ALL_NODES_MAC + mac + b"\x86\xdd" + _advertisement(address, mac)


def _advertisement(address: IPAddress, mac: bytes) -> bytes:
    body = struct.pack("!BBHI", 136, 0, 0, OVERRIDE) + address.packed + b"\x02\x01" + mac
    pseudo = address.packed + ALL_NODES + struct.pack("!II", len(body), socket.IPPROTO_ICMPV6)
    body = body[:2] + checksum(pseudo + body).to_bytes(2, "big") + body[4:]
    return struct.pack("!IHBB", 6 << 28, len(body), socket.IPPROTO_ICMPV6, 255) + address.packed + ALL_NODES + body
