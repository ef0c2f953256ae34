"""Forwards DNS queries to upstream servers, with the same protocol as the query (UDP or TCP), and returns the replies.

If a server does not answer, refuses or fails, the next server is asked. If no server is left, the answer is SERVFAIL.
A query by UDP asks the server for a reply that is small enough not to be fragmented. If the reply does not fit, and the
client accepts a larger one, the resolver asks the server again by TCP.

No function blocks, and each query has its own timer. A sandbox may have `LIMIT` unanswered queries, or fewer while
other sandboxes have many.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Protocol

from engine.dns import wire
from engine.dns.sandbox_view import SandboxView
from engine.dns.upstream import DatagramExchange, FreshSockets, StreamExchange, destination
from engine.eventloop.loop import Loop, Timer
from engine.eventloop.quota import Claim, Quota
from engine.resolv_conf import Upstream

LIMIT = 1024  # maximum number of unanswered queries of one sandbox, by UDP and TCP together
STREAM_LIMIT = 64  # maximum number of unanswered queries of one sandbox that are sent by TCP
UPSTREAM_TIMEOUT_SECONDS = 4.5
"""Seconds for all upstream servers of one query together, because resolvers in the sandbox give up after 5 seconds."""
LONGEST = 4.0
"""Maximum seconds to wait for the reply of one upstream server."""
SILENT_PENALTY_SECONDS = 15.0
"""Seconds for which a server that did not answer is asked after all other servers."""


class Asker(Protocol):
    """The sandbox that sent a query.

    ``netns`` is a file descriptor of its network namespace. ``outstanding`` has its unanswered queries.
    """

    netns: int
    outstanding: Outstanding

    @property
    def view(self) -> SandboxView:
        """The sandbox's current networks, links and upstream servers."""


class Outstanding:
    """The forwarded queries of one sandbox that have no reply yet.

    ``quota`` limits the number of unanswered queries of all sandboxes together, and ``claims`` identify this sandbox in
    the quota. ``silent`` maps each server that did not answer to a time (`time.monotonic`). Until this time, all other
    servers are asked first.
    """

    __slots__ = ("_claims", "_quota", "forwards", "silent", "sockets", "streams")

    def __init__(self, quota: Quota, claims: tuple[Claim, ...]) -> None:
        self._quota, self._claims = quota, claims
        self.forwards: set[ForwardedQuery] = set()
        self.sockets = FreshSockets()
        self.streams = 0
        """Number of unanswered queries that are sent by TCP."""
        self.silent: dict[Upstream, float] = {}

    def begin(self, forward: ForwardedQuery) -> bool:
        """Count a query that is to be forwarded; return False, without effect, if too many queries are unanswered.

        The limits are `LIMIT` queries of this sandbox, and the quota of all sandboxes.
        """
        if len(self.forwards) >= LIMIT or not self._quota.take(self._claims):
            return False
        self.forwards.add(forward)
        return True

    def end(self, forward: ForwardedQuery) -> None:
        """Remove a query from the count of unanswered queries; idempotent."""
        if forward in self.forwards:
            self.forwards.discard(forward)
            self._quota.give(self._claims)
            if not self.forwards:
                self.sockets.clear()

    def abandon(self) -> None:
        """End all unanswered queries without a reply, because the sandbox no longer exists."""
        for forwarded in list(self.forwards):
            forwarded.abandon()


