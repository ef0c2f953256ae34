"""The supervisor's children, its own and the orphans it inherits: all are reaped here.

Because a container's first process is born by another program and inherited, nothing else in this process may wait.
"""

from __future__ import annotations

import os
import signal

from engine.eventloop.loop import Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_BYTES = 4096


class Children:
    """Calls back with the wait status of an expected child; the status of any other is dropped."""

    def __init__(self, loop: Loop) -> None:
        self._expected: dict[int, Callable[[int], None]] = {}
        self._signalled, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        loop.watch(self._signalled, self._reap)

    def expect(self, pid: int, ended: Callable[[int], None]) -> None:
        """Call ``ended`` once, from the loop, when ``pid`` has ended, which is or will be a child of this process."""
        self._expected[pid] = ended

    def forget(self, pid: int) -> None:
        """Drop the status of ``pid``; idempotent."""
        self._expected.pop(pid, None)

    def _reap(self, _events: int) -> None:
        os.read(self._signalled, _BYTES)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            ended = self._expected.pop(pid, None)
            if ended is not None:
                ended(status)


def leave_parent() -> None:
    """In a forked child: have signals no longer noted in the parent's pipe."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
