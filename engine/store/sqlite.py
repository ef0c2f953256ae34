"""The store of one host: one SQLite file in WAL mode."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from engine.store.api import Reader, Transaction

BUSY_SECONDS = 30.0
"""How long a command waits for other writers before it gives up."""


class SqliteStore:
    """Opens ``path`` (made at first use: 0600 in a 0700 directory); holds no connection between blocks.

    Safe to share between threads and to carry across a fork. ``read`` and ``write`` raise
    `engine.errors.PermissionDenied` where the file may not be opened, and `engine.errors.Unavailable` where it is
    damaged, of a newer hawse, on a full or read-only disk, or locked for longer than ``busy_seconds``.
    """

    def __init__(self, path: Path, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self.path, self.busy_seconds = path, busy_seconds

    def read(self) -> AbstractContextManager[Reader]:
        """Open a snapshot; never blocks on a writer."""
        raise NotImplementedError

    def write(self) -> AbstractContextManager[Transaction]:
        """Open a transaction; waits for other writers (bounded), commits at the end, rolls back on an exception."""
        raise NotImplementedError
