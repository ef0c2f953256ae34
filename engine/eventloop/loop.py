"""One epoll loop with timers, which calls handlers for file descriptors.

asyncio is not used, because its start takes 90 ms and each datagram several microseconds. The services need only
readiness and timers. All file descriptors must be non-blocking, because a descriptor may no longer be ready when its
handler is called. This module imports little, because the supervisor of containers uses it too.
"""

from __future__ import annotations

import heapq
import itertools
import os
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import SocketType

    Handler = Callable[[int], None]

READ, WRITE = select.EPOLLIN, select.EPOLLOUT
FEW_TIMERS = 64
"""Cancelled timers are removed from the loop's queue early only if there are more than this number of them."""
_FIRST_USER, _USERS = 1 << 20, 1 << 30
"""The first of the user ids from which `_open_epoll` takes one, and their number."""


class Timer:
    """A scheduled call of a function; `cancel` prevents the call. ``call`` is None after the call or `cancel`."""

    __slots__ = ("_loop", "call")

    def __init__(self, call: Callable[[], None], loop: Loop) -> None:
        self.call: Callable[[], None] | None = call
        self._loop = loop

    def cancel(self) -> None:
        """Prevent the call; idempotent."""
        if self.call is not None:
            self.call = None
            self._loop.count_cancelled()


def _open_epoll() -> select.epoll:
    """Return a new epoll descriptor. If this process runs as root, the kernel counts its watches for a random user id.

    The kernel limits the number of watches for each real user id (epoll(7), max_user_watches). The root user of a
    container has root's id, and could use up the limit. The loop could then watch no further descriptor. A container
    with CAP_SETUID can also use up the limit of any user id that it knows, so the id is random.

    An epoll descriptor keeps the user id of its creation. The real user id gives no rights, and changes for this call
    only. Because it changes for all threads (setresuid(2)), a process creates its loop before it starts a thread.
    """
    if os.geteuid() != 0:
        return select.epoll()
    user = os.getuid()
    try:
        os.setresuid(_FIRST_USER + int.from_bytes(os.urandom(4)) % _USERS, -1, -1)
    except OSError:  # this process lacks CAP_SETUID, or its user namespace has no such id
        return select.epoll()
    try:
        return select.epoll()
    finally:
        os.setresuid(user, -1, -1)


class Loop:
    """An event loop: a set of watched file descriptors and timers, whose handlers are called until `stop` is called.

    Exceptions of handlers are printed on standard error, and the loop continues. If ``catches`` is False, `run` raises
    these exceptions instead.
    """

    def __init__(self, *, catches: bool = True) -> None:
        self._epoll = _open_epoll()
        self._handlers: dict[int, Handler] = {}
        self._resting: dict[int, Timer] = {}
        self._catches = catches
        self._timers: list[tuple[float, int, Timer]] = []
        self._cancelled = 0
        self._order = itertools.count()
        self._stopped = False

    def watch(self, fd: int, handler: Handler, events: int = READ) -> None:
        """Call ``handler`` each time when a file descriptor is ready, until `forget` is called for the descriptor.

        ``events`` are the events to wait for: `READ`, `WRITE` or both. The handler gets the events that have occurred.
        If ``events`` is 0, the handler is called only when the other end closes the connection or an error occurs. A
        second call for the same descriptor replaces the handler and the events.
        """
        (self._epoll.modify if fd in self._handlers else self._epoll.register)(fd, events)
        self._handlers[fd] = handler

    def change(self, fd: int, events: int) -> None:
        """Change the events to wait for on a watched file descriptor: `READ`, `WRITE`, both, or 0 for none."""
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Stop watching a file descriptor, before it is closed; idempotent."""
        resting = self._resting.pop(fd, None)
        if resting is not None:
            resting.cancel()
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def close_socket(self, sock: SocketType) -> None:
        """Stop watching a socket, and close it; idempotent."""
        self.forget(sock.fileno())
        sock.close()

    def rest(self, fd: int, seconds: float) -> None:
        """Stop watching the listening socket ``fd`` for ``seconds``, then watch it for `READ` again.

        Has no effect while the socket is paused already, or is not watched. The caller does this when file descriptors
        have run out and no client can be accepted. Without the pause, the listening socket would be ready all the time.
        """
        handler = self._handlers.get(fd)
        if handler is not None:
            self.forget(fd)
            self._resting[fd] = self.after(seconds, lambda: self._resume(fd, handler))

    def _resume(self, fd: int, handler: Handler) -> None:
        del self._resting[fd]
        self.watch(fd, handler)

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call the function ``call`` once after ``seconds``; return the timer."""
        timer = Timer(call, self)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), timer))
        return timer

    def count_cancelled(self) -> None:
        """Count a cancelled timer; if more than half of the queue's timers are cancelled, remove those from the queue.

        This early removal is necessary, because a busy resolver cancels thousands of timers before they are due. While
        at most `FEW_TIMERS` timers are cancelled, there is no early removal.
        """
        self._cancelled += 1
        if self._cancelled > FEW_TIMERS and 2 * self._cancelled > len(self._timers):
            self._timers = [entry for entry in self._timers if entry[2].call is not None]
            heapq.heapify(self._timers)
            self._cancelled = 0

    def watch_signals(self, handler: Callable[[], None] = lambda: None) -> None:
        """Wake up the loop and call ``handler`` after each signal for which the process has a Python signal handler.

        Python writes each such signal to a pipe that the loop watches. A process has only one such pipe. If several
        signals arrive together, ``handler`` may be called only once.
        """
        received, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)

        def call(_events: int) -> None:
            os.read(received, 4096)
            handler()

        self.watch(received, call)

    def stop(self) -> None:
        """Make `run` return as soon as the handlers and timers that are ready now have been called.

        If `run` has not begun yet, it returns immediately when it is called. For example, the handler of an early
        signal may call this method before `run`.
        """
        self._stopped = True

    def run(self) -> None:
        """Call handlers and timers until `stop` is called."""
        while not self._stopped:
            self.turn()
        self._stopped = False

    def turn(self, timeout: float = -1) -> bool:
        """Wait at most ``timeout`` seconds for events and call their handlers; return whether there were any events.

        Also calls the timers that are due. If ``timeout`` is negative, waits until the next timer is due or an event
        occurs.
        """
        pause = self._pause()
        ready = self._epoll.poll(min(pause, timeout) if pause >= 0 and timeout >= 0 else max(pause, timeout))
        self._handle(ready)
        self._fire()
        return bool(ready)

    def _pause(self) -> float:
        """Return the seconds until the next timer is due, or -1 if there is no timer."""
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

    def _handle(self, ready: list[tuple[int, int]]) -> None:
        handlers = self._handlers
        for fd, events, handler in [(fd, events, handlers.get(fd)) for fd, events in ready]:
            # Look each handler up again. An earlier handler may have closed this descriptor, and the descriptor's
            # number may now belong to another file.
            if handler is not None and handlers.get(fd) is handler:
                self._call(handler, events)

    def _call(self, call: Callable[..., None], *events: int) -> None:
        try:
            call(*events)
        except Exception:
            if not self._catches:
                raise
            sys.excepthook(*sys.exc_info())  # print the traceback without importing the traceback module

    def close(self) -> None:
        """Close the epoll descriptor; no handler is called any more. The watched descriptors stay open."""
        self._epoll.close()
