"""Answers of ``hawse __complete`` that the shells read themselves, so that a TAB starts no process.

An answer is HAWSE_ROOT/names/KINDS, and bears the time at which the store was written last before it was found. The
shells take it only where that time is the store's still; who may not read the store may not read it either.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from cli.completion.queries import FINDERS
from engine.paths import make_private_directory, open_private

DIRECTORY = "names"
SETTLED = 50_000_000
"""Nanoseconds: the kernel's file times may stand still for some of them while a store is written twice."""


def is_cacheable(kinds: str) -> bool:
    """Tell whether an answer comes from the store alone, words of the line left out."""
    return all(kind.removesuffix("+") in FINDERS for kind in kinds.split(","))


def store_mtime(store: Path) -> int:
    """When the store was written last, in nanoseconds since 1970; raises OSError where there is none."""
    try:
        return os.stat(f"{store}-wal").st_mtime_ns
    except FileNotFoundError:
        return os.stat(store).st_mtime_ns


def store(store: Path, kinds: str, answer: str, written: int) -> None:
    """Keep an answer (to kinds that `is_cacheable`) found in the store as it was ``written``; raises OSError."""
    if time.time_ns() - written < SETTLED:
        return
    directory = store.parent / DIRECTORY
    make_private_directory(directory)
    unfinished = directory / f".{os.getpid()}"
    with open(open_private(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
        file.write(answer.encode("utf-8", "surrogateescape"))
    os.utime(unfinished, ns=(written, written))
    unfinished.rename(directory / kinds)
