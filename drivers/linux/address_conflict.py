"""Find the machines that answer ARP requests for an address. More than one machine means an address conflict."""

from __future__ import annotations

import socket
import struct
import time
from ipaddress import IPv4Address

ARP, ETHERNET, IPV4, REQUEST, REPLY = 0x0806, 1, 0x0800, 1, 2
PACKET = struct.Struct("!HHBBH6s4s6s4s")
WAIT_SECONDS = 0.15  # a host on the same link answers an ARP request within milliseconds


def holders(interface: str, own_address: IPv4Address, address: IPv4Address) -> set[str]:
    """Return the MACs of the machines that answer an ARP request for ``address`` at an interface.

    Runs in the calling thread's network namespace. Blocks `WAIT_SECONDS`. The request has the source address
    ``own_address``, an address of the interface.
    """
    macs: set[str] = set()
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    with socket.socket(socket.AF_PACKET, kind, socket.htons(ARP)) as sock:
        sock.bind((interface, ARP))
        mac = sock.getsockname()[4]
        body = PACKET.pack(ETHERNET, IPV4, 6, 4, REQUEST, mac, own_address.packed, bytes(6), address.packed)
        sock.send(b"\xff" * 6 + mac + struct.pack("!H", ARP) + body)
        deadline = time.monotonic() + WAIT_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            sock.settimeout(left)
            try:
                data = sock.recv(128)[14:]
            except TimeoutError:
                break
            if len(data) < PACKET.size:
                continue
            _, _, _, _, operation, sender, holder, _, _ = PACKET.unpack_from(data)
            if operation == REPLY and holder == address.packed and sender != mac:
                macs.add(sender.hex(":"))
    return macs
