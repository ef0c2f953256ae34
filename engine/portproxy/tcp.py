"""TCP from ports of the host to containers: both directions copied, half-closes passed on.

What one side has sent stays in its socket until the other side's socket takes it. The agent holds none of it, so its
memory does not grow with what clients send, and a slow reader slows its writer.

A connection may be idle for ever, as behind Docker's proxy. The kernel ends those whose other end is gone: keepalive
probes run on both sides, and an attempt to reach a container is given up after a few retransmissions.
"""

from __future__ import annotations

import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from errno import EINPROGRESS
from ipaddress import IPv6Address

from engine.eventloop.loop import READ, WRITE, Watcher
from engine.eventloop.quota import Claim, Quota
from engine.portproxy.clients import claims
from engine.ports.proxied import Origin, Target

CHUNK = 262144
ORIGINAL_DST = 80  # IP6T_SO_ORIGINAL_DST of linux/netfilter_ipv6/ip6_tables.h: a struct sockaddr_in6
ADDRESS = struct.Struct("!2xH4x16s4x")
FAILURE = select.EPOLLET
"""Nothing is waited for: epoll tells of a failure or a hang-up all the same, and because of this once only."""
ERROR = select.EPOLLERR
RESET = struct.pack("ii", 1, 0)  # struct linger: on, 0 seconds
PAUSE = 0.5
"""Seconds to stop accepting when descriptors have run out."""
REPORT_INTERVAL = 60.0  # seconds
BACKLOG = 4096
ACCEPTS = 16
"""Clients accepted in one go, then it is the others' turn."""
OPTIONS = {
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE): 1,
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE): 60,  # seconds
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL): 15,  # seconds
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT): 6,  # a dead client is noticed after 150 s, as by Docker's proxy
    (socket.IPPROTO_TCP, socket.TCP_NODELAY): 1,
}
RETRANSMISSIONS = 3
"""Further attempts to reach a container: 15 s in all."""

_buffer = bytearray(CHUNK)
_view = memoryview(_buffer)


class StreamListener:
    """One listening socket; ``target_of`` tells where the port that a client asked for leads."""

    def __init__(self, watcher: Watcher, target_of: Callable[[Origin], Target | None], quota: Quota) -> None:
        self.watcher, self._target_of, self._quota = watcher, target_of, quota
        self._relays: dict[Origin, set[StreamRelay]] = {}
        self._next_report = 0.0
        self._socket = socket.socket(socket.AF_INET6, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        set_options(self._socket)  # accepted sockets inherit them
        self._socket.bind(("::", 0))
        self._socket.listen(BACKLOG)
        self.port: int = self._socket.getsockname()[1]
        watcher.watch(self._socket.fileno(), lambda _: self._accept())

    def _accept(self) -> None:
        for _ in range(ACCEPTS):
            try:
                client, peer = self._socket.accept()
            except BlockingIOError:
                return
            except OSError:
                self.watcher.rest(self._socket.fileno(), PAUSE)
                return
            try:
                self._admit(client, peer[0])
            except OSError:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                client.close()

    def _admit(self, client: socket.socket, address: str) -> None:
        """Begin to relay; raises OSError where the port leads nowhere or the client has too many connections."""
        client.setblocking(False)
        origin = original_destination(client)
        target = self._target_of(origin)
        if target is None:
            raise ConnectionRefusedError
        wanted = claims(address, origin, target)
        if not self._quota.take(wanted):
            self._report(address)
            raise ConnectionRefusedError
        try:
            relay = StreamRelay(self, origin, wanted, client, connecting(target))
        except OSError:
            self._quota.give(wanted)
            raise
        self._relays.setdefault(origin, set()).add(relay)

    def _report(self, address: str) -> None:
        """Print that a client was refused, once in a while."""
        now = time.monotonic()
        if now >= self._next_report:
            self._next_report = now + REPORT_INTERVAL
            text = f"port proxy: connection from {address} reset, because too many are open from there or to its target"
            print(text, file=sys.stderr, flush=True)

    def closed(self, relay: StreamRelay) -> None:
        """Note that a connection has ended."""
        self._quota.give(relay.claims)
        others = self._relays[relay.origin]
        others.discard(relay)
        if not others:
            del self._relays[relay.origin]

    def prune(self) -> None:
        """Close the connections to ports that lead nowhere any more."""
        for origin in [origin for origin in self._relays if self._target_of(origin) is None]:
            self._end(origin)

    def _end(self, origin: Origin) -> None:
        for relay in list(self._relays[origin]):
            relay.close()

    def close(self) -> None:
        """Close the socket and all connections."""
        if self._socket.fileno() >= 0:
            self.watcher.forget(self._socket.fileno())
            self._socket.close()
        for origin in list(self._relays):
            self._end(origin)


def original_destination(client: socket.socket) -> Origin:
    """The address and port that a client asked for, before the firewall led it here; raises OSError when unknown."""
    port, address = ADDRESS.unpack(client.getsockopt(socket.IPPROTO_IPV6, ORIGINAL_DST, ADDRESS.size))
    return Origin("tcp", IPv6Address(address), port)


def set_options(sock: socket.socket) -> None:
    """Set what both sides of a relay have in common."""
    for (level, option), value in OPTIONS.items():
        sock.setsockopt(level, option, value)


def connecting(target: Target) -> socket.socket:
    """Return a stream socket on its way to ``target``; raises OSError where there is no way."""
    family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        set_options(server)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, RETRANSMISSIONS)
        error = server.connect_ex(target)
        if error not in (0, EINPROGRESS):
            raise OSError(error, f"no way to {target[0]}")
    except OSError:
        server.close()
        raise
    return server


