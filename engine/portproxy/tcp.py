"""Copies TCP data between published ports and containers, in both directions.

If one side finishes sending, the other side may continue to send. Data stays in the sender's socket until the
receiver's socket accepts the data. The agent buffers nothing. Therefore the agent's memory use does not grow with
traffic, and a slow reader slows down the sender.

As with Docker's proxy, a connection may be idle forever. The kernel ends connections to hosts that have disappeared,
because keepalive runs on both sockets. Connecting to a container fails after a few retransmissions.
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

from engine.eventloop.loop import READ, WRITE, Loop
from engine.eventloop.quota import Claim, Quota
from engine.portproxy.clients import claims
from engine.ports.proxied import Origin, Target

CHUNK = 262144  # bytes
ORIGINAL_DST = 80  # socket option IP6T_SO_ORIGINAL_DST (linux/netfilter_ipv6/ip6_tables.h): a struct sockaddr_in6
ADDRESS = struct.Struct("!2xH4x16s4x")
FAILURE = select.EPOLLET
"""Event mask that asks for no events. epoll still reports an error or hang-up, but only once (edge-triggered)."""
ERROR = select.EPOLLERR
RESET = struct.pack("ii", 1, 0)  # struct linger (on, 0 seconds): close() sends a TCP reset
ACCEPT_PAUSE_SECONDS = 0.5
"""Seconds for which the proxy accepts no connections after the agent's file descriptors ran out."""
REPORT_INTERVAL = 60.0  # minimum seconds between two log lines about refused clients
BACKLOG = 4096
ACCEPTS = 16
"""Maximum number of clients accepted per wake-up; after that, other handlers run."""
OPTIONS = {
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE): 1,
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE): 60,  # seconds of silence before the first keepalive probe
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL): 15,  # seconds between two keepalive probes
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT): 6,  # 6 lost probes: the client is dead after 150 s, as in Docker's proxy
    (socket.IPPROTO_TCP, socket.TCP_NODELAY): 1,
}
RETRANSMISSIONS = 3
"""Number of SYN retransmissions when the proxy connects to a container; a connection attempt then fails after 15 s."""

_buffer = bytearray(CHUNK)
_view = memoryview(_buffer)


