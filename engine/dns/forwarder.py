"""Forwards queries to upstream servers, each in the transport it came by, and gives the reply back to its asker.

A server that is silent, refuses or fails is followed by the next; when none is left the answer is SERVFAIL. Nothing
waits: each query has a timer of its own, and a sandbox may have `LIMIT` queries outstanding, no more. Knows the sandbox
by its open namespace and its view only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Protocol

from engine.agent.loop import Loop, Timer
from engine.dns import wire
from engine.dns.upstream import DatagramExchange, StreamExchange
from engine.dns.zone import SandboxView
from engine.files.resolv_conf import Upstream

LIMIT = 1024
STREAM_LIMIT = 64
PATIENCE = 4.5
"""Seconds for all servers together: resolvers in the sandbox give up after 5."""
LONGEST = 4.0
"""Seconds for one server."""
GRUDGE = 15.0
"""Seconds for which a silent server is asked last."""


class Asker(Protocol):
    """The sandbox on whose behalf queries are forwarded."""

    netns: int
    outstanding: Outstanding

    @property
    def view(self) -> SandboxView:
        """What the sandbox sees now."""


class Outstanding:
    """What one sandbox has under way."""

    __slots__ = ("datagrams", "forwards", "silent", "streams")

    def __init__(self) -> None:
        self.datagrams: dict[Upstream, DatagramExchange] = {}
        self.forwards: set[Forward] = set()
        self.streams = 0
        self.silent: dict[Upstream, float] = {}

    def abandon(self) -> None:
        """Drop everything that is under way (the sandbox has ended)."""
        for one in list(self.forwards):
            one.abandon()


class Forward:
    """One query on its way; its end is one call of ``deliver``."""

    __slots__ = (
        "_asker",
        "_deliver",
        "_exchange",
        "_loop",
        "_number",
        "_remaining",
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
        self._wait = min(LONGEST, PATIENCE / max(len(servers), 1))
        self._remaining: Iterator[Upstream] = iter(servers)
        self._upstream: Upstream | None = None
        self._exchange: DatagramExchange | StreamExchange | None = None
        self._number = 0
        self._timer: Timer | None = None

    def start(self) -> None:
        """Ask the first server."""
        self._asker.outstanding.forwards.add(self)
        self._asker.outstanding.streams += self._stream
        self._next()

    def _next(self) -> None:
        for upstream in self._remaining:
            self._upstream = upstream
            try:
                self._ask(upstream)
            except OSError:
                continue
            self._timer = self._loop.after(self._wait, self._silent)
            return
        self._finish(wire.reply(self.query, wire.SERVFAIL, []))

    def _ask(self, upstream: Upstream) -> None:
        netns = None if upstream.on_host else self._asker.netns
        if self._stream:
            self._exchange = StreamExchange(self._loop, netns, upstream, self)
            return
        shared = self._asker.outstanding.datagrams
        if upstream not in shared:
            shared[upstream] = DatagramExchange(self._loop, netns, upstream, lambda: shared.pop(upstream, None))
        self._number = shared[upstream].send(self)
        self._exchange = shared[upstream]

    def _silent(self) -> None:
        if self._upstream is not None:
            self._asker.outstanding.silent[self._upstream] = time.monotonic() + GRUDGE
        self._withdraw()
        self._next()

    def failed(self) -> None:
        """The server could not be reached: go on to the next (called by the exchange, which forgets this query)."""
        self._exchange = None
        self._withdraw()
        self._next()

    def received(self, message: bytes) -> None:
        """A reply to this very question has come (called by the exchange, which forgets this query)."""
        self._exchange = None
        self._withdraw()
        if message[3] & 15 in (wire.SERVFAIL, wire.REFUSED):
            self._next()
        else:
            self._finish(self.query.message[:2] + message[2:])

    def _withdraw(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._exchange is not None:
            self._exchange.withdraw(self._number)
        self._timer = self._exchange = None

    def _finish(self, message: bytes) -> None:
        self.abandon()
        self._deliver(message)

    def abandon(self) -> None:
        """End without a reply."""
        self._withdraw()
        self._asker.outstanding.forwards.discard(self)
        self._asker.outstanding.streams -= self._stream


def in_order(upstreams: tuple[Upstream, ...], silent: dict[Upstream, float]) -> list[Upstream]:
    """The servers as listed, those that were silent a moment ago last."""
    now = time.monotonic()
    return sorted(upstreams, key=lambda u: silent.get(u, 0) > now) if silent else list(upstreams)


def forward(
    loop: Loop, asker: Asker, query: wire.Query, deliver: Callable[[bytes], None], *, stream: bool = False
) -> None:
    """Forward a query; ``deliver`` gets the reply's bytes, at once or later. Refused when too many are under way."""
    under_way = asker.outstanding
    if len(under_way.forwards) >= LIMIT or (stream and under_way.streams >= STREAM_LIMIT):
        deliver(wire.reply(query, wire.REFUSED, []))
        return
    Forward(loop, asker, query, deliver, stream=stream).start()
