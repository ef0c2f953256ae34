"""Open connections between two uses: a process keeps what it has opened for its next block.

Whoever opens a store that nobody else has open pays for reading its whole log, and the last to close it may pay for
writing the log back; using an open one takes microseconds. Knows when a connection must not be used any more: after a
fork, whose child would share locks that only the parent holds, and when the path has become another file.
"""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from engine.paths import require_own_file

IDLE_LIMIT = 4
"""Connections kept; a command uses one, or two where a block is inside another."""


class PoolKey(NamedTuple):
    """What makes two connections alike: the path, its file (device and inode), and how long they wait."""

    path: Path
    device: int
    inode: int
    busy_seconds: float


_idle: deque[tuple[PoolKey, sqlite3.Connection]] = deque()
"""A thread takes one out before it looks at it: no two threads ever have the same connection in hand."""


def pool_key(path: Path, busy_seconds: float) -> PoolKey:
    """The key of a store as it is now; raises OSError where it is not there, PermissionDenied where it is another's."""
    file = os.lstat(path)
    require_own_file(path, file)
    return PoolKey(path, file.st_dev, file.st_ino, busy_seconds)


def take_idle(wanted: PoolKey) -> sqlite3.Connection | None:
    """A connection kept under this key, no longer kept; None where there is none."""
    for _ in range(len(_idle)):
        with suppress(IndexError):  # other threads take some, too
            found, connection = _idle.popleft()
            if found == wanted:
                return connection
            _idle.append((found, connection))
    return None


def keep_idle(used: PoolKey, connection: sqlite3.Connection) -> None:
    """Keep a connection, with no transaction open, for the next block; the oldest gives way."""
    _idle.append((used, connection))
    _close_oldest(all_but=IDLE_LIMIT)


def close_idle() -> None:
    """Close what is kept."""
    _close_oldest(all_but=0)


def _close_oldest(*, all_but: int) -> None:
    with suppress(IndexError):
        while len(_idle) > all_but:
            _idle.popleft()[1].close()


os.register_at_fork(before=close_idle)
