"""Helpers that build packets by hand and send them: IPv4, IPv6, UDP, ICMP errors and VXLAN.

A packet may have any sender address.
"""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address

from drivers.linux import netns as namespaces
from drivers.linux.echo import checksum
from engine.eventloop.netns import inside

TTL = 64
VXLAN_PORT = 4789
UNREACHABLE = {4: (3, 3), 6: (1, 4)}
"""ICMP type and code of the error "port unreachable", by IP version (4 or 6)."""
TOO_BIG = {4: (3, 4), 6: (2, 0)}
NEXT_MTU = 1280
ETHERTYPE = {4: 0x0800, 6: 0x86DD}
FRAGMENT, DESTINATION_OPTIONS = 44, 60  # next header numbers of IPv6 extension headers
EVERYBODY = "ff:ff:ff:ff:ff:ff"
SOLICIT, ANNOUNCE, ROUTER = 135, 136, 134  # ICMPv6 types of neighbour discovery
REPORT = 143  # ICMPv6 type of the multicast listener report (MLDv2)


def socket_in(netns: int, family: int, kind: int) -> socket.socket:
    """Return a non-blocking socket in a network namespace; ``netns`` is an open descriptor of the namespace."""
    return inside(netns, lambda: socket.socket(family, kind | socket.SOCK_NONBLOCK))


def ip(source: str, destination: str, protocol: int, payload: bytes, hops: int = TTL) -> bytes:
    """Return an IP packet. The family of the addresses decides whether the packet is IPv4 or IPv6."""
    ends = ip_address(source).packed + ip_address(destination).packed
    if ip_address(source).version == 6:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, hops) + ends + payload
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, hops, protocol, 0) + ends
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def _summed(source: str, destination: str, protocol: int, payload: bytes, offset: int, pseudo: bool) -> bytes:
    """Return the payload with its checksum written at ``offset``.

    With ``pseudo``, the checksum also covers the pseudo header of the IP addresses.
    """
    ends = ip_address(source).packed + ip_address(destination).packed
    value = checksum((ends + struct.pack("!II", len(payload), protocol) if pseudo else b"") + payload)
    return payload[:offset] + struct.pack("!H", value or 0xFFFF) + payload[offset + 2 :]


def udp(source: str, source_port: int, destination: str, port: int, payload: bytes = b"forged") -> bytes:
    """Return an IP packet with a UDP datagram."""
    datagram = struct.pack("!4H", source_port, port, 8 + len(payload), 0) + payload
    return ip(source, destination, 17, _summed(source, destination, 17, datagram, 6, pseudo=True))


def icmp(source: str, destination: str, message: bytes, hops: int = TTL) -> bytes:
    """Return an IP packet with an ICMP message. This function computes the checksum of the message."""
    protocol, pseudo = (1, False) if ip_address(source).version == 4 else (58, True)
    return ip(source, destination, protocol, _summed(source, destination, protocol, message, 2, pseudo=pseudo), hops)


def with_options(packet: bytes, number: int) -> bytes:
    """Return an IPv6 packet with ``number`` headers of destination options, of 8 bytes each, before its payload."""
    header, payload, following = packet[:40], packet[40:], packet[6]
    for _ in range(number):
        payload, following = struct.pack("!4BI", following, 0, 1, 4, 0) + payload, DESTINATION_OPTIONS
    return struct.pack("!4sHBB", header[:4], len(payload), following, header[7]) + header[8:] + payload


def fragments(packet: bytes, first: int) -> list[bytes]:
    """Return an IPv6 packet as two fragments.

    ``first`` is the number of payload bytes in the first fragment, a multiple of 8.
    """
    header, payload = packet[:40], packet[40:]
    parts = ((0, payload[:first], 1), (first, payload[first:], 0))
    return [
        struct.pack("!4sHBB", header[:4], 8 + len(part), FRAGMENT, header[7])
        + header[8:]
        + struct.pack("!BBHI", header[6], 0, offset | more, 1)
        + part
        for offset, part, more in parts
    ]


def icmp_error(source: str, destination: str, quoted: bytes, kind: dict[int, tuple[int, int]] = UNREACHABLE) -> bytes:
    """Return an IP packet with an ICMP error that quotes another packet."""
    head = struct.pack("!BBHI", *kind[ip_address(source).version], 0, NEXT_MTU if kind is TOO_BIG else 0)
    return icmp(source, destination, head + quoted)


def ethernet(destination: str, source: str, payload: bytes) -> bytes:
    """Return an Ethernet frame with an IP packet."""
    macs = bytes.fromhex((destination + source).replace(":", ""))
    return macs + struct.pack("!H", ETHERTYPE[payload[0] >> 4]) + payload


def vxlan(source: str, destination: str, vni: int, frame: bytes) -> bytes:
    """Return an IP packet with a VXLAN datagram that contains a frame (RFC 7348)."""
    return udp(source, 49152, destination, VXLAN_PORT, struct.pack("!BxxxI", 0x08, vni << 8) + frame)


def broadcast(path: str, mac: str, packet: bytes) -> None:
    """Send a packet from eth0 of the namespace ``path`` in a frame to all machines; ``mac`` is the frame's sender."""
    send_frame(path, ethernet(EVERYBODY, mac, packet))


def send_frame(path: str, frame: bytes, interface: str = "eth0") -> None:
    """Send a whole frame from an interface of the namespace ``path``."""
    wire = namespaces.run_in_netns(path, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
    with wire:
        wire.bind((interface, 0))
        wire.send(frame)


def send(path: str, packet: bytes) -> None:
    """Send a packet from the namespace ``path``; the namespace's own routes decide how the packet leaves."""
    version = packet[0] >> 4
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    destination = socket.inet_ntop(family, packet[16:20] if version == 4 else packet[24:40])
    raw = namespaces.run_in_netns(path, lambda: socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW))
    with raw:
        raw.sendto(packet, (destination, 0))
