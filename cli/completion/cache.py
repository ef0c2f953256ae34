"""Cached answers of ``hawse __complete`` that the shells read themselves, so that a TAB starts no process.

An answer is the file HAWSE_ROOT/names/KINDS. Its modification time is that of the store just before the answer was
computed. The shells use the file only while the store still has the same time. The file is private, so that a user who
may not read the store may not read the answer.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from cli.completion.queries import FINDERS
from engine.paths import make_private_directory, open_private

DIRECTORY = "names"
SETTLED = 50_000_000
"""Nanoseconds since the last write of the store before an answer may be cached.

Because the kernel's file times are coarse, two writes within this interval may have the same time.
"""


def is_cacheable(kinds: str) -> bool:
    """Return whether an answer depends on the store alone, not on the words of the command line."""
    return all(kind.removesuffix("+") in FINDERS for kind in kinds.split(","))


def store_mtime(store: Path) -> int:
    """Return the time of the store's last write in nanoseconds since 1970; raises OSError if there is no store."""
    try:
        return os.stat(f"{store}-wal").st_mtime_ns
    except FileNotFoundError:
        return os.stat(store).st_mtime_ns


def store(store: Path, kinds: str, answer: str, written: int) -> None:
    """Cache an answer to `is_cacheable` kinds that was read while the store's time was ``written``.

    Does nothing if that time is less than SETTLED ago; raises OSError.
    """
    if time.time_ns() - written < SETTLED:
        return
    directory = store.parent / DIRECTORY
    make_private_directory(directory)
    unfinished = directory / f".{os.getpid()}"
    with open(open_private(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
        file.write(answer.encode("utf-8", "surrogateescape"))
    os.utime(unfinished, ns=(written, written))
    unfinished.rename(directory / kinds)
