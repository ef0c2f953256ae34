"""Conversations with one upstream server about one query, each on a socket of its own: a datagram or a stream.

A reply counts only if it comes from the asked address to the query's own port (the socket is connected, so the kernel
drops the rest) and has the query's random id and its question. To forge one without seeing the query, id and port have
to be guessed (RFC 5452).
"""

from __future__ import annotations

import os
import socket
from errno import EINPROGRESS
from functools import lru_cache
from typing import Protocol

from engine.dns import wire
from engine.etc_files.resolv_conf import Upstream
from engine.eventloop.loop import READ, WRITE, Loop
from engine.eventloop.netns import sockets_in

BATCH = 64
"""Messages read in one go that are no reply, so that a flood of forged ones does not hold up the others."""
AHEAD = 16
"""Sockets made in one go: to enter a sandbox's namespace takes 28 µs, to make a socket there 5 µs."""

_buffer = bytearray(wire.STREAM_LIMIT)
_view = memoryview(_buffer)


class Waiting(Protocol):
    """A query that waits for its reply."""

    query: wire.Query

    def received(self, message: bytes) -> None:
        """Take the reply."""

    def failed(self) -> None:
        """Learn that there will be none."""


class FreshSockets:
    """Datagram sockets of one sandbox that no query has used: the busier it is, the more are made in one go."""

    __slots__ = ("_ready",)

    def __init__(self) -> None:
        self._ready: dict[tuple[int | None, int], list[socket.SocketType]] = {}

    def take(self, netns: int | None, family: int, under_way: int) -> socket.SocketType:
        """Return a socket for one query; raises OSError where there can be none."""
        ready = self._ready.get((netns, family))
        if not ready:
            number = 1 if netns is None else min(under_way, AHEAD)
            ready = self._ready[netns, family] = sockets_in(netns, family, socket.SOCK_DGRAM, number)
        return ready.pop()

    def clear(self) -> None:
        """Close those that are left."""
        for ready in self._ready.values():
            for sock in ready:
                sock.close()
        self._ready.clear()


Destination = tuple[int, tuple[str, int] | tuple[str, int, int, int]]
"""An address family and a socket address."""


def destination(upstream: Upstream) -> Destination:
    """Return where a server is asked; raises OSError where its zone is unknown."""
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
    """Connect a socket to a server, or begin to; raises OSError, and closes it, where there is no way."""
    error = sock.connect_ex(destination(upstream)[1])
    if error not in (0, EINPROGRESS):
        sock.close()
        raise OSError(error, f"no way to {upstream.address}")


def answers(query: wire.Query, message: bytes) -> bool:
    """Whether a message is a reply to this question (a server may leave the question out of an error)."""
    if len(message) < wire.HEADER or not message[2] & 0x80:
        return False
    if message[4:6] == b"\0\0":
        return message[3] & 15 != wire.NOERROR
    return message[wire.HEADER : wire.HEADER + len(query.question)].lower() == query.key


class DatagramExchange:
    """One query in one datagram; raises OSError where the server cannot be asked. Takes the socket over."""

    __slots__ = ("_id", "_loop", "_socket", "_waiting")

    def __init__(self, loop: Loop, sock: socket.SocketType, upstream: Upstream, waiting: Waiting) -> None:
        self._loop, self._socket, self._waiting = loop, sock, waiting
        self._id = os.urandom(2)
        connect(sock, upstream)
        try:
            sock.send(self._id + waiting.query.for_datagram()[2:])
        except BlockingIOError:
            pass  # the socket's buffer is full: the query is lost like any datagram, and its timer goes on
        except OSError:
            sock.close()
            raise
        loop.watch(sock.fileno(), self._readable)

    def _readable(self, _events: int) -> None:
        for _ in range(BATCH):
            try:
                size = self._socket.recv_into(_buffer)
            except BlockingIOError:
                return
            except OSError:
                self.withdraw()
                self._waiting.failed()
                return
            message = bytes(_view[:size])
            if message[:2] == self._id and answers(self._waiting.query, message):
                self.withdraw()
                self._waiting.received(message)
                return

    def withdraw(self) -> None:
        """Wait no more, and give the port up; idempotent."""
        if self._socket.fileno() >= 0:
            self._loop.forget(self._socket.fileno())
            self._socket.close()


class StreamExchange:
    """One TCP connection for one query; raises OSError where there is no way to the server."""

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
        if self._socket.fileno() >= 0:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
