"""One exchange (query and reply) with one upstream server, on its own UDP or TCP socket.

The exchange accepts only a reply from the server's address to the query's port, with the query's random id and
question. Because the socket is connected, the kernel drops messages of other senders. To forge a reply without seeing
the query, an attacker must guess id and port (RFC 5452).
"""

from __future__ import annotations

import os
import socket
from errno import EINPROGRESS
from functools import lru_cache
from typing import Protocol

from engine.dns import wire
from engine.eventloop.loop import READ, WRITE, Loop
from engine.eventloop.netns import sockets_in
from engine.resolv_conf import Upstream

BATCH = 64
"""Maximum number of wrong messages read per wake-up, so that a flood of forged messages does not delay other
queries.
"""
AHEAD = 16
"""Maximum number of sockets made together. This saves time: entering a sandbox's network namespace takes 28 µs, making
a socket there only 5 µs.
"""


class Waiting(Protocol):
    """A query that waits for the reply of an upstream server."""

    query: wire.Query

    def received(self, message: bytes) -> None:
        """Process the reply of the upstream server."""

    def failed(self) -> None:
        """Process a failure: the server was not reached, or closed the connection without a reply."""


class FreshSockets:
    """A stock of unused UDP sockets for one sandbox.

    If the stock is empty, several sockets are made at once: the more queries are unanswered, the more sockets.
    """

    __slots__ = ("_ready",)

    def __init__(self) -> None:
        self._ready: dict[tuple[int | None, int], list[socket.SocketType]] = {}

    def take(self, netns: int | None, family: int, unanswered: int) -> socket.SocketType:
        """Return a UDP socket for one query; raises OSError if no socket can be made.

        ``netns`` is a file descriptor of the sandbox's network namespace, or None for the host's namespace. ``family``
        is socket.AF_INET or socket.AF_INET6.

        If no unused socket is left, several sockets are made in the sandbox's namespace, for this call and later calls.
        Their number is that of the sandbox's ``unanswered`` queries, but at most `AHEAD`. In the host's namespace, only
        one socket is made.
        """
        ready = self._ready.get((netns, family))
        if not ready:
            number = 1 if netns is None else min(unanswered, AHEAD)
            ready = self._ready[netns, family] = sockets_in(netns, family, socket.SOCK_DGRAM, number)
        return ready.pop()

    def clear(self) -> None:
        """Close the unused sockets."""
        for ready in self._ready.values():
            for sock in ready:
                sock.close()
        self._ready.clear()


Destination = tuple[int, tuple[str, int] | tuple[str, int, int, int]]
"""An address family, and a socket address of this family."""


def destination(upstream: Upstream) -> Destination:
    """Return the address family and the socket address of an upstream server, with port 53.

    An IPv6 address may have a zone (``%eth0``). If the server is asked from the host, the function raises OSError for
    an unknown zone. If the server is asked from the sandbox, the zone is ignored.
    """
    host, percent, zone = upstream.address.partition("%")
    if not percent:
        return _plain(host)
    return socket.AF_INET6.value, (host, wire.PORT, 0, socket.if_nametoindex(zone) if upstream.on_host else 0)


@lru_cache(maxsize=256)
def _plain(host: str) -> Destination:
    if ":" in host:
        return socket.AF_INET6.value, (host, wire.PORT, 0, 0)
    return socket.AF_INET.value, (host, wire.PORT)


def connect(sock: socket.SocketType, upstream: Upstream) -> None:
    """Connect a UDP socket to an upstream server, or start to connect a TCP socket.

    If there is no route to the server, the function closes the socket and raises OSError.
    """
    error = sock.connect_ex(destination(upstream)[1])
    if error not in (0, EINPROGRESS):
        sock.close()
        raise OSError(error, f"no way to {upstream.address}")


def answers(query: wire.Query, message: bytes) -> bool:
    """Return whether a message is a reply to this query; the id is not checked.

    The message must have the query's question. In an error reply, the question may be missing.
    """
    if len(message) < wire.HEADER or not message[2] & 0x80:
        return False
    if message[4:6] == b"\0\0":
        return message[3] & 15 != wire.NOERROR
    return message[wire.HEADER : wire.HEADER + len(query.question)].lower() == query.key


class DatagramExchange:
    """An exchange of one query and its reply by UDP; the constructor sends the query.

    ``sock`` is a new UDP socket, which is closed at the end. The reply or a failure is passed to ``waiting``. Raises
    OSError if the query cannot be sent.
    """

    __slots__ = ("_id", "_loop", "_socket", "_waiting")

    def __init__(self, loop: Loop, sock: socket.SocketType, upstream: Upstream, waiting: Waiting) -> None:
        self._loop, self._socket, self._waiting = loop, sock, waiting
        self._id = os.urandom(2)
        connect(sock, upstream)
        try:
            sock.send(self._id + waiting.query.for_datagram()[2:])
        except BlockingIOError:
            pass  # the socket's buffer is full, so the query is lost; after a timeout the next server is asked
        except OSError:
            sock.close()
            raise
        loop.watch(sock.fileno(), self._readable)

    def _readable(self, _events: int) -> None:
        for _ in range(BATCH):
            try:
                message = self._socket.recv(wire.STREAM_LIMIT)
            except BlockingIOError:
                return
            except OSError:
                self.withdraw()
                self._waiting.failed()
                return
            if message[:2] == self._id and answers(self._waiting.query, message):
                self.withdraw()
                self._waiting.received(message)
                return

    def withdraw(self) -> None:
        """Stop waiting and close the socket; idempotent."""
        self._loop.close_socket(self._socket)


class StreamExchange:
    """An exchange of one query and its reply by TCP; the constructor starts to connect.

    ``netns`` is a file descriptor of the network namespace from which the server is asked, or None for the host's. The
    reply or a failure is passed to ``waiting``. Raises OSError if this namespace has no route to the server.
    """

    __slots__ = ("_loop", "_out", "_read", "_socket", "_waiting")

    def __init__(self, loop: Loop, netns: int | None, upstream: Upstream, waiting: Waiting) -> None:
        self._loop, self._waiting = loop, waiting
        message = waiting.query.message
        self._out = len(message).to_bytes(2, "big") + message
        self._read = bytearray()
        self._socket = sockets_in(netns, destination(upstream)[0], socket.SOCK_STREAM, 1)[0]
        connect(self._socket, upstream)
        loop.watch(self._socket.fileno(), self._ready, READ | WRITE)

    def _ready(self, _events: int) -> None:
        try:
            if self._out:
                self._send()
            self._receive()
        except BlockingIOError:
            return
        except OSError:
            self.withdraw()
            self._waiting.failed()

    def _send(self) -> None:
        self._out = self._out[self._socket.send(self._out) :]
        if not self._out:
            self._loop.change(self._socket.fileno(), READ)

    def _receive(self) -> None:
        data = self._socket.recv(wire.STREAM_LIMIT)
        if not data:
            raise ConnectionResetError
        self._read += data
        size = int.from_bytes(self._read[:2], "big")
        if len(self._read) < 2 + size or len(self._read) < 2:
            return
        message = bytes(self._read[2 : 2 + size])
        if message[:2] != self._waiting.query.message[:2] or not answers(self._waiting.query, message):
            raise ConnectionResetError
        self.withdraw()
        self._waiting.received(message)

    def withdraw(self) -> None:
        """Close the connection; idempotent."""
        self._loop.close_socket(self._socket)
