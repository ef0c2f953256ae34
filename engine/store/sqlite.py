"""The store of one host: one SQLite file in WAL mode.

This module handles files, locks and SQLite's errors; `engine.store.transaction` handles the contents of the tables.
Threads may share a store. A store may be used across a fork if no block is open. Its directory may be removed at any
time. Commits survive the death of any process, because the page cache holds them. After a power failure, only commits
up to the last checkpoint are certain, but the file is never damaged. Kernel state does not survive a power failure
either.

A process keeps its open connections for its next block, for two reasons. The process that opens a store first has to
read the whole log. The process that closes the store last may write the log back. A kept connection is not used after a
fork, because the child would share locks that only the parent holds. It is also not used if the path is now another
file.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from engine.errors import EngineError, Outdated, PermissionDenied, Unavailable
from engine.paths import make_private_directory, open_private, require_own_file
from engine.store import schema
from engine.store.api import Reader, Transaction
from engine.store.codec import CodecError, DecodeCache, decode
from engine.store.transaction import SqliteReader, SqliteTransaction

BUSY_SECONDS = 30.0
"""Seconds that a command waits for other writers."""
LOG_SIZE = 1 << 20
"""Size of the log in bytes above which a writer moves it into the file.

The limit exists because the next process that opens the store has to read the whole log.
"""
RESERVE = 1 << 17
"""Bytes of disk space that even an empty log keeps. With them, objects can still be removed when the disk is full."""
FILES = ("-wal", "-shm", "-journal")
"""The suffixes of SQLite's additional files."""
IDLE_LIMIT = 4
"""Number of connections kept. A command uses one, or two if one block is inside another."""

_REASONS = {
    sqlite3.SQLITE_BUSY: "is locked by another command",
    sqlite3.SQLITE_LOCKED: "is locked by another command",
    sqlite3.SQLITE_FULL: "cannot be written: the disk is full",
    sqlite3.SQLITE_READONLY: "is read-only",
    sqlite3.SQLITE_IOERR: "cannot be read or written: input/output error",
    sqlite3.SQLITE_CORRUPT: "is damaged",
    sqlite3.SQLITE_NOTADB: "is damaged: not a database",
}


class PoolKey(NamedTuple):
    """The identity of a connection: the path, its file (device and inode), and its busy timeout."""

    path: Path
    device: int
    inode: int
    busy_seconds: float


_idle: deque[tuple[PoolKey, sqlite3.Connection]] = deque()
"""A thread removes a connection before it looks at it, so two threads never use the same connection."""


def pool_key(path: Path, busy_seconds: float) -> PoolKey:
    """Return the key of a store as it is now.

    Raises FileNotFoundError if the store does not exist, and PermissionDenied if another user owns or can change it.
    """
    file = os.lstat(path)
    require_own_file(path, file)
    return PoolKey(path, file.st_dev, file.st_ino, busy_seconds)


def take_idle(wanted: PoolKey) -> sqlite3.Connection | None:
    """Remove and return a kept connection with this key, or None if there is none."""
    for _ in range(len(_idle)):
        with suppress(IndexError):  # another thread may have removed one
            found, connection = _idle.popleft()
            if found == wanted:
                return connection
            _idle.append((found, connection))
    return None


def keep_idle(used: PoolKey, connection: sqlite3.Connection) -> None:
    """Keep a connection without an open transaction for the next block; beyond `MOST`, the oldest is closed."""
    _idle.append((used, connection))
    _close_oldest(all_but=IDLE_LIMIT)


def close_idle() -> None:
    """Close all kept connections."""
    _close_oldest(all_but=0)


def _close_oldest(*, all_but: int) -> None:
    with suppress(IndexError):
        while len(_idle) > all_but:
            _idle.popleft()[1].close()


os.register_at_fork(before=close_idle)


