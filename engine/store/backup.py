"""The backup of a store: one file next to the store's file. A new backup replaces the previous one.

A backup is a consistent snapshot, made by SQLite's backup function. Commands do not wait for the backup, because in WAL
mode a reader blocks no writer. A damaged store never replaces a good backup. A lock ensures that only one process at a
time makes a backup, repairs the store or creates the store.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from engine.paths import open_private
from engine.store import store_file
from engine.store.sqlite import check_schema

RECORDS = ("networks", "containers", "endpoints", "images")
"""The tables whose rows are records as JSON."""
WORTH = "SELECT EXISTS (SELECT 1 FROM networks WHERE NOT predefined) OR EXISTS (SELECT 1 FROM containers) " \
    "OR EXISTS (SELECT 1 FROM images)"  # fmt: skip


def path_of(store: Path) -> Path:
    """Return the path of a store's backup."""
    return Path(f"{store}{store_file.BACKUP}")


def make(store: Path) -> bool:
    """Write the backup of a store and return True; return False and keep the old backup if the store is damaged.

    A store that has only predefined networks needs no backup. For such a store, the old backup is removed, and the
    result is True. Raises OSError or sqlite3.Error if the store cannot be read or the backup cannot be written. Raises
    `NewerSchema` or `NoSchema` for a store that this version cannot read. Raises Unavailable if another process locks
    the store's directory too long.
    """
    if not store.stat().st_size:
        return False  # do not open an empty file: SQLite would delete its log, which a repair reads
    with (
        store_file.locked(store),
        closing(sqlite3.connect(f"file:{quote(str(store))}?mode=ro", uri=True)) as source,
    ):
        check_schema(source)
        if not source.execute(WORTH).fetchone()[0]:
            path_of(store).unlink(missing_ok=True)
            return True
        new = Path(f"{store}{store_file.BACKUP}{store_file.NEW}")
        store_file.remove_with_logs(new)
        os.close(open_private(new, os.O_RDWR | os.O_CREAT | os.O_EXCL))
        with closing(sqlite3.connect(new, isolation_level=None)) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")  # without a write-ahead log, the backup is a single file
            sound = _is_sound(target)
        if sound:
            os.replace(new, path_of(store))
        store_file.remove_with_logs(new)
    return sound


def _is_sound(connection: sqlite3.Connection) -> bool:
    if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
        return False
    bad = (connection.execute(f"SELECT EXISTS (SELECT 1 FROM {t} WHERE NOT json_valid(body))") for t in RECORDS)
    return not any(row.fetchone()[0] for row in bad)