class ForwardedQuery:
    """A query from a sandbox that is sent to one upstream server after the other, until a reply is usable.

    The query ends when the function ``deliver`` is called with the reply. `abandon` ends the query without a reply.
    """

    __slots__ = (
        "_asker",
        "_deliver",
        "_exchange",
        "_loop",
        "_remaining",
        "_short",
        "_stream",
        "_timer",
        "_upstream",
        "_wait",
        "query",
    )

    def __init__(
        self, loop: Loop, asker: Asker, query: wire.Query, deliver: Callable[[bytes], None], *, stream: bool
    ) -> None:
        self._loop, self._asker, self.query, self._deliver, self._stream = loop, asker, query, deliver, stream
        servers = in_order(asker.view.upstreams, asker.outstanding.silent)
        self._wait = min(LONGEST, UPSTREAM_TIMEOUT_SECONDS / max(len(servers), 1))
        self._remaining: Iterator[Upstream] = iter(servers)
        self._upstream: Upstream | None = None
        self._exchange: DatagramExchange | StreamExchange | None = None
        self._timer: Timer | None = None
        self._short: bytes | None = None
        """A truncated UDP reply, kept while the query asks the same server by TCP for the whole reply."""

    def ask_next(self) -> None:
        """Send the query to the next upstream server; the first call sends it to the first server."""
        if self._short is not None:
            self._finish(self._short)
            return
        for upstream in self._remaining:
            self._upstream = upstream
            if self._ask(upstream, stream=self._stream):
                return
        self._finish(wire.reply(self.query, wire.SERVFAIL, []))

    def _ask(self, upstream: Upstream, *, stream: bool) -> bool:
        """Ask an upstream server, by TCP if ``stream``, else by UDP; return False if the server cannot be asked."""
        netns, outstanding = None if upstream.on_host else self._asker.netns, self._asker.outstanding
        if stream and outstanding.streams >= STREAM_LIMIT:
            return False
        try:
            if stream:
                self._exchange = StreamExchange(self._loop, netns, upstream, self)
            else:
                sock = outstanding.sockets.take(netns, destination(upstream)[0], len(outstanding.forwards))
                self._exchange = DatagramExchange(self._loop, sock, upstream, self)
        except OSError:
            return False
        outstanding.streams += stream
        self._timer = self._loop.after(self._wait, self._silent)
        return True

    def _silent(self) -> None:
        if self._upstream is not None:
            self._asker.outstanding.silent[self._upstream] = time.monotonic() + SILENT_PENALTY_SECONDS
        self.failed()

    def failed(self) -> None:
        """Ask the next server, because the current server could not be reached or does not answer.

        If the current server was asked again by TCP, its truncated UDP reply is delivered instead.
        """
        self._withdraw()
        self.ask_next()

    def received(self, message: bytes) -> None:
        """Process a server's reply to this query: deliver it, repeat the query by TCP, or ask the next server."""
        datagram = isinstance(self._exchange, DatagramExchange)
        self._withdraw()
        if message[3] & 15 in (wire.SERVFAIL, wire.REFUSED):
            self.ask_next()
        elif datagram and wire.is_truncated(message) and self.query.lowered and self._ask_again(message):
            return
        else:
            self._finish(message)

    def _ask_again(self, message: bytes) -> bool:
        """Ask the same server for the whole reply by TCP; return False if that is not possible.

        ``message`` is the truncated UDP reply. It is kept, and is delivered if the query by TCP fails.
        """
        if self._upstream is None or not self._ask(self._upstream, stream=True):
            return False
        self._short = message
        return True

    def _withdraw(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._exchange is not None:
            self._exchange.withdraw()
            self._asker.outstanding.streams -= isinstance(self._exchange, StreamExchange)
        self._timer = self._exchange = None

    def _finish(self, message: bytes) -> None:
        self.abandon()
        if len(message) > self.query.limit:
            message = wire.shortened(self.query, message)
        self._deliver(self.query.message[:2] + message[2:])

    def abandon(self) -> None:
        """End this query without a reply."""
        self._withdraw()
        self._asker.outstanding.end(self)


def in_order(upstreams: tuple[Upstream, ...], silent: dict[Upstream, float]) -> list[Upstream]:
    """Return the upstream servers in their configured order, but servers that recently did not answer come last.

    ``silent`` maps such a server to the time (`time.monotonic`) until which it comes last.
    """
    now = time.monotonic()
    return sorted(upstreams, key=lambda u: silent.get(u, 0) > now) if silent else list(upstreams)


def forward(
    loop: Loop, asker: Asker, query: wire.Query, deliver: Callable[[bytes], None], *, stream: bool = False
) -> None:
    """Forward a query; call ``deliver`` with the reply, either immediately or later.

    With ``stream``, the query came by TCP and is forwarded by TCP. If the sandbox has too many unanswered queries, the
    reply is REFUSED.
    """
    forwarded = ForwardedQuery(loop, asker, query, deliver, stream=stream)
    full = stream and asker.outstanding.streams >= STREAM_LIMIT
    if full or not asker.outstanding.begin(forwarded):
        deliver(wire.reply(query, wire.REFUSED, []))
        return
    forwarded.ask_next()
