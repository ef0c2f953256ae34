"""Conversations with one upstream server: a datagram socket shared by the queries under way, or a stream for one query.

Replies are matched by a random id and by the question; both kinds of socket are connected, so that the kernel drops
what comes from elsewhere and tells at once when nobody listens. A datagram socket lives while queries wait for it, so a
new source port comes with nearly every query (RFC 5452).
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from errno import EINPROGRESS
from random import SystemRandom
from typing import Protocol

from engine.agent.loop import READ, WRITE, Loop
from engine.agent.netns import socket_in
from engine.dns import wire
from engine.files.resolv_conf import Upstream

IDS = SystemRandom()
BATCH = 64
"""Replies read in one go, so that one busy server does not hold up the others."""


class Waiting(Protocol):
    """A query that waits for its reply."""

    query: wire.Query

    def received(self, message: bytes) -> None:
        """Take the reply."""

    def failed(self) -> None:
        """Learn that there will be none."""


def connected(netns: int | None, upstream: Upstream, kind: int) -> socket.socket:
    """A socket that is connected to a server, or connecting; raises OSError where there is no way to it."""
    host, _, zone = upstream.address.partition("%")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket_in(netns, family, kind)
    try:
        scope = socket.if_nametoindex(zone) if zone and netns is None else 0
        address = (host, wire.PORT, 0, scope) if family == socket.AF_INET6 else (host, wire.PORT)
        error = sock.connect_ex(address)
        if error not in (0, EINPROGRESS):
            raise OSError(error, f"no way to {upstream.address}")
    except OSError:
        sock.close()
        raise
    return sock


def answers(query: wire.Query, message: bytes) -> bool:
    """Whether a message is a reply to this question (a server may leave the question out of an error)."""
    if len(message) < wire.HEADER or not message[2] & 0x80:
        return False
    if message[4:6] == b"\0\0":
        return message[3] & 15 != wire.NOERROR
    return message[wire.HEADER : wire.HEADER + len(query.question)].lower() == query.key


class DatagramExchange:
    """One UDP socket to one server; ``ended`` is called when the last query has left it."""

    __slots__ = ("_ended", "_loop", "_socket", "_waiting")

    def __init__(self, loop: Loop, netns: int | None, upstream: Upstream, ended: Callable[[], object]) -> None:
        self._loop, self._ended = loop, ended
        self._waiting: dict[int, Waiting] = {}
        self._socket = connected(netns, upstream, socket.SOCK_DGRAM)
        loop.watch(self._socket.fileno(), self._readable)

    def send(self, waiting: Waiting) -> int:
        """Send a query under a new id, for `withdraw`; raises OSError where the socket tells that nobody is there."""
        number = IDS.getrandbits(16)
        while number in self._waiting:
            number = IDS.getrandbits(16)
        self._waiting[number] = waiting
        try:
            self._socket.send(number.to_bytes(2, "big") + waiting.query.message[2:])
        except BlockingIOError:
            pass  # the socket's buffer is full: the query is lost like any datagram, and its timer goes on
        except OSError:
            del self._waiting[number]
            self._fail_all()  # what the socket tells is about a query sent before, and it tells it once
            raise
        return number

    def withdraw(self, number: int) -> None:
        """Wait no more for this query; idempotent."""
        self._waiting.pop(number, None)
        self._close_if_idle()

    def _readable(self, _events: int) -> None:
        for _ in range(BATCH):
            try:
                message = self._socket.recv(wire.STREAM_LIMIT)
            except BlockingIOError:
                break
            except OSError:
                self._fail_all()
                break
            number = int.from_bytes(message[:2], "big")
            waiting = self._waiting.get(number)
            if waiting is not None and answers(waiting.query, message):
                del self._waiting[number]
                waiting.received(message)
        self._close_if_idle()

    def _fail_all(self) -> None:
        waiting, self._waiting = self._waiting, {}
        self._close_if_idle()
        for one in waiting.values():
            one.failed()

    def _close_if_idle(self) -> None:
        if not self._waiting and self._socket.fileno() >= 0:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
            self._ended()


class StreamExchange:
    """One TCP connection for one query."""

    __slots__ = ("_loop", "_out", "_read", "_socket", "_waiting")

    def __init__(self, loop: Loop, netns: int | None, upstream: Upstream, waiting: Waiting) -> None:
        self._loop, self._waiting = loop, waiting
        message = waiting.query.message
        self._out = len(message).to_bytes(2, "big") + message
        self._read = bytearray()
        self._socket = connected(netns, upstream, socket.SOCK_STREAM)
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

    def withdraw(self, _number: int = 0) -> None:
        """Close the connection; idempotent."""
        if self._socket.fileno() >= 0:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
