"""Replace a damaged store by a repaired store. No data is lost if the process is killed.

The repaired file is complete before the old file moves. While no file is at the store's path, commands wait for the
repair. If the repair was killed, commands fail with an error that names ``hawse system check --repair``. This command
then finishes the replacement.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from engine.paths import make_private_directory
from engine.store import backup, salvage, store_file
from engine.store.api import Transaction
from engine.store.salvage import TABLES, Salvaged
from engine.store.sqlite_errors import primary_code, translate
from engine.store.transaction import SqliteTransaction

LOCK_SECONDS = 10.0
"""Seconds that a repair waits for a command that writes to the store."""
SCRATCH, DAMAGED = ".rescue", ".damaged-"

Build = Callable[[Salvaged, Path], list[str]]
"""The type of a function that writes records to a new store file at a path. It returns one line for each action."""


def problems(store: Path) -> list[str]:
    """Return one line for each kind of damage in a store, or [] for a sound store; changes nothing."""
    if not store.exists():
        parts = store_file.remains(store)
        return [f"the file is missing, but {' and '.join(parts)} of it exists"] if parts else []
    salvaged, saved = salvage.read_file(store), backup.path_of(store)
    if not salvaged.problems and saved.exists() and salvaged.is_older_than(salvage.read_file(saved)):
        return [f"the file is older than the backup: its log {store}-wal was deleted"]
    return salvaged.problems


def repair(store: Path, build: Build) -> list[str]:
    """Replace the store by the file that ``build`` writes from the readable records; return one line for each action.

    ``build`` gets the readable records and the path of the new file. It returns one line for each of its actions. The
    old file is kept next to the store. Raises Unavailable if a command locks the store for longer than `LOCK_SECONDS`.

    An earlier repair may have been killed after it had moved the old file away. Its new file is then complete. In this
    case, this function only completes the earlier repair, and does not call ``build``.
    """
    make_private_directory(store.parent)
    repaired = Path(f"{store}{store_file.REPAIRED}")
    with store_file.locked(store):
        if repaired.exists() and not store.exists():
            aside = _started_name(store, repaired) or _free_name(store)
            return [*_replace(store, repaired, aside), "finished a repair that was interrupted"]
        scratch = Path(f"{store}{SCRATCH}")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(0o700)
        try:
            with ExitStack() as opened, _no_writers(store):
                salvaged = salvage.read_store(store, scratch, opened)
                done = _add_from_backup(store, salvaged, scratch)
                new = scratch / "new.db"
                done += build(salvaged, new)
                done += _losses(salvaged)
                store_file.remove_with_logs(repaired)
                os.rename(new, repaired)
                # Delete the temporary files before the store is sound. If this process is killed after that, no later
                # repair deletes them, because a sound store is not repaired.
                shutil.rmtree(scratch, ignore_errors=True)
                return [*done, *_replace(store, repaired, _free_name(store))]
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def new_store(path: Path, sequences: Mapping[str, int]) -> Iterator[Transaction]:
    """Write a new store (a single file) with the records that the ``with`` block puts into the transaction.

    ``sequences`` has the highest row number of each table in the old store. New rows get higher numbers, so that the
    new store does not appear to be older than the backup.
    """
    store_file.write_new(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield SqliteTransaction(connection)
        for table, number in sequences.items():
            row = (number, table)
            connection.execute("INSERT INTO sqlite_sequence (seq, name) SELECT ?, ? WHERE NOT EXISTS "
                               "(SELECT 1 FROM sqlite_sequence WHERE name = ?)", (*row, table))  # fmt: skip
            connection.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", row)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


@contextmanager
def _no_writers(store: Path) -> Iterator[None]:
    """Prevent commands from writing to the store during the ``with`` block, if SQLite can lock the store.

    SQLite cannot lock a missing file, or a file without SQLite's header. Raises Unavailable if a command locks the
    store for longer than `LOCK_SECONDS`.
    """
    if not _has_magic(store):
        yield
        return
    with closing(sqlite3.connect(store, timeout=LOCK_SECONDS, isolation_level=None)) as connection:
        _lock(store, connection)
        yield


def _has_magic(store: Path) -> bool:
    if not store.is_file():
        return False
    with open(store, "rb") as file:
        return file.read(len(salvage.MAGIC)) == salvage.MAGIC


def _lock(store: Path, connection: sqlite3.Connection) -> None:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.DatabaseError as error:
        if primary_code(error) == sqlite3.SQLITE_BUSY:
            raise translate(store, error) from error


def _add_from_backup(store: Path, salvaged: Salvaged, scratch: Path) -> list[str]:
    """Add to ``salvaged`` the records that the store has lost and the backup has; return one line for each action.

    ``scratch`` is a directory for temporary files. The backup's intents are not added, because their work has ended
    since the backup.
    """
    saved = backup.path_of(store)
    if not saved.exists():
        return [f"there is no backup for lost rows of: {', '.join(sorted(salvaged.broken))}"] if salvaged.broken else []
    with ExitStack() as opened:
        old = salvaged.backup = salvage.read_store(saved, _subdirectory(scratch), opened)
    age = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(saved.stat().st_mtime))
    done = [f"read the backup of {age}"]
    if salvaged.is_older_than(old):
        salvaged.broken = set(TABLES)
    salvaged.sequences = {table: max(old.sequences.get(table, 0), salvaged.sequences.get(table, 0)) for table in TABLES}
    for table, records in salvaged.records.items():
        for name, record in old.records[table].items():
            if name not in records and (table in salvaged.broken or name in salvaged.lost[table]):
                records[name] = record
                done.append(f"took from the backup: {table.removesuffix('s')} {getattr(record, 'name', name[:12])}")
    if "meta" in salvaged.broken:
        salvaged.meta = {**old.meta, **salvaged.meta}
    return done


def _losses(salvaged: Salvaged) -> list[str]:
    """Return one line for each unreadable record that the backup has not replaced."""
    return [
        f"lost the record {name[:12]} in {table}"
        for table, names in salvaged.lost.items()
        for name in sorted(names - salvaged.records[table].keys())
    ]


def _subdirectory(scratch: Path) -> Path:
    directory = scratch / "backup"
    directory.mkdir(0o700)
    return directory


def _replace(store: Path, repaired: Path, aside: str) -> list[str]:
    """Move the repaired file to the store's path, and keep the old file and its log under the path ``aside``.

    Returns one line that names the kept file, or [] if there was no old file. The old file moves before its log. If a
    process then closes the old file, SQLite finds that the file has moved, and does not delete the log.
    """
    moved = False
    for suffix in ("", "-wal"):
        with suppress(FileNotFoundError):
            os.rename(f"{store}{suffix}", f"{aside}{suffix}")
            moved = True
    store_file.remove_beside(store)
    os.rename(repaired, store)
    return [f"kept the old file as {aside}"] if moved else []


def _started_name(store: Path, repaired: Path) -> str:
    """Return the path to which a killed repair has moved the old file without its log, or "" if there is none.

    The caller moves the log to the same path. If the killed repair has moved the log too, the result is "".
    ``repaired`` is the complete file that the killed repair has written. The old files of earlier repairs are ignored.
    They are recognised by their ctime (the time of the rename), which is before the ctime of ``repaired``.
    """
    renamed = {os.stat(kept).st_ctime_ns: kept for kept in store.parent.glob(f"{store.name}{DAMAGED}*[0-9]")}
    last = max(renamed, default=0)
    is_started = last >= os.stat(repaired).st_ctime_ns and not os.path.exists(f"{renamed[last]}-wal")
    return str(renamed[last]) if is_started else ""


def _free_name(store: Path) -> str:
    """Return an unused name under which the old file can be kept."""
    name = f"{store}{DAMAGED}{time.strftime('%Y%m%dT%H%M%S')}"
    number = 1
    while os.path.lexists(f"{name}.{number}") or os.path.lexists(f"{name}.{number}-wal"):
        number += 1
    return f"{name}.{number}"
