"""Locks that commands hold while they change the kernel, and the wait for a lock.

The store's transactions keep the records consistent. The locks prevent two commands from changing the same container at
the same time. The kernel releases a lock when the process that holds the lock ends. Each lock protects one object, with
three exceptions:

- The host lock: every command that changes the host holds it in shared mode.
- NETWORKS_LOCK protects this host's copies of all cluster networks.
- MEMBERSHIP_LOCK protects this host's membership of a cluster.

`engine.containers.remove` holds the locks of several containers, but never waits for a lock while it holds another.

A waiting command fails with Unavailable if the process that holds the lock is stopped. The CLI can set a function (the
notice) that names this process to the user. The CLI sets it only if stderr is a terminal with colour.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from engine.errors import Unavailable
from engine.paths import make_private_directory, open_private
from engine.store import lock_holder

LOCK_TIMEOUT_SECONDS = 60.0
"""Seconds to wait for the lock of an object that another command holds. After this time, Unavailable is raised."""
NOTICE_DELAY_SECONDS = 0.5
Notice = Callable[[str], AbstractContextManager[object]]
"""The type of a function that shows a text to the user while its context manager is active."""

_notice: Notice | None = None


@contextmanager
def locked(run: Path, kind: str, object_id: str, timeout: float = LOCK_TIMEOUT_SECONDS) -> Iterator[None]:
    """Hold the lock of one object during the ``with`` block.

    Raises Unavailable after ``timeout`` seconds of waiting, or earlier if a stopped process holds the lock.

    The lock is a file in HAWSE_RUN/locks. ``kind`` is the kind of the object, such as "container". ``object_id`` is an
    id that hawse generated, an inode number or a constant, never a string from the user. The lock file exists only
    while a process holds the lock or waits for it.
    """
    directory = run / "locks"
    make_private_directory(directory)
    path = directory / f"{kind}-{object_id}"
    descriptor = _acquire(path, timeout)
    try:
        yield
    finally:
        with suppress(OSError):  # a lock file that remains is harmless, because no process holds its lock
            if _still_named(descriptor, path):
                path.unlink()
        os.close(descriptor)


def lock_open_file(descriptor: int, name: str, *, shared: bool = False) -> None:
    """Lock an open file whose inode does not change, such as a directory. Closing the file releases the lock.

    ``descriptor`` is the file descriptor. ``name`` names the file in the error message. With ``shared``, several
    processes may hold the lock. Raises Unavailable after `LOCK_TIMEOUT_SECONDS` of waiting, or earlier if a stopped
    process holds the lock.
    """
    _lock(descriptor, LOCK_TIMEOUT_SECONDS, name, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)


def _acquire(path: Path, timeout: float) -> int:
    while True:
        descriptor = open_private(path, os.O_RDWR | os.O_CREAT)
        try:
            _lock(descriptor, timeout, path.name)
        except BaseException:
            os.close(descriptor)
            raise
        if _still_named(descriptor, path):
            return descriptor
        os.close(descriptor)


def _lock(descriptor: int, timeout: float, name: str, kind: int = fcntl.LOCK_EX) -> None:
    pause = 0.001
    with Wait(f"another command on {name}", lambda: lock_holder.of_file(descriptor)) as wait:
        while True:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                waited = time.monotonic() - wait.began
            if waited > timeout or wait.is_in_vain():
                raise Unavailable(f"timed out after {min(waited, timeout):.3g} s waiting for {wait.described()}")
            wait.check()
            time.sleep(pause)
            pause = min(pause * 2, 0.05)


def _still_named(descriptor: int, path: Path) -> bool:
    """Return whether ``path`` still names the file that this process has locked.

    ``descriptor`` is the file descriptor of the locked file. The previous holder of the lock may have deleted the file.
    Other commands would then create and lock a new file at this path.
    """
    try:
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def set_notice(notice: Notice | None) -> None:
    """Set the function that tells the user which command holds a lock; None means that the user is told nothing."""
    global _notice  # noqa: PLW0603
    _notice = notice


class Wait:
    """A context manager around a loop that waits for a lock; each turn of the loop calls `check`.

    ``what`` describes the command that holds the lock, such as "another command that writes the store". ``holder``
    returns the pid of the process that holds the lock, or 0 if that process is not found.
    """

    def __init__(self, what: str, holder: Callable[[], int]) -> None:
        self._what, self._holder, self._shown = what, holder, ExitStack()
        self.began = self._looked = time.monotonic()
        self._is_shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shown.close()

    def check(self) -> None:
        """Tell the user once which command holds the lock, if the wait has lasted `NOTICE_DELAY_SECONDS`."""
        if not self._is_shown and _notice and time.monotonic() - self.began >= NOTICE_DELAY_SECONDS:
            self._is_shown = True
            self._shown.enter_context(_notice(f"Waiting for {self.described()}"))

    def is_in_vain(self) -> bool:
        """Return whether the process that holds the lock is stopped, so that waiting is useless.

        The state of the process is read at most once in `lock_holder.STOP_CHECK_SECONDS`. In the time between, the
        result is False.
        """
        now = time.monotonic()
        if now - self._looked < lock_holder.STOP_CHECK_SECONDS:
            return False
        self._looked = now
        return lock_holder.is_stopped(self._holder())

    def described(self) -> str:
        """Return a text that names the command which holds the lock, and its process if the process is found."""
        return f"{self._what}{lock_holder.described(self._holder())}"
