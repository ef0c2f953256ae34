"""Wake up a thread that waits for file descriptors."""

from __future__ import annotations

import os


class Wakeup:
    """An eventfd(2) by which any thread wakes up the thread that waits for it.

    The descriptor stays open until `close` is called, because any thread may call `send` until then.
    """

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def fileno(self) -> int:
        """Return the file descriptor, which is readable after a call of `send`, until the next call of `clear`."""
        return self._fd

    def send(self) -> None:
        """Wake up the waiting thread; if no thread waits now, the next wait ends immediately. Never blocks."""
        os.eventfd_write(self._fd, 1)

    def clear(self) -> None:
        """Make the descriptor unreadable until the next call of `send`; call this only while it is readable."""
        os.eventfd_read(self._fd)

    def close(self) -> None:
        """Close the file descriptor; no thread may call another method afterwards."""
        os.close(self._fd)
