"""Advisory locks on single objects, held across kernel work and released by the kernel when the holder dies.

The store's transactions keep records consistent; these locks keep two commands from plumbing the same container at
once. One lock names one object: there is no global lock, and no code path holds two locks of the same kind.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import Unavailable
from engine.paths import make_private_directory, open_private

LOCK_TIMEOUT_SECONDS = 60.0
"""Seconds to wait for another command on the same object before giving up with a clear error."""


@contextmanager
def locked(run: Path, kind: str, object_id: str, timeout: float = LOCK_TIMEOUT_SECONDS) -> Iterator[None]:
    """Hold the lock of one object (``object_id`` is hawse's own hex id, never a user's string)."""
    directory = run / "locks"
    make_private_directory(directory)
    path = directory / f"{kind}-{object_id}"
    descriptor = _acquire(path, timeout)
    try:
        yield
    finally:
        os.close(descriptor)


def lock_open_file(descriptor: int, name: str, timeout: float = LOCK_TIMEOUT_SECONDS) -> None:
    """Take the lock of a file that is open and keeps its inode, such as a namespace; released when it is closed."""
    _lock(descriptor, timeout, name)


def forget(run: Path, kind: str, object_id: str) -> None:
    """Remove the lock's file; called by the holder, once the object is gone."""
    (run / "locks" / f"{kind}-{object_id}").unlink(missing_ok=True)


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


def _lock(descriptor: int, timeout: float, name: str) -> None:
    pause, deadline = 0.001, time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Unavailable(f"timed out after {timeout:g} s waiting for another command on {name}") from None
        time.sleep(pause)
        pause = min(pause * 2, 0.05)


def _still_named(descriptor: int, path: Path) -> bool:
    """Tell whether the file we locked is the one others will find (the last holder may have removed it)."""
    try:
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
