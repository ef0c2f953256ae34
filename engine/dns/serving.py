"""The event loops that serve the sandboxes: the agent's own loop, and a few loops in threads of their own.

The kernel applies a sandbox's firewall rules to each message that the agent sends in the sandbox, before the agent's
system call returns. If another sandbox of the host receives the message, the same is true for its rules. A program that
can make such rules (CAP_NET_ADMIN) can therefore make this system call take seconds. The loops in threads serve the
sandboxes in which this is possible. Some threads serve the sandboxes with rules of their own (`SandboxView.apart`).
Other threads serve the sandboxes whose queries may reach the rules of another sandbox (`SandboxView.neighbours`). The
agent's own loop serves all other sandboxes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from zlib import crc32

from engine.dns.mmsg import Datagrams
from engine.eventloop.loop import Loop
from engine.eventloop.loop_thread import LoopThread, close_all

THREADS_LIMIT = 16
"""Maximum number of threads of each kind. With more sandboxes than threads, a slow one delays others of its thread."""


class ServingLoop:
    """An event loop that serves sandboxes, with the memory for their datagrams.

    ``thread`` is the thread that runs the loop, or None for the agent's own loop. ``sandboxes`` is the number of
    sandboxes that the loop serves.
    """

    def __init__(self, loop: Loop, thread: LoopThread | None = None) -> None:
        self.loop, self.thread, self.sandboxes = loop, thread, 0

    @cached_property
    def datagrams(self) -> Datagrams:
        """The memory for datagrams, which is allocated when the loop gets its first sandbox."""
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
    """All loops that serve sandboxes; ``loop`` is the agent's own loop. Only its thread calls the methods."""

    def __init__(self, loop: Loop) -> None:
        self._own = ServingLoop(loop)
        self._apart = _threads("dns {}")
        self._with_neighbours = _threads("dns group {}")

    def choose(self, *, apart: bool, neighbours: str = "") -> ServingLoop:
        """Return the loop that must serve a sandbox; ``apart`` and ``neighbours`` are fields of its `SandboxView`.

        - With ``apart``: the loop with the fewest sandboxes, of the loops for such sandboxes.
        - With ``neighbours``: all sandboxes of one group get the same loop, so that slow rules delay few other groups.
        - Otherwise: the agent's own loop.

        If the limit of threads is reached, only loops with a running thread are considered. Raises RuntimeError if no
        such loop exists.
        """
        if not apart and not neighbours:
            return self._own
        kind = self._apart if apart else self._with_neighbours
        first = crc32(neighbours.encode()) % THREADS_LIMIT
        ordered = sorted(kind, key=lambda s: s.sandboxes) if apart else [*kind[first:], *kind[:first]]
        for serving in ordered:
            with suppress(RuntimeError):
                serving.start()
                return serving
        raise RuntimeError("no thread can be started")

    def close(self) -> None:
        """End the threads after all earlier calls; blocks up to 0.1 s."""
        threads = [serving.thread for serving in (*self._apart, *self._with_neighbours)]
        close_all([thread for thread in threads if thread is not None])


def _threads(name: str) -> Sequence[ServingLoop]:
    threads = [LoopThread(name.format(number)) for number in range(THREADS_LIMIT)]
    return [ServingLoop(thread.loop, thread) for thread in threads]
