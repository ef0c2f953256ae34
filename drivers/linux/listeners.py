"""Find the sockets at a port or an address, in the calling thread's network namespace."""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from drivers.linux.attributes import read
from drivers.linux.netlink import Session
from drivers.model import IPAddress

FILES = {"tcp": ("tcp", "tcp6"), "udp": ("udp", "udp6"), "sctp": ()}
SOCK_DIAG, BY_FAMILY = 4, 20  # kernel constants NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY
LISTEN, CLOSE = 10, 7  # socket states TCP_LISTEN (listening Unix sockets have it too) and TCP_CLOSE
REQUEST = struct.Struct("=BBxxI48x")  # struct inet_diag_req_v2: family, protocol, states
PORT, QUEUE = struct.Struct("!4xH"), struct.Struct("=56xII")  # struct inet_diag_msg: idiag_sport; idiag_rqueue, _wqueue
LOCAL, ANSWER_BYTES = struct.Struct("=8x16s"), 72  # struct inet_diag_msg: idiag_src; the length of the struct
IPV6_ONLY = 11  # attribute INET_DIAG_SKV6ONLY
WAITING = {"tcp": "0A", "udp": "07"}  # socket states TCP_LISTEN; TCP_CLOSE, which a UDP socket has before connect(2)


def at(protocol: str, port: int) -> list[IPAddress]:
    """Return the local addresses of the sockets that receive packets of new clients at a port.

    ``protocol`` is tcp, udp or sctp. The sockets are listening TCP sockets or unconnected UDP sockets. The list is
    empty for SCTP, because SCTP sockets are not looked up.
    """
    ends = ((*_end(fields[1]), fields[3]) for file in FILES[protocol] for fields in _read(file))
    return [_address(text) for text, number, state in ends if (number, state) == (port, WAITING[protocol])]


def full_queue(port: int) -> int:
    """Return the length of a TCP port's accept queue if the queue is full, otherwise 0.

    The queue holds connections that no program has accepted yet. With a full queue, the kernel ignores new connection
    requests. The result is 0 on a kernel without sock_diag(7).
    """
    waiting = 0
    try:
        with Session(SOCK_DIAG) as session:
            for family in (socket.AF_INET, socket.AF_INET6):
                request = REQUEST.pack(family, socket.IPPROTO_TCP, 1 << LISTEN)
                for body in session.dump(BY_FAMILY, request):
                    length, limit = QUEUE.unpack_from(body)
                    if PORT.unpack_from(body) == (port,) and length > limit:
                        waiting = max(waiting, length)
    except OSError:
        return 0
    return waiting


def is_ipv6_only(protocol: str, port: int) -> bool:
    """Return whether all sockets that are bound to ``::`` and ``port`` have the option IPV6_V6ONLY.

    Sockets with this option receive no IPv4 packets. ``protocol`` is tcp or udp. The result is False if no socket is
    bound to ``::`` and ``port``, and on a kernel without sock_diag(7).
    """
    values = []
    number, state = (socket.IPPROTO_TCP, LISTEN) if protocol == "tcp" else (socket.IPPROTO_UDP, CLOSE)
    try:
        with Session(SOCK_DIAG) as session:
            for body in session.dump(BY_FAMILY, REQUEST.pack(socket.AF_INET6, number, 1 << state)):
                if PORT.unpack_from(body) == (port,) and LOCAL.unpack_from(body) == (bytes(16),):
                    values.append(read(body, ANSWER_BYTES).get(IPV6_ONLY, b"\0") != b"\0")
    except OSError:
        return False
    return bool(values) and all(values)


def udp_ports(address: IPv4Address) -> list[int]:
    """Return the ports of the UDP sockets that are bound to an IPv4 address, including connected sockets."""
    return [number for text, number in (_end(fields[1]) for fields in _read("udp")) if _address(text) == address]


def accepts(addresses: list[IPAddress], target: IPAddress, *, ipv6_only: bool) -> bool:
    """Return whether a socket at one of the addresses receives packets to ``target``.

    A socket at ``::`` receives IPv4 packets too, except with ``ipv6_only`` (`is_ipv6_only`).
    """
    wildcards: tuple[IPAddress, ...] = (IPv6Address(0),) if target.version == 6 or not ipv6_only else ()
    wildcards += (IPv4Address(0),) if target.version == 4 else ()
    mapped = IPv6Address(f"::ffff:{target}") if target.version == 4 else target
    return any(address in (*wildcards, target, mapped) for address in addresses)


class Socket(NamedTuple):
    """A socket in a file of /proc/net: its port and state, and the other end of its connection.

    ``state`` is the number that the kernel prints, such as "0A" for a listening TCP socket.
    """

    port: int
    state: str
    remote: IPAddress
    remote_port: int


def sockets(file: str) -> Iterator[Socket]:
    """Yield the sockets in a file of /proc/net, such as "tcp6"; nothing if the file is missing.

    An IPv4-mapped IPv6 address (``::ffff:192.0.2.1``) is returned as an IPv4 address.
    """
    for _, local, other, state, *_ in _read(file):
        (_, port), (text, remote_port) = _end(local), _end(other)
        remote = _address(text)
        mapped = remote.ipv4_mapped if isinstance(remote, IPv6Address) else None
        yield Socket(port, state, mapped or remote, remote_port)


def _read(file: str) -> Iterator[list[str]]:
    """Yield the columns of each socket in a file of /proc/net, such as "tcp6".

    The columns are the number, the local end, the remote end, the state and others.
    """
    with suppress(OSError), open(f"/proc/thread-self/net/{file}", encoding="ascii") as table:
        yield from (line.split() for line in table.readlines()[1:])


def _end(text: str) -> tuple[str, int]:
    """Return the address (as the kernel prints it) and the port of one end of a socket.

    ``text`` is this end in /proc/net, in hexadecimal: "0100007F:0035" gives "0100007F" and 53.
    """
    address, _, number = text.partition(":")
    return address, int(number, 16)


def _address(text: str) -> IPAddress:
    """Return the address in ``text``: 32-bit words in hexadecimal, in the byte order of the machine."""
    words = [bytes.fromhex(text[i : i + 8]) for i in range(0, len(text), 8)]
    data = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    return ip_address(data)