class SqliteStore:
    """The store in the file ``path`` (created at first use: mode 0600 in a 0700 directory).

    ``read`` and ``write`` raise `engine.errors.PermissionDenied` if the file may not be opened. They raise
    `engine.errors.Unavailable` in these cases:

    - The file is damaged, or a newer hawse has written it.
    - The disk is full or read-only.
    - Other commands lock the file for longer than ``busy_seconds``.

    With ``recall``, a reading decodes only the documents that have changed since the last one.
    """

    def __init__(self, path: Path, *, busy_seconds: float = BUSY_SECONDS, recall: DecodeCache | None = None) -> None:
        self.path, self.busy_seconds, self._recall = path, busy_seconds, recall

    @contextmanager
    def read(self) -> Iterator[Reader]:
        """Open a snapshot; never waits for a writer."""
        with self._connection("BEGIN") as connection:
            yield SqliteReader(connection, self._recall.decode if self._recall else decode)
            connection.execute("COMMIT")
        if self._recall:
            self._recall.turn()

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Open a transaction; it is committed at the end of the block, and rolled back on an exception.

        Waits up to ``busy_seconds`` for other writers.
        """
        with self._connection("BEGIN IMMEDIATE") as connection:
            yield SqliteTransaction(connection)
            connection.execute("COMMIT")
            self._shorten_log(connection)

    def stamp(self) -> object:
        """Return a value that changes whenever something is written; costs two stat calls."""
        stamps = []
        for path in (self.path, f"{self.path}-wal"):
            with suppress(OSError):
                file = os.stat(path)
                stamps.append((file.st_ino, file.st_size, file.st_mtime_ns))
        return stamps

    @contextmanager
    def _connection(self, begin: str) -> Iterator[sqlite3.Connection]:
        """Yield a connection on which a transaction has begun.

        The block commits it. On an exception the connection is closed, which rolls the transaction back.
        """
        try:
            key, connection = self._open()
            try:
                if begin != "BEGIN":
                    self._make_room(connection)
                connection.execute(begin)
                schema.check(connection)  # the schema may be newer by now; this read pins the snapshot
                yield connection
            except BaseException:
                connection.close()
                raise
            keep_idle(key, connection)
        except (sqlite3.Error, CodecError, schema.NewerSchema) as error:
            raise self._translate(error) from error

    def _open(self) -> tuple[PoolKey, sqlite3.Connection]:
        try:
            try:
                key = pool_key(self.path, self.busy_seconds)
            except FileNotFoundError:
                self._create_file()
                key = pool_key(self.path, self.busy_seconds)
            return key, take_idle(key) or self._connect()
        except OSError as error:  # caught here, because the caller's block may raise OSErrors too
            raise self._translate(error) from error

    def _connect(self) -> sqlite3.Connection:
        for suffix in FILES:
            with suppress(FileNotFoundError):
                require_own_file(f"{self.path}{suffix}", os.lstat(f"{self.path}{suffix}"))
        # Safe, because only one thread uses a connection at a time.
        connection = sqlite3.connect(
            self.path, timeout=self.busy_seconds, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA synchronous = NORMAL")
        if sys.version_info >= (3, 12):  # else each last close moves the log and waits for the disk
            connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
        if not schema.check(connection):
            self._initialize(connection)

    def _shorten_log(self, connection: sqlite3.Connection) -> None:
        """Move a long log into the file, unless other processes use it; errors are ignored.

        If this fails, a later writer does it.
        """
        with suppress(OSError, sqlite3.Error):
            if os.stat(f"{self.path}-wal").st_size > LOG_SIZE:
                connection.execute("PRAGMA busy_timeout = 0")
                try:
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                finally:
                    connection.execute(f"PRAGMA busy_timeout = {int(self.busy_seconds * 1000)}")
                log = open_private(f"{self.path}-wal", os.O_RDWR)
                try:
                    os.posix_fallocate(log, 0, RESERVE)  # SQLite ignores zeros in the log
                finally:
                    os.close(log)

    def _make_room(self, connection: sqlite3.Connection) -> None:
        """If the disk is almost full, move the log into the file, so that its space can be used again."""
        with suppress(OSError, sqlite3.Error):
            disk = os.statvfs(self.path)
            if disk.f_bfree * disk.f_frsize < LOG_SIZE:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _create_file(self) -> None:
        """Create an empty file with its final mode, which SQLite also gives to its additional files."""
        make_private_directory(self.path.parent)
        os.close(open_private(self.path, os.O_RDWR | os.O_CREAT))

    def _initialize(self, connection: sqlite3.Connection) -> None:
        """Create or upgrade the tables under a lock on the directory.

        The lock is needed because SQLite does not wait when another process changes the journal mode.
        """
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            connection.execute("PRAGMA journal_mode = WAL")
            schema.migrate(connection)
        finally:
            os.close(directory)

    def _is_read_only(self) -> bool:
        with suppress(OSError):
            return bool(os.statvfs(self.path).f_flag & os.ST_RDONLY)
        return False

    def _translate(self, error: Exception) -> EngineError:
        """Return the engine's error for a problem with the file, with a text of one line."""
        if isinstance(error, schema.NewerSchema):
            return Outdated(f"the store {self.path} was written by a newer version of hawse: {error}")
        if isinstance(error, CodecError):
            return Unavailable(f"the store {self.path} is damaged: {error}")
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extended code
        if isinstance(error, PermissionError) or code in (sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
            return PermissionDenied(f"permission denied while opening the store {self.path}: are you root?")
        if code == sqlite3.SQLITE_CANTOPEN and self._is_read_only():
            return Unavailable(f"the store {self.path} {_REASONS[sqlite3.SQLITE_READONLY]}")
        if code == sqlite3.SQLITE_CANTOPEN and not os.access(self.path, os.R_OK | os.W_OK):
            return PermissionDenied(f"permission denied while opening the store {self.path}: are you root?")
        if isinstance(error, OSError):
            return Unavailable(f"the store {self.path} cannot be opened: {(error.strerror or str(error)).lower()}")
        return Unavailable(f"the store {self.path} {_REASONS.get(code, f'cannot be used: {error}')}")


BUSY_TIMEOUT_SECONDS = 0.2
"""Seconds to wait for a file that is locked by a writer."""


@contextmanager
def open_readonly(path: Path) -> Iterator[Reader | None]:
    """Open a snapshot of the store for tab completion.

    Yields None if there is no store, if this user may not read it, or if its schema has another version. Nothing is
    created, upgraded or repaired. The wait for a lock is limited by `BUSY_TIMEOUT_SECONDS`.
    """
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
