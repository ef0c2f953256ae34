"""Send ICMP echo requests (ping) to many addresses at once, and compute the checksum of such packets (RFC 1071)."""

from __future__ import annotations

import os
import selectors
import socket
import struct
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress

from drivers.model import IPAddress

KINDS = {4: (socket.AF_INET, socket.IPPROTO_ICMP, 8, 0), 6: (socket.AF_INET6, socket.IPPROTO_ICMPV6, 128, 129)}
"""Address family, protocol, and the message types of echo request and echo reply, by IP version."""
HEADER = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence number
DATAGRAM = 2048  # bytes to read for one answer; no answer to hawse's own echo requests is longer


def answering(addresses: Iterable[IPAddress], seconds: float) -> set[IPAddress]:
    """Return the addresses that answer an echo request within ``seconds``; unanswered requests are repeated once.

    Needs CAP_NET_RAW. Runs in the calling thread's network namespace. Blocks up to ``seconds``.
    """
    waiting, answered = set(addresses), set[IPAddress]()
    identifier = os.getpid() & 0xFFFF
    with ExitStack() as opened, selectors.PollSelector() as selector:
        versions = {address.version for address in waiting}
        sockets = {version: opened.enter_context(open_socket(version)) for version in versions}
        for version, sock in sockets.items():
            selector.register(sock, selectors.EVENT_READ, version)
        for attempt in (1, 2):
            for address in waiting - answered:
                with suppress(OSError):
                    sockets[address.version].sendto(request(address.version, identifier, attempt), (str(address), 0))
            _collect(selector, waiting, answered, identifier, time.monotonic() + seconds / 2)
    return answered


def open_socket(version: int) -> socket.socket:
    """Open a raw, non-blocking socket for echo requests of IP version 4 or 6, in the thread's network namespace."""
    family, protocol, _, _ = KINDS[version]
    return socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)


def request(version: int, identifier: int, number: int, payload: bytes = b"") -> bytes:
    """Return the ICMP message of an echo request, without an IP header; ``version`` is 4 or 6.

    ``identifier`` is the id and ``number`` the sequence number in the ICMP header. ``payload`` follows the header.
    """
    kind = KINDS[version][2]
    message = HEADER.pack(kind, 0, 0, identifier, number) + payload
    if version == 6:
        return message  # the kernel fills in the checksum
    return HEADER.pack(kind, 0, checksum(message), identifier, number) + payload


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071) of ``data``."""
    padded = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def number_of_reply(packet: bytes, version: int, identifier: int) -> int | None:
    """Return an echo reply's sequence number, or None if ``packet`` is no echo reply with the id ``identifier``.

    ``packet`` is the data from a raw socket: for IPv4 it begins with the IP header, for IPv6 with the ICMP header.
    """
    message = packet[(packet[0] & 15) * 4 :] if version == 4 else packet  # a raw IPv4 socket returns the IP header
    if len(message) < HEADER.size:
        return None
    kind, _, _, known, number = HEADER.unpack_from(message)
    return int(number) if (kind, known) == (KINDS[version][3], identifier) else None


def _collect(
    selector: selectors.BaseSelector, waiting: set[IPAddress], answered: set[IPAddress], identifier: int, end: float
) -> None:
    by_text = {str(address): address for address in waiting}
    while answered != waiting:
        ready = selector.select(max(0.0, end - time.monotonic()))
        if not ready:
            return
        for key, _ in ready:
            sock: socket.socket = key.fileobj  # type: ignore[assignment]  # only sockets are registered
            with suppress(OSError):
                data, sender = sock.recvfrom(DATAGRAM)
                address = by_text.get(sender[0].partition("%")[0])
                if address is not None and number_of_reply(data, key.data, identifier) is not None:
                    answered.add(address)
