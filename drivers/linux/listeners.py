"""Find the sockets that receive packets at a port, in /proc/net of the calling thread's network namespace."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

from drivers.api import IPAddress

FILES = {"tcp": ("tcp", "tcp6"), "udp": ("udp", "udp6"), "sctp": ()}
WAITING = {"tcp": "0A", "udp": "07"}  # TCP_LISTEN; TCP_CLOSE, the state of a UDP socket that is not connected


def at(protocol: str, port: int) -> list[IPAddress]:
    """Return the local addresses of the sockets that receive packets at a port."""
    return [address for file in FILES[protocol] for address in _read(file, protocol, port)]


def accepts(addresses: list[IPAddress], target: IPAddress) -> bool:
    """Return whether a socket at one of the addresses receives packets to ``target``.

    A socket at ``::`` gets IPv4 packets too, unless IPV6_V6ONLY is set, which /proc does not show.
    """
    wildcards = (IPv6Address(0), IPv4Address(0)) if target.version == 4 else (IPv6Address(0),)
    mapped = IPv6Address(f"::ffff:{target}") if target.version == 4 else target
    return any(address in (*wildcards, target, mapped) for address in addresses)


def _read(file: str, protocol: str, port: int) -> Iterator[IPAddress]:
    try:
        with open(f"/proc/thread-self/net/{file}", encoding="ascii") as table:
            for line in table.readlines()[1:]:
                fields = line.split()
                place, _, number = fields[1].partition(":")
                if int(number, 16) == port and fields[3] == WAITING[protocol]:
                    yield _address(place)
    except OSError:
        return


def _address(text: str) -> IPAddress:
    """Return the address of a line; the kernel prints it as 32-bit words in the byte order of the machine."""
    words = [bytes.fromhex(text[i : i + 8]) for i in range(0, len(text), 8)]
    data = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    return ip_address(data)
