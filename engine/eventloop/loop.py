"""One epoll loop with timers: descriptors to handlers. Knows nothing of what is served.

asyncio would cost 90 ms at start and several microseconds per datagram; the services need readiness and timers only.
Readiness may be over when a handler is called: all descriptors are non-blocking. Imports little, because the
supervisor of containers uses it.
"""

from __future__ import annotations

import heapq
import itertools
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[[int], None]

READ, WRITE = select.EPOLLIN, select.EPOLLOUT
TURN = 8
"""Background handlers called in one round of the loop."""
FEW_TIMERS = 64
"""Cancelled timers that may stay until they are due."""


class Timer:
    """A call to come; `cancel` prevents it."""

    __slots__ = ("_loop", "call")

    def __init__(self, call: Callable[[], None], loop: Loop) -> None:
        self.call: Callable[[], None] | None = call
        self._loop = loop

    def cancel(self) -> None:
        """Prevent the call; idempotent."""
        if self.call is not None:
            self.call = None
            self._loop.count_cancelled()


class Watcher:
    """Descriptors that are watched, and their handlers."""

    def __init__(self, *, catches: bool) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._resting: dict[int, Timer] = {}
        self._catches = catches

    def watch(self, fd: int, handler: Handler, events: int = READ) -> None:
        """Call ``handler`` with the ready events of a descriptor until `forget`.

        A second call for the descriptor replaces the handler and the events. Without events the handler is called when
        the other end closes.
        """
        (self._epoll.modify if fd in self._handlers else self._epoll.register)(fd, events)
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
        raise NotImplementedError

    def _handle(self, ready: list[tuple[int, int]]) -> None:
        handlers = self._handlers
        for fd, events, handler in [(fd, events, handlers.get(fd)) for fd, events in ready]:
            # Because a handler may close descriptors, and their numbers be used again, the others are looked up again.
            if handler is not None and handlers.get(fd) is handler:
                self._call(handler, events)

    def _call(self, call: Callable[..., None], *events: int) -> None:
        try:
            call(*events)
        except Exception:
            if not self._catches:
                raise
            sys.excepthook(*sys.exc_info())  # prints the traceback without importing the module

    def close(self) -> None:
        """Release the epoll descriptor."""
        self._epoll.close()


class Loop(Watcher):
    """Calls handlers until `stop`.

    An exception of a handler is printed on standard error and stops nothing. If ``catches`` is False, it leaves `run`.
    """

    def __init__(self, *, catches: bool = True) -> None:
        super().__init__(catches=catches)
        self._timers: list[tuple[float, int, Timer]] = []
        self._cancelled = 0
        self._order = itertools.count()
        self._running = False

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call once, in ``seconds``."""
        timer = Timer(call, self)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), timer))
        return timer

    def count_cancelled(self) -> None:
        """Drop cancelled timers once they are the most: a busy resolver cancels thousands before they are due."""
        self._cancelled += 1
        if self._cancelled > FEW_TIMERS and 2 * self._cancelled > len(self._timers):
            self._timers = [entry for entry in self._timers if entry[2].call is not None]
            heapq.heapify(self._timers)
            self._cancelled = 0

    def stop(self) -> None:
        """Return from `run` after this round."""
        self._running = False

    def run(self) -> None:
        """Serve until `stop`."""
        self._running = True
        while self._running:
            self.turn()

    def turn(self, timeout: float = -1) -> bool:
        """Wait for events for at most ``timeout`` seconds and handle them; tell whether there were any.

        Calls timers that are due, too. A negative timeout waits for the next timer or event.
        """
        pause = self._pause()
        ready = self._epoll.poll(min(pause, timeout) if pause >= 0 and timeout >= 0 else max(pause, timeout))
        self._handle(ready)
        self._fire()
        return bool(ready)

    def _pause(self) -> float:
        """Return the seconds to the next timer, -1 if there is none."""
        while self._timers and self._timers[0][2].call is None:
            heapq.heappop(self._timers)
            self._cancelled -= 1
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else -1

    def _fire(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            call, timer.call = timer.call, None
            if call is not None:
                self._call(call)
            else:
                self._cancelled -= 1


class Background(Watcher):
    """Handlers that give way: of those that are ready, the loop calls at most `TURN` in one round.

    However many descriptors are busy here, the loop's own handlers wait for so few of them only.
    """

    def __init__(self, loop: Loop) -> None:
        super().__init__(catches=True)
        self._loop = loop
        loop.watch(self._epoll.fileno(), lambda _: self._handle(self._epoll.poll(0, TURN)))

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call once, in ``seconds``."""
        return self._loop.after(seconds, call)

    def close(self) -> None:
        """Leave the loop."""
        self._loop.forget(self._epoll.fileno())
        super().close()
