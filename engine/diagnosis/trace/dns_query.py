"""Ask DNS servers for the addresses of a name, with a time limit; runs in the calling thread's network namespace."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Iterator
from ipaddress import ip_address
from typing import NamedTuple

from drivers.linux.probes import PortsExhausted
from drivers.model import IPAddress
from drivers.scalars import socket_text
from engine.dns import wire
from engine.eventloop.readiness import wait_readable

TIMEOUT_SECONDS = 1.5


class Reply(NamedTuple):
    """The reply of a DNS server; ``code`` is the DNS response code (0 is success), or -1 if no reply came in time."""

    code: int
    addresses: tuple[IPAddress, ...] = ()


def ask(server: str, name: str, timeout: float = TIMEOUT_SECONDS) -> Reply:
    """Ask a server for the IPv4 and IPv6 addresses of a name; blocks up to ``timeout`` seconds.

    Raises PortsExhausted if the namespace has no free source port.
    """
    encoded = wire.encode_name(name)
    if encoded is None:
        return Reply(wire.NXDOMAIN)
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        pending, replies = set[int](), list[Reply]()
        try:
            sock.connect((server, wire.PORT))
            for kind in (wire.A, wire.AAAA):
                number = secrets.randbelow(1 << 16)
                pending.add(number)
                sock.send(wire.make_query(number.to_bytes(2, "big"), encoded, kind))
            deadline = time.monotonic() + timeout
            while pending and wait_readable([sock], seconds=deadline - time.monotonic()):
                data = sock.recv(4096)
                number = int.from_bytes(data[:2])
                if len(data) >= wire.HEADER and number in pending:
                    pending.remove(number)
                    replies.append(Reply(data[3] & 15, tuple(_addresses(data))))
        except BlockingIOError:  # EAGAIN of connect(2): no source port is free
            raise PortsExhausted("udp", socket_text(server, wire.PORT)) from None
        except OSError:
            return Reply(-1)
    return _joined(replies) if replies else Reply(-1)


def _joined(replies: list[Reply]) -> Reply:
    addresses = tuple(address for reply in replies for address in reply.addresses)
    return Reply(wire.NOERROR if addresses else min(reply.code for reply in replies), addresses)


def _addresses(message: bytes) -> Iterator[IPAddress]:
    at = _after_name(message, wire.HEADER) + 4
    for _ in range(int.from_bytes(message[6:8], "big")):
        at = _after_name(message, at)
        kind, size = int.from_bytes(message[at : at + 2], "big"), int.from_bytes(message[at + 8 : at + 10], "big")
        data = message[at + 10 : at + 10 + size]
        if (kind, len(data)) in ((wire.A, 4), (wire.AAAA, 16)):
            yield ip_address(data)
        at += 10 + size
        if at >= len(message):
            return


def _after_name(message: bytes, at: int) -> int:
    while at < len(message) and message[at]:
        if message[at] >= 192:
            return at + 2
        at += message[at] + 1
    return at + 1
