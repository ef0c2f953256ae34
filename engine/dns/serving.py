"""The event loops that serve the sandboxes: the agent's own loop, and a few loops in threads of their own.

The kernel applies a sandbox's firewall rules to each message that the agent sends in the sandbox, before the agent's
system call returns. If another sandbox of the host receives the message, the same is true for its rules. A program that
can make such rules (CAP_NET_ADMIN) can therefore make this system call take seconds. The loops in threads serve the
sandboxes in which this is possible (`SandboxView.apart`). The agent's own loop serves all others.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cached_property

from engine.dns.mmsg import Datagrams
from engine.eventloop.loop import Loop
from engine.eventloop.loop_thread import LoopThread, close_all

THREADS_LIMIT = 16
"""Maximum number of threads. With more sandboxes than threads, a slow sandbox delays the others of its thread."""


class ServingLoop:
    """An event loop that serves sandboxes, with the memory for their datagrams.

    ``thread`` is the thread of the loop, or None if the calling thread runs the loop. ``sandboxes`` is their number.
    """

    def __init__(self, loop: Loop, thread: LoopThread | None = None) -> None:
        self.loop, self.thread, self.sandboxes = loop, thread, 0

    @cached_property
    def datagrams(self) -> Datagrams:
        """The memory, which is allocated for the first sandbox."""
        return Datagrams()

    def start(self) -> None:
        """Start the thread of the loop, if the loop has one; idempotent.

        Raises RuntimeError if the limit of threads is reached.
        """
        if self.thread is not None:
            self.thread.start()

    def call(self, action: Callable[[], None]) -> None:
        """Run ``action`` in the thread of the loop: immediately if this is the calling thread, otherwise later."""
        if self.thread is None:
            action()
        else:
            self.thread.call(action)


class ServingLoops:
    """All loops that serve sandboxes; ``loop`` is the agent's own loop, whose thread makes all calls."""

    def __init__(self, loop: Loop) -> None:
        self._own = ServingLoop(loop)
        threads = [LoopThread(f"dns {number}") for number in range(THREADS_LIMIT)]
        self._apart = [ServingLoop(thread.loop, thread) for thread in threads]

    def choose(self, *, apart: bool) -> ServingLoop:
        """Return the loop for a new sandbox: with ``apart``, the loop with the fewest sandboxes of all in threads.

        If the limit of threads is reached, only loops with a running thread are considered. Raises RuntimeError if
        there is none.
        """
        if not apart:
            return self._own
        for serving in sorted(self._apart, key=lambda serving: serving.sandboxes):
            with suppress(RuntimeError):
                serving.start()
                return serving
        raise RuntimeError("no thread can be started")

    def close(self) -> None:
        """End the threads after all earlier calls; blocks up to 0.1 s."""
        close_all([serving.thread for serving in self._apart if serving.thread is not None])
