"""Create the file of a store, and find what remains of a store after its main file was deleted.

A new file gets all its tables before it is renamed to its path. Therefore a file that is empty or has no tables is
damaged.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from engine.errors import Damaged
from engine.paths import open_private
from engine.store import schema
from engine.store.locks import lock_open_file

NAME = "hawse.db"
"""The name of the store's file in HAWSE_ROOT."""
SUFFIXES = ("-wal", "-shm", "-journal")
"""The suffixes of the files that SQLite creates next to the store's file."""
NEW, REPAIRED, BACKUP = ".new", ".repaired", ".backup"
"""The suffixes of other files next to the store's file.

- `NEW`: a store file that a process is writing.
- `REPAIRED`: a complete store file that a repair puts at the path of the store.
- `BACKUP`: the last backup.
"""
WAL_MAGICS = (0x377F0682, 0x377F0683)  # the first four bytes of a write-ahead log, big-endian


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock on the store's directory, because the caller creates, upgrades or replaces the store's file.

    Raises Unavailable if another process holds the lock for `locks.LOCK_TIMEOUT_SECONDS`.
    """
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        lock_open_file(directory, str(path))
        yield
    finally:
        os.close(directory)


def create(path: Path) -> None:
    """Create an empty store with mode 0600 in an existing directory; idempotent.

    Raises `Damaged` if parts of a deleted store are left. SQLite gives the file's mode to the files next to it.
    """
    with locked(path):
        if os.path.lexists(path):
            return
        parts = remains(path)
        if parts:
            raise Damaged(f"the store {path} is missing, but {' and '.join(parts)} of it exists")
        new = Path(f"{path}{NEW}")
        write_new(new)
        remove_beside(path)
        os.rename(new, path)


def write_new(path: Path) -> None:
    """Write a store file without records at ``path``. A file that a killed process left there is replaced."""
    remove_with_logs(path)
    os.close(open_private(path, os.O_RDWR | os.O_CREAT | os.O_EXCL))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        schema.migrate(connection)


def remains(path: Path) -> list[str]:
    """Return the parts of a deleted store that still exist, such as ["the log", "a backup", "the repaired file"].

    ``path`` is the path of the store.
    """
    parts = ["the log"] if has_log(path) else []
    parts += ["a backup"] if os.path.lexists(f"{path}{BACKUP}") else []
    return parts + (["the repaired file"] if os.path.lexists(f"{path}{REPAIRED}") else [])


def has_log(path: Path) -> bool:
    """Return whether the write-ahead log next to a store's file has data. A log with only zeros has no data."""
    with suppress(OSError), open(f"{path}-wal", "rb") as log:
        return int.from_bytes(log.read(4)) in WAL_MAGICS
    return False


def blocked_log(path: Path) -> str:
    """Return the name of a file (`SUFFIXES`) that SQLite needs next to the store's file but cannot create, or "".

    SQLite cannot create the file if a directory, a link or a device has the file's name.
    """
    blocking = (Path(f"{path}{suffix}") for suffix in SUFFIXES)
    return next((log.name for log in blocking if log.is_symlink() or (log.exists() and not log.is_file())), "")


def remove_beside(path: Path) -> None:
    """Remove the files that SQLite created next to a store's file; idempotent. No process may use the store's file."""
    for suffix in SUFFIXES:
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def remove_with_logs(path: Path) -> None:
    """Remove a store's file and the files that SQLite created next to it; idempotent."""
    path.unlink(missing_ok=True)
    remove_beside(path)
