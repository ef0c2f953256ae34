"""Cache answers of ``hawse __complete`` in files that the shells read, so that the TAB key starts no process.

An answer is the list of names that ``hawse __complete`` prints. The cache file of an answer is HAWSE_ROOT/names/KINDS,
where KINDS lists the kinds of names in the answer (``networks,images``). The local store's modification time is read
just before the answer is computed, and becomes the time of the cache file. The shells use a cache file only while the
store still has this modification time. Only the owner can read a cache file, because other users must not learn what is
in the store.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from cli.completion.queries import FINDERS
from engine.paths import make_private_directory, open_private

DIRECTORY = "names"
MIN_STORE_AGE_NANOSECONDS = 50_000_000
"""Minimum age of the last write to the local store, in nanoseconds. After a newer write, no answer is cached.

The kernel's file times are coarse: two writes within this interval may have the same time.
"""


def is_cacheable(kinds: str) -> bool:
    """Return whether the names of these ``kinds`` (``networks,images``) are all in the local store.

    Names of other kinds come from this host's files or from the environment. The caller checks that the names do not
    depend on other words of the command line.
    """
    return all(kind.removesuffix("+") in FINDERS for kind in kinds.split(","))


def store_mtime(store: Path) -> int:
    """Return the time of the last write to the local store, in ns since 1970; raises OSError without a store."""
    try:
        return os.stat(f"{store}-wal").st_mtime_ns
    except FileNotFoundError:
        return os.stat(store).st_mtime_ns


def store(store: Path, kinds: str, answer: str, written: int) -> None:
    """Write an answer of ``hawse __complete`` to its cache file; raises OSError if the file cannot be written.

    ``store`` is the path of the local store. The caller has checked ``kinds`` with `is_cacheable`. ``written`` is the
    result of `store_mtime` before the answer was computed. If it is less than `MIN_STORE_AGE_NANOSECONDS` ago, nothing
    is cached.
    """
    if time.time_ns() - written < MIN_STORE_AGE_NANOSECONDS:
        return
    directory = store.parent / DIRECTORY
    make_private_directory(directory)
    unfinished = directory / f".{os.getpid()}"
    with open(open_private(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
        file.write(answer.encode("utf-8", "surrogateescape"))
    os.utime(unfinished, ns=(written, written))
    unfinished.rename(directory / kinds)
