"""Look at a host's records without a trace: nothing is made, upgraded, repaired or waited for.

For what must never be in the way, such as tab completion; everything else opens the store itself.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from engine.errors import PermissionDenied
from engine.paths import require_own_file
from engine.store import schema
from engine.store.api import Reader
from engine.store.transaction import SqliteReader

BUSY_TIMEOUT_SECONDS = 0.2
"""Seconds to wait for a file that is being changed."""


@contextmanager
def open_readonly(path: Path) -> Iterator[Reader | None]:
    """Open a snapshot of the store, None where there is none that this user may read and this version knows."""
    try:
        require_own_file(path, os.lstat(path))
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_SECONDS)
    except (OSError, PermissionDenied, sqlite3.Error):
        yield None
        return
    with closing(connection):
        yield SqliteReader(connection) if _readable(connection) else None


def _readable(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("BEGIN")
        return schema.version_of(connection) == schema.VERSION
    except sqlite3.Error:
        return False
