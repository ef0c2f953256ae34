"""TCP from ports of the host to containers: both directions copied, half-closes passed on, never more than read once.

A direction reads only when all it read before is written, so a slow reader slows its writer and memory stays bounded.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from ipaddress import IPv6Address

from engine.agent.forwarding import Origin, Target
from engine.agent.loop import READ, WRITE, Loop

CHUNK = 65536
ORIGINAL_DST = 80  # IP6T_SO_ORIGINAL_DST of linux/netfilter_ipv6/ip6_tables.h: a struct sockaddr_in6
ADDRESS = struct.Struct("!2xH4x16s4x")
PAUSE = 0.5
"""Seconds to stop accepting when descriptors have run out."""


class StreamListener:
    """One listening socket; ``target_of`` tells where the port that a client asked for leads."""

    def __init__(self, loop: Loop, target_of: Callable[[Origin], Target | None]) -> None:
        self._loop, self._target_of = loop, target_of
        self._relays: dict[StreamRelay, Origin] = {}
        self._socket = socket.socket(socket.AF_INET6, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self._socket.bind(("::", 0))
        self._socket.listen(1024)
        self.port: int = self._socket.getsockname()[1]
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
            origin = original_destination(client)
            target = self._target_of(origin)
            if target is None:
                raise ConnectionRefusedError
            server = connecting(target)
        except OSError:
            client.close()
            return
        self._relays[StreamRelay(self._loop, client, server, self._closed)] = origin

    def _closed(self, relay: StreamRelay) -> None:
        self._relays.pop(relay, None)

    def prune(self) -> None:
        """Close the connections to ports that lead nowhere any more."""
        for relay in [relay for relay, origin in self._relays.items() if self._target_of(origin) is None]:
            relay.close()

    def close(self) -> None:
        """Close the socket and all connections."""
        if self._socket.fileno() >= 0:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
        for relay in list(self._relays):
            relay.close()


def original_destination(client: socket.socket) -> Origin:
    """The address and port that a client asked for, before the firewall led it here; raises OSError when unknown."""
    port, address = ADDRESS.unpack(client.getsockopt(socket.IPPROTO_IPV6, ORIGINAL_DST, ADDRESS.size))
    return Origin("tcp", IPv6Address(address), port)


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
