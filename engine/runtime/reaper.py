"""Reap all children of the supervisor: its own children, and the orphans that it adopts.

No other code in the supervisor may wait for children. If it reaped a container's first process, the container's exit
status would be lost. This process becomes a child of the supervisor even if crun has created the container.
"""

from __future__ import annotations

import os
import signal

from engine.eventloop.loop import Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Children:
    """Calls a registered function when an expected child of the supervisor ends; other children are only reaped."""

    def __init__(self, loop: Loop) -> None:
        self._expected: dict[int, Callable[[int], None]] = {}
        signal.signal(signal.SIGCHLD, lambda *_: None)
        loop.watch_signals(self._reap)

    def expect(self, pid: int, ended: Callable[[int], None]) -> None:
        """Register ``ended``, which is called once with the wait status of ``pid`` after that process has ended.

        ``ended`` is called from the supervisor's loop. ``pid`` is a child of the supervisor, or becomes its child
        later.
        """
        self._expected[pid] = ended

    def forget(self, pid: int) -> None:
        """Remove the function that `expect` registered for ``pid``, so that the process is only reaped; idempotent."""
        self._expected.pop(pid, None)

    def _reap(self) -> None:
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
    """Detach a forked child from the supervisor's signal handling; the child calls this function first.

    Python writes each received signal to a pipe, which the child shares with the supervisor. After this call, the
    signals of the child are no longer written to the pipe. SIGCHLD gets its default handling.
    """
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
