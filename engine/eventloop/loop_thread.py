"""An event loop in a thread of its own. A system call that is slow in this thread does not delay the other loops."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from engine.eventloop.loop import Loop
from engine.eventloop.wakeup import Wakeup

STACK_BYTES = 256 << 10  # size of the thread's stack; only the used part takes memory

PATIENCE_SECONDS = 0.1
"""Maximum seconds for which `close_all` waits for the end of the threads.

The wait is short, because no names are answered between the end of an agent and the start of the next one.
"""


class LoopThread:
    """An event loop and its thread, which runs from `start` to `close_all`.

    Only the thread may use ``loop``. Other threads use `call`. Because a loop must be created before the process starts
    a thread (`engine.eventloop.loop`), the constructor does not start the thread.
    """

    def __init__(self, name: str) -> None:
        self.loop, self._wakeup = Loop(), Wakeup()
        self.loop.watch(self._wakeup.fileno(), lambda _: self._woken())
        self._name = name
        self._calls = deque[Callable[[], None]]()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread in the calling thread's network namespace; idempotent.

        Raises RuntimeError if the limit of threads is reached.
        """
        if self._thread is not None:
            return
        thread = threading.Thread(target=self.loop.run, name=self._name, daemon=True)
        before = threading.stack_size(STACK_BYTES)
        try:
            thread.start()
        finally:
            threading.stack_size(before)
        self._thread = thread

    def call(self, action: Callable[[], None]) -> None:
        """Run ``action`` in the thread, after all earlier actions; does not wait for it. The thread must be started."""
        self._calls.append(action)
        self._wakeup.send()

    def _woken(self) -> None:
        self._wakeup.clear()
        while self._calls:
            # Each action has its own timer, so that the other actions run even if one raises an error.
            self.loop.after(0, self._calls.popleft())

    def join(self, seconds: float) -> None:
        """Wait at most ``seconds`` for the end of the thread, then close the loop.

        If the thread has not ended yet, because of a slow system call, the loop stays open.
        """
        if self._thread is not None:
            self._thread.join(seconds)
            if self._thread.is_alive():
                return
        self._wakeup.close()
        self.loop.close()


def close_all(threads: Sequence[LoopThread]) -> None:
    """End threads and close their loops; blocks up to `PATIENCE_SECONDS`.

    Each thread first runs the actions that `LoopThread.call` has given to it.
    """
    for thread in threads:
        thread.call(thread.loop.stop)
    deadline = time.monotonic() + PATIENCE_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