class StreamListener:
    """The proxy's listening TCP socket, to which the firewall redirects all proxied TCP ports.

    The function ``target_of`` returns the container address and port for a published port, or None for any other port.
    """

    def __init__(self, loop: Loop, target_of: Callable[[Origin], Target | None], quota: Quota) -> None:
        self.loop, self._target_of, self._quota = loop, target_of, quota
        self._relays: dict[Origin, set[StreamRelay]] = {}
        self._next_report = 0.0
        self._socket = socket.socket(socket.AF_INET6, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        set_options(self._socket)  # set the options on the listening socket, because accepted sockets inherit them
        self._socket.bind(("::", 0))
        self._socket.listen(BACKLOG)
        self.port: int = self._socket.getsockname()[1]

    def start(self) -> None:
        """Accept clients from now on."""
        self.loop.watch(self._socket.fileno(), lambda _: self._accept())

    def _accept(self) -> None:
        for _ in range(ACCEPTS):
            try:
                client, peer = self._socket.accept()
            except BlockingIOError:
                return
            except OSError:
                self.loop.rest(self._socket.fileno(), ACCEPT_PAUSE_SECONDS)
                return
            try:
                self._admit(client, peer[0])
            except OSError:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                client.close()

    def _admit(self, client: socket.socket, address: str) -> None:
        """Connect to the container for a client that has connected from ``address``, and start to copy between the two.

        Raises OSError if the port is not published, the client has too many connections, or there is no route to the
        container.
        """
        client.setblocking(False)
        origin = original_destination(client)
        target = self._target_of(origin)
        if target is None:
            raise ConnectionRefusedError
        claimed = claims(address, origin, target)
        if not self._quota.take(claimed):
            self._report(address)
            raise ConnectionRefusedError
        try:
            relay = StreamRelay(self, origin, claimed, client, connecting(target))
        except OSError:
            self._quota.give(claimed)
            raise
        self._relays.setdefault(origin, set()).add(relay)

    def _report(self, address: str) -> None:
        """Log a refused client; at most one log line is written in `REPORT_INTERVAL` seconds."""
        now = time.monotonic()
        if now >= self._next_report:
            self._next_report = now + REPORT_INTERVAL
            text = f"port proxy: connection from {address} reset, because too many are open from there or to its target"
            print(text, file=sys.stderr, flush=True)

    def closed(self, relay: StreamRelay) -> None:
        """Remove an ended connection and release its place in the quota."""
        self._quota.give(relay.claims)
        others = self._relays[relay.origin]
        others.discard(relay)
        if not others:
            del self._relays[relay.origin]

    def prune(self) -> None:
        """Close the connections of ports that are no longer published."""
        for origin in [origin for origin in self._relays if self._target_of(origin) is None]:
            self._end(origin)

    def _end(self, origin: Origin) -> None:
        for relay in list(self._relays[origin]):
            relay.close()

    def close(self) -> None:
        """Close the socket and all connections."""
        self.loop.close_socket(self._socket)
        for origin in list(self._relays):
            self._end(origin)


def original_destination(client: socket.socket) -> Origin:
    """Return the destination of a connection before the firewall's redirect.

    Raises OSError if the destination is unknown.
    """
    port, address = ADDRESS.unpack(client.getsockopt(socket.IPPROTO_IPV6, ORIGINAL_DST, ADDRESS.size))
    return Origin("tcp", IPv6Address(address), port)


def set_options(sock: socket.socket) -> None:
    """Set the keepalive and other options that both sockets of a proxied connection need."""
    for (level, option), value in OPTIONS.items():
        sock.setsockopt(level, option, value)


def connecting(target: Target) -> socket.socket:
    """Return a TCP socket that is connecting to ``target``; raises OSError if the host has no route to ``target``."""
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


class StreamEnd:
    """One of the two sockets of a proxied connection: one leads to the client, one to the container.

    ``other`` is the opposite socket.
    """

    __slots__ = ("connecting", "ended", "events", "full", "other", "relay", "shut", "socket")

    def __init__(self, relay: StreamRelay, sock: socket.socket) -> None:
        self.relay, self.socket = relay, sock
        self.other = self
        self.events = 0
        self.connecting = self.full = False  # full: the socket's send buffer accepts no more data for now
        self.ended = False  # this socket's peer (client or container) has finished sending; all its data was received
        self.shut = False  # this socket's sending side is shut down

    def ready(self, events: int) -> None:
        """Copy the data that is available; ``events`` are the socket's epoll events.

        If one of the two sockets has failed, both are closed.
        """
        try:
            if events & ERROR and (self.ended or self.other.full):
                raise OSError(self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), "connection failed")
            self.connecting = False
            if self.full and events & ~READ:
                self.full = False
                self.other.copy()
            self.copy()  # `copy` copies the data that arrived before a failure, then raises OSError
            self.relay.settle()
        except OSError:
            self.relay.close()

    def copy(self) -> None:
        """Send up to `CHUNK` received bytes to the other socket of the proxied connection.

        Bytes that the other socket does not accept stay in this socket.
        """
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
            self.socket.recv_into(_buffer, taken, socket.MSG_TRUNC)  # MSG_TRUNC removes the sent bytes from the socket

    def requested_events(self) -> int:
        """Return the epoll events to wait for on this socket: readable, writable, both, or only failures."""
        reading = not (self.ended or self.other.full)
        return (READ if reading else 0) | (WRITE if self.full else 0) or FAILURE

    def watch(self) -> None:
        """Start to watch the socket for the events that it needs now."""
        self.events = self.requested_events()
        self.relay.loop.watch(self.socket.fileno(), self.ready, self.events)

    def wait(self) -> None:
        """Watch the socket for the events that it needs now, if they have changed."""
        events = self.requested_events()
        if events != self.events:
            self.relay.loop.change(self.socket.fileno(), events)
            self.events = events


class StreamRelay:
    """A proxied connection: copies between two sockets until both directions have ended or one side fails."""

    __slots__ = ("_ends", "_listener", "claims", "loop", "origin")

    def __init__(
        self,
        listener: StreamListener,
        origin: Origin,
        claims: tuple[Claim, ...],
        client: socket.socket,
        server: socket.socket,
    ) -> None:
        self._listener, self.loop, self.origin, self.claims = listener, listener.loop, origin, claims
        client_end, server_end = self._ends = StreamEnd(self, client), StreamEnd(self, server)
        client_end.other, server_end.other = server_end, client_end
        server_end.connecting = server_end.full = True
        for end in self._ends:
            end.watch()

    def settle(self) -> None:
        """Shut down sending on each socket if the opposite socket has ended, because no more data will come.

        When both sockets are shut down, close the connection. Until then, watch both for the events that they need.
        """
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
            self.loop.close_socket(end.socket)
        self._listener.closed(self)
