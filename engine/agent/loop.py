"""One epoll loop with timers: descriptors to handlers. Knows nothing of what is served.

asyncio would cost 90 ms at start and several microseconds per datagram; the services need readiness and timers only.
A handler may be called for a descriptor that is not ready (numbers are reused within one round): all are non-blocking.
"""

from __future__ import annotations

import heapq
import itertools
import select
import sys
import time
import traceback
from collections.abc import Callable

READ, WRITE = select.EPOLLIN, select.EPOLLOUT
Handler = Callable[[int], None]


class Timer:
    """A call to come; `cancel` prevents it."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Prevent the call; idempotent."""
        self.call = None


class Loop:
    """Calls handlers until `stop`; an exception of a handler is reported on standard error and stops nothing."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._resting: dict[int, Timer] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._running = False

    def watch(self, fd: int, handler: Handler, events: int = READ) -> None:
        """Call ``handler`` with the ready events of a descriptor, until `forget`."""
        self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def change(self, fd: int, events: int) -> None:
        """Watch for other events."""
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Stop watching (before the descriptor is closed); idempotent."""
        resting = self._resting.pop(fd, None)
        if resting is not None:
            resting.cancel()
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def rest(self, fd: int, seconds: float) -> None:
        """Watch a listener again in ``seconds`` only: while descriptors have run out it would be ready forever."""
        handler = self._handlers.get(fd)
        self.forget(fd)
        if handler is not None:
            self._resting[fd] = self.after(seconds, lambda: self._resume(fd, handler))

    def _resume(self, fd: int, handler: Handler) -> None:
        del self._resting[fd]
        self.watch(fd, handler)

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call once, in ``seconds``."""
        timer = Timer(call)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), timer))
        return timer

    def stop(self) -> None:
        """Return from `run` after this round."""
        self._running = False

    def run(self) -> None:
        """Serve until `stop`."""
        self._running = True
        while self._running:
            for fd, events in self._epoll.poll(self._pause()):
                handler = self._handlers.get(fd)
                if handler is not None:
                    _guarded(handler, events)
            self._fire()

    def _pause(self) -> float:
        """Seconds to the next timer, -1 where there is none."""
        while self._timers and self._timers[0][2].call is None:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else -1

    def _fire(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            call = heapq.heappop(self._timers)[2].call
            if call is not None:
                _guarded(call)

    def close(self) -> None:
        """Release the epoll descriptor."""
        self._epoll.close()


def _guarded(call: Callable[..., None], *events: int) -> None:
    try:
        call(*events)
    except Exception:
        traceback.print_exc(file=sys.stderr)
