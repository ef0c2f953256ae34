"""An event loop in a thread of its own. A system call that is slow in this thread does not delay the other loops."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable

from engine.eventloop.loop import Loop

STACK_BYTES = 256 << 10  # size of the thread's stack; only the used part takes memory


class LoopThread:
    """An event loop and its thread, which runs from `start` to `stop`.

    Only the thread may use ``loop``. Other threads use `call`. Because a loop must be created before the process starts
    a thread (`engine.eventloop.loop`), the constructor does not start the thread.
    """

    def __init__(self, name: str) -> None:
        self.loop = Loop()
        self._name = name
        self._calls = deque[Callable[[], None]]()
        self._wake = -1
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread in the calling thread's network namespace; idempotent.

        Raises RuntimeError if the limit of threads is reached, and OSError if no file descriptor is left.
        """
        if self._thread is not None:
            return
        if self._wake < 0:
            self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self.loop.watch(self._wake, self._woken)
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
        os.eventfd_write(self._wake, 1)

    def _woken(self, _events: int) -> None:
        os.eventfd_read(self._wake)
        while self._calls:
            self.loop.after(0, self._calls.popleft())  # one timer each, so that an error ends no other action

    def stop(self) -> None:
        """End the thread after all earlier actions; does not wait for the end."""
        if self._thread is not None:
            self.call(self.loop.stop)

    def close(self, seconds: float) -> None:
        """Wait at most ``seconds`` for the end of a stopped thread, then close the loop.

        If the thread has not ended yet, because of a slow system call, the loop stays open.
        """
        if self._thread is not None:
            self._thread.join(seconds)
            if self._thread.is_alive():
                return
        if self._wake >= 0:
            os.close(self._wake)
        self.loop.close()
