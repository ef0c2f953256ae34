"""The DNS resolver of one sandbox: its sockets at 127.0.0.11.

On each wake-up the resolver reads one batch of datagrams. The event loop then calls the resolvers of other sandboxes.
Therefore a sandbox that floods its resolver loses only its own queries, and delays other sandboxes by at most one
batch.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address

from drivers.errors import DriverError
from drivers.firewall.resolver_redirect import redirect, reusable_port
from engine.dns import wire
from engine.dns.forwarder import UPSTREAM_TIMEOUT_SECONDS, Outstanding, forward
from engine.dns.mmsg import Datagrams
from engine.dns.responder import Responder
from engine.dns.sandbox_view import SandboxView
from engine.dns.tcp_client import StreamClient
from engine.eventloop.descriptor_budget import DescriptorBudget
from engine.eventloop.loop import Loop
from engine.eventloop.netns import inside
from engine.eventloop.quota import Claim

ADDRESS = "127.0.0.11"
MAX_STREAMS = 64  # TCP connections of one sandbox
ACCEPT_BACKOFF_SECONDS = 0.5
"""Seconds for which a TCP listener accepts no connections after the agent's file descriptors ran out."""
IP_FREEBIND = 15


class SandboxResolver:
    """The DNS resolver of one sandbox. Its sockets are in the sandbox's network namespace.

    ``netns`` is a file descriptor of this namespace, and ``budget`` has the quotas of queries and of TCP connections.
    ``redirected`` is the port to which port 53 of the sandbox is redirected, or 0 if the sockets are bound to port 53
    itself. The constructor makes the sockets, or shares those of the resolver ``former``, whose loop served the sandbox
    before. All methods run in the thread of ``loop``. Another thread may replace ``responder``, and may call `own`.
    """

    __slots__ = (
        "_claims", "_clients", "_datagrams", "_loop", "_owned", "_streams", "_tcp", "_udp", "netns", "outstanding",
        "redirected", "responder",
    )  # fmt: skip

    def __init__(
        self,
        loop: Loop,
        datagrams: Datagrams,
        budget: DescriptorBudget,
        netns: int,
        responder: Responder,
        former: SandboxResolver | None = None,
    ) -> None:
        self._loop, self._datagrams, self.netns, self.responder = loop, datagrams, netns, responder
        self._claims, self._streams = (Claim(netns),), budget.streams
        self.outstanding = Outstanding(budget.queries, self._claims)
        self._clients: set[StreamClient] = set()
        self._owned = -1
        self._udp, self._tcp = inside(netns, serving_pair) if former is None else former.share()
        port: int = self._udp.getsockname()[1]
        self.redirected = port if port != wire.PORT else 0

    def start(self) -> None:
        """Answer queries from now on."""
        self._loop.watch(self._udp.fileno(), self._drain)
        self._loop.watch(self._tcp.fileno(), self._accept)

    @property
    def view(self) -> SandboxView:
        """The sandbox's current networks, links and upstream servers."""
        return self.responder.view

    def _drain(self, _events: int) -> None:
        self._datagrams.answer(self._udp.fileno(), lambda: self.responder.ready.get, self._answer)

    def _answer(self, message: bytes, client: tuple[str, int]) -> None:
        result = self.responder.respond(message)
        if isinstance(result, wire.Query):
            forward(self._loop, self, result, lambda reply: self._reply(reply, client))
        elif result is not None:
            self._reply(result, client)

    def _reply(self, message: bytes, client: tuple[str, int]) -> None:
        try:
            self._udp.sendto(message, client)
        except OSError:
            return  # drop the reply, because the client's socket is closed or its buffer is full

    def _accept(self, _events: int) -> None:
        try:
            connection, _ = self._tcp.accept()
        except BlockingIOError:
            return
        except OSError:
            self._loop.rest(self._tcp.fileno(), ACCEPT_BACKOFF_SECONDS)
            return
        if len(self._clients) >= MAX_STREAMS or not self._streams.take(self._claims):
            connection.close()
            return
        self._clients.add(StreamClient(self._loop, connection, self._respond_stream, self._closed))

    def _closed(self, client: StreamClient) -> None:
        self._clients.discard(client)
        self._streams.give(self._claims)

    def _respond_stream(self, message: bytes, deliver: Callable[[bytes], None]) -> None:
        result = self.responder.respond(message, stream=True)
        if isinstance(result, wire.Query):
            forward(self._loop, self, result, deliver, stream=True)
        else:
            deliver(result or b"")

    def share(self) -> tuple[socket.socket, socket.socket]:
        """Return further file descriptors of the UDP and the TCP socket, for another resolver of this sandbox."""
        return self._udp.dup(), self._tcp.dup()

    def own(self, netns: int) -> None:
        """Use ``netns``, another file descriptor of the same network namespace; `close` closes this descriptor."""
        self.netns = self._owned = netns

    def retire(self) -> None:
        """Take no more queries, because another resolver has the same sockets; close some seconds later.

        The delay is `UPSTREAM_TIMEOUT_SECONDS`. In this time, this resolver answers the queries that it has forwarded,
        and the queries of connected TCP clients.
        """
        for sock in (self._udp, self._tcp):
            self._loop.forget(sock.fileno())
        self._loop.after(UPSTREAM_TIMEOUT_SECONDS, self.close)

    @property
    def is_closed(self) -> bool:
        """Whether `close` has closed the sockets; any thread may read this property."""
        return self._udp.fileno() < 0

    def close(self) -> None:
        """Close every socket; idempotent."""
        self.outstanding.abandon()
        for client in list(self._clients):
            client.close()
        for sock in (self._udp, self._tcp):
            self._loop.close_socket(sock)
        if self._owned >= 0:
            os.close(self._owned)
            self._owned = -1


def bound(kind: int, port: int) -> socket.socket:
    """Return a non-blocking socket bound to 127.0.0.11, even if the loopback link is still down.

    ``kind`` is socket.SOCK_DGRAM or socket.SOCK_STREAM; a TCP socket also listens. Port 0 means any free port. Runs in
    the calling thread's network namespace.
    """
    sock = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        sock.bind((ADDRESS, port))
        if kind == socket.SOCK_STREAM:
            sock.listen(MAX_STREAMS)
    except OSError:
        sock.close()
        raise
    return sock


def pair(port: int) -> tuple[socket.socket, socket.socket]:
    """Return a UDP and a TCP socket bound to the same port of 127.0.0.11; port 0 means any port free for both.

    Runs in the calling thread's network namespace. Raises OSError if the port is not free.
    """
    tcp = bound(socket.SOCK_STREAM, port)
    try:
        return bound(socket.SOCK_DGRAM, tcp.getsockname()[1]), tcp
    except OSError:
        tcp.close()
        raise


def serving_pair() -> tuple[socket.socket, socket.socket]:
    """Return a UDP and a TCP socket that serve port 53. Runs in the network namespace of the sandbox.

    An nftables rule redirects port 53 to a free port. If an earlier agent has made the rule, the port in that rule is
    bound again. If nftables fails, the sockets are bound to port 53 itself.
    """
    udp = tcp = None
    try:
        known = reusable_port()
        if known:
            with suppress(OSError):  # another program may have bound the earlier port
                return pair(known)
        udp, tcp = pair(0)
        redirect(IPv4Address(ADDRESS), udp.getsockname()[1])
    except DriverError as error:
        print(f"port 53 is taken from the sandbox itself: {error}", file=sys.stderr, flush=True)
        for sock in (udp, tcp):
            if sock is not None:
                sock.close()
        return pair(wire.PORT)
    return udp, tcp
