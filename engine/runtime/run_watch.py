"""Detect that other programs create or delete entries of HAWSE_RUN and its directories."""

from __future__ import annotations

import contextlib
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

INTERVAL_SECONDS = 0.25  # between two checks; a check costs four system calls
LOOKS_LIMIT = 2  # checks that do not report a change yet, because the other program may still make changes


class RunWatch:
    """Detects that entries of some directories are created or deleted.

    The directories are ``run`` (HAWSE_RUN) and its subdirectories ``names``. The class compares the directories' inodes
    and modification times with the values that `accept` has saved.
    """

    def __init__(self, run: str, names: Sequence[str]) -> None:
        self._paths = [run, *(os.path.join(run, name) for name in names)]
        self._known: list[tuple[int, int]] = []
        self._seen: list[tuple[int, int]] = []
        self._waited, self._next = 0, 0.0

    def has_changed(self) -> bool:
        """Return whether a directory has changed since the last call of `accept`; checks at most four times a second.

        Another program may need some time to delete many files. Therefore a change is reported only when two checks in
        a row see the same inodes and times. If the values differ at each check, only `LOOKS_LIMIT` checks wait, and the
        next check reports the change.
        """
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + INTERVAL_SECONDS
        before, self._seen = self._seen, [_state(path) for path in self._paths]
        if self._seen == self._known:
            return False
        if self._seen != before and self._waited < LOOKS_LIMIT:
            self._waited += 1
            return False
        self._waited = 0
        return True

    def entries(self) -> set[str]:
        """Return the paths of all entries of the watched directories."""
        paths = set()
        for directory in self._paths:
            with contextlib.suppress(OSError):
                paths.update([f"{directory}/{name}" for name in os.listdir(directory)])
        return paths

    def accept(self) -> None:
        """Save the inodes and times that the last check saw; `has_changed` compares the next checks with them."""
        self._known = self._seen


def _state(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return 0, 0
    return status.st_ino, status.st_mtime_ns
