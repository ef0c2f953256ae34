"""Open connections between two uses: a process keeps what it has opened for its next block.

Whoever opens a store that nobody else has open pays for reading its whole log, and the last to close it may pay for
writing the log back; using an open one takes microseconds. Knows when a connection must not be used any more: after a
fork, whose child would share locks that only the parent holds, and when the path has become another file.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import NamedTuple

MOST = 4
"""Connections kept; a command uses one, or two where a block is inside another."""


class Key(NamedTuple):
    """What makes two connections alike: the path, its file (device and inode), and how long they wait."""

    path: Path
    device: int
    inode: int
    busy_seconds: float


_idle: list[tuple[Key, sqlite3.Connection]] = []


def key(path: Path, busy_seconds: float) -> Key:
    """The key of a store as it is now; raises OSError where it is not there."""
    file = os.stat(path)
    return Key(path, file.st_dev, file.st_ino, busy_seconds)


def take(wanted: Key) -> sqlite3.Connection | None:
    """A connection kept under this key, no longer kept; None where there is none."""
    for place, (found, connection) in enumerate(_idle):
        if found == wanted:
            del _idle[place]
            return connection
    return None


def keep(used: Key, connection: sqlite3.Connection) -> None:
    """Keep a connection, with no transaction open, for the next block; the oldest gives way."""
    _idle.append((used, connection))
    while len(_idle) > MOST:
        _idle.pop(0)[1].close()


def close_all() -> None:
    """Close what is kept."""
    while _idle:
        _idle.pop()[1].close()


os.register_at_fork(before=close_all)
