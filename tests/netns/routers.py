"""Helpers that build router advertisements (RFC 4861) by hand and send them as whole Ethernet frames."""

import struct
import time
from collections.abc import Callable
from ipaddress import IPv6Address

from drivers.linux.echo import checksum
from tests.packets import send_frame

ALL_NODES, ALL_NODES_MAC = IPv6Address("ff02::1"), "33:33:00:00:00:01"
SOURCE, SOURCE_MAC = IPv6Address("fe80::bad"), "02:42:00:00:0b:ad"
PREFIX = IPv6Address("2001:db8:bad::")
ICMPV6, ADVERTISEMENT = 58, 134
LIFETIME = 1800  # seconds for which the advertised route and prefix are valid
ON_LINK_AND_AUTONOMOUS = 0xC0
MACS = 12  # bytes of the destination and source MAC address at the start of a frame


def advertisement(prefix: IPv6Address = PREFIX) -> bytes:
    """Return a frame with a router advertisement, which offers a default route and a prefix for automatic addresses."""
    option = struct.pack("!BBBBIII", 3, 4, 64, ON_LINK_AND_AUTONOMOUS, LIFETIME, LIFETIME, 0) + prefix.packed
    message = struct.pack("!BBHBBHII", ADVERTISEMENT, 0, 0, 64, 0, LIFETIME, 0, 0) + option
    pseudo = SOURCE.packed + ALL_NODES.packed + struct.pack("!II", len(message), ICMPV6)
    message = message[:2] + struct.pack("!H", checksum(pseudo + message)) + message[4:]
    header = struct.pack("!IHBB", 6 << 28, len(message), ICMPV6, 255) + SOURCE.packed + ALL_NODES.packed
    return bytes.fromhex((ALL_NODES_MAC + SOURCE_MAC).replace(":", "")) + struct.pack("!H", 0x86DD) + header + message


def advertise(path: str, interface: str = "eth0", prefix: IPv6Address = PREFIX, tags: bytes = b"") -> None:
    """Send a router advertisement from an interface of a namespace, as root in a container can.

    ``tags`` are VLAN tags that the frame has before its Ethernet type.
    """
    frame = advertisement(prefix)
    send_frame(path, frame[:MACS] + tags + frame[MACS:], interface)


def learnt(where, wait: float = 0.3, *, again: Callable[[], None] = lambda: None) -> list[str]:
    """Return the default routes that a namespace has learnt from router advertisements within ``wait`` seconds.

    An interface is sometimes not ready when the first frame arrives. A caller that expects a route gives the function
    ``again``, which sends another frame.
    """
    deadline = time.monotonic() + wait
    while not (routes := where.sh("ip -6 route show default proto ra").splitlines()) and time.monotonic() < deadline:
        time.sleep(0.05)
        again()
    return routes