class End:
    """One of the two sockets, and how far the direction that is read from it has come."""

    __slots__ = ("connecting", "ended", "events", "full", "other", "relay", "shut", "socket")

    def __init__(self, relay: StreamRelay, sock: socket.socket) -> None:
        self.relay, self.socket = relay, sock
        self.other = self
        self.events = 0
        self.connecting = self.full = False  # full: its socket takes no more for now
        self.ended = False  # nothing more will be read from it
        self.shut = False  # nothing more will be written to it

    def ready(self, events: int) -> None:
        """Copy what can be copied; a failure ends both sides."""
        try:
            if events & ERROR and (self.ended or self.other.full):
                raise OSError(self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), "connection failed")
            self.connecting = False
            if self.full and events & ~READ:
                self.full = False
                self.other.copy()
            self.copy()  # raises once what came before a failure is copied
            self.relay.settle()
        except OSError:
            self.relay.close()

    def copy(self) -> None:
        """Give the other side what has come, up to `CHUNK`; what it does not take stays in this socket."""
        other = self.other
        if self.ended or other.full:
            return
        try:
            size = self.socket.recv_into(_buffer, CHUNK, socket.MSG_PEEK)
        except BlockingIOError:
            return
        if size == 0:
            self.ended = True
            return
        try:
            taken = other.socket.send(_view[:size])
        except BlockingIOError:
            taken = 0
        other.full = taken < size
        if taken:
            self.socket.recv_into(_buffer, taken, socket.MSG_TRUNC)  # drops these bytes without copying them

    def wanted(self) -> int:
        """Return the events that the next step waits for."""
        reading = not (self.ended or self.other.full)
        return (READ if reading else 0) | (WRITE if self.full else 0) or FAILURE

    def watch(self) -> None:
        """Begin to wait."""
        self.events = self.wanted()
        self.relay.watcher.watch(self.socket.fileno(), self.ready, self.events)

    def wait(self) -> None:
        """Wait for the next step."""
        events = self.wanted()
        if events != self.events:
            self.relay.watcher.change(self.socket.fileno(), events)
            self.events = events


class StreamRelay:
    """Copies between two sockets until both directions have ended or one fails."""

    __slots__ = ("_ends", "_listener", "claims", "origin", "watcher")

    def __init__(
        self,
        listener: StreamListener,
        origin: Origin,
        claims: tuple[Claim, ...],
        client: socket.socket,
        server: socket.socket,
    ) -> None:
        self._listener, self.watcher, self.origin, self.claims = listener, listener.watcher, origin, claims
        one, other = self._ends = End(self, client), End(self, server)
        one.other, other.other = other, one
        other.connecting = other.full = True
        for end in self._ends:
            end.watch()

    def settle(self) -> None:
        """Pass ends on, and watch each socket for what it is waited for."""
        for end in self._ends:
            if end.other.ended and not (end.shut or end.connecting):
                end.shut = True
                end.socket.shutdown(socket.SHUT_WR)
        if all(end.shut for end in self._ends):
            self.close()
            return
        for end in self._ends:
            end.wait()

    def close(self) -> None:
        """Close both sockets; idempotent."""
        if self._ends[0].socket.fileno() < 0:
            return
        for end in self._ends:
            self.watcher.forget(end.socket.fileno())
            end.socket.close()
        self._listener.closed(self)
