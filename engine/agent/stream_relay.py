"""TCP from a port of the host to an address: both directions copied, half-closes passed on, never more than read once.

A direction reads only when all it read before is written, so a slow reader slows its writer and memory stays bounded.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from engine.agent.loop import READ, WRITE, Loop

CHUNK = 65536
PAUSE = 0.5
"""Seconds to stop accepting when descriptors have run out."""


class StreamListener:
    """Listens on an IPv6 address and relays each connection to ``target`` (address, port)."""

    def __init__(self, loop: Loop, address: str, port: int, target: tuple[str, int]) -> None:
        self._loop, self.target = loop, target
        self._relays: set[StreamRelay] = set()
        self._socket = socket.socket(socket.AF_INET6, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self._socket.bind((address, port))
            self._socket.listen(1024)
        except OSError:
            self._socket.close()
            raise
        loop.watch(self._socket.fileno(), lambda _: self._accept())

    def _accept(self) -> None:
        try:
            client, _ = self._socket.accept()
        except BlockingIOError:
            return
        except OSError:
            self._loop.rest(self._socket.fileno(), PAUSE)
            return
        try:
            server = connecting(self.target)
        except OSError:
            client.close()
            return
        self._relays.add(StreamRelay(self._loop, client, server, self._relays.discard))

    def close(self) -> None:
        """Close the port and its connections."""
        if self._socket.fileno() >= 0:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
        for relay in list(self._relays):
            relay.close()


def connecting(target: tuple[str, int]) -> socket.socket:
    """A stream socket on its way to ``target``; raises OSError where there is none."""
    family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    server.connect_ex(target)  # a failure shows when the socket is used
    return server


def connected(end: End) -> None:
    """Note that the connection stands; raises OSError where it failed."""
    error = end.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, "not connected")
    end.connecting = False


class End:
    """One of the two sockets: what is to be written to it, and how far each direction has come."""

    __slots__ = ("connecting", "ended", "events", "out", "shut", "socket")

    def __init__(self, sock: socket.socket, *, connecting: bool) -> None:
        self.socket, self.connecting = sock, connecting
        self.out = b""
        self.events = 0
        self.ended = False  # nothing more will be read from it
        self.shut = False  # nothing more will be written to it


class StreamRelay:
    """Copies between two sockets until both directions have ended or one fails."""

    __slots__ = ("_closed", "_ends", "_loop")

    def __init__(
        self, loop: Loop, client: socket.socket, server: socket.socket, closed: Callable[[StreamRelay], None]
    ) -> None:
        self._loop, self._closed = loop, closed
        self._ends = End(client, connecting=False), End(server, connecting=True)
        for end in self._ends:
            end.socket.setblocking(False)
            end.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._settle()

    def _ready(self, end: End, other: End) -> None:
        try:
            if end.connecting:
                connected(end)
            if end.out:
                end.out = end.out[end.socket.send(end.out) :]
            if not other.out and not end.ended:
                self._read(end, other)
            self._settle()
        except BlockingIOError:
            self._settle()
        except OSError:
            self.close()

    def _read(self, end: End, other: End) -> None:
        data = end.socket.recv(CHUNK)
        end.ended = not data
        if data:
            try:
                other.out = data[other.socket.send(data) :]
            except BlockingIOError:
                other.out = data

    def _settle(self) -> None:
        """Pass ends on, and watch each socket for what it is waited for."""
        for end, other in (self._ends, self._ends[::-1]):
            if other.ended and not (end.out or end.shut or end.connecting):
                end.shut = True
                end.socket.shutdown(socket.SHUT_WR)
        if all(end.shut for end in self._ends):
            self.close()
            return
        for end, other in (self._ends, self._ends[::-1]):
            reading = READ if not (end.ended or other.out) else 0
            self._watch(end, other, reading | (WRITE if end.out or end.connecting else 0))

    def _watch(self, end: End, other: End, events: int) -> None:
        """Watch for ``events``; for none, not at all: epoll would go on telling of a hung-up socket."""
        if events == end.events:
            return
        fd = end.socket.fileno()
        if not events:
            self._loop.forget(fd)
        elif not end.events:
            self._loop.watch(fd, lambda _: self._ready(end, other), events)
        else:
            self._loop.change(fd, events)
        end.events = events

    def close(self) -> None:
        """Close both sockets; idempotent."""
        for end in self._ends:
            if end.socket.fileno() >= 0:
                self._loop.forget(end.socket.fileno())
                end.socket.close()
        self._closed(self)
