"""Locks on single objects, held during kernel work.

The kernel releases a lock when the process that holds the lock ends. The store's transactions keep the records
consistent. The locks prevent two commands from changing the same container at the same time. Each lock protects one
object. There is no global lock, and no command holds two locks of the same kind.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.errors import Unavailable
from engine.paths import make_private_directory, open_private
from engine.store import lock_holder
from engine.store.waiting import Wait

LOCK_TIMEOUT_SECONDS = 60.0
"""Seconds to wait for the lock of an object that another command holds. After this time, Unavailable is raised."""


@contextmanager
def locked(run: Path, kind: str, object_id: str, timeout: float = LOCK_TIMEOUT_SECONDS) -> Iterator[None]:
    """Hold the lock of one object inside the block; raises Unavailable after ``timeout`` seconds of waiting.

    ``object_id`` is an id that hawse generated, never a string from the user. The lock file exists only while a process
    holds or wants the lock.
    """
    directory = run / "locks"
    make_private_directory(directory)
    path = directory / f"{kind}-{object_id}"
    descriptor = _acquire(path, timeout)
    try:
        yield
    finally:
        with suppress(OSError):  # a remaining file does no harm
            if _still_named(descriptor, path):
                path.unlink()
        os.close(descriptor)


def lock_open_file(descriptor: int, name: str, timeout: float = LOCK_TIMEOUT_SECONDS, *, shared: bool = False) -> None:
    """Lock an open file whose inode does not change, such as a network namespace. Closing the file releases the lock.

    Raises Unavailable after ``timeout`` seconds of waiting, or earlier if a stopped process holds the lock.
    """
    _lock(descriptor, timeout, name, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)


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
    """Return whether the path still names the file that this process has locked.

    The previous holder of the lock may have deleted the file. Other commands would then create and lock a new file at
    this path.
    """
    try:
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
