"""Reap all children of the supervisor: its own, and the orphans that it adopts.

No other code in this process may wait for children. The reason is that another program creates a container's first
process, and the supervisor adopts it.
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
        """Call ``ended`` once, from the loop, with the wait status of ``pid`` after its end.

        ``pid`` is a child of this process, or becomes one.
        """
        self._expected[pid] = ended

    def forget(self, pid: int) -> None:
        """Ignore the status of ``pid``; idempotent."""
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
    """Stop recording signals in the parent's pipe; for a forked child."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
