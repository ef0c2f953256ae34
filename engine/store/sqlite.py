"""The store of one host: one SQLite file in WAL mode (with a write-ahead log).

This module handles files, locks and SQLite's errors; `engine.store.transaction` handles the contents of the tables.
Threads may share a store. A process may fork while no snapshot or transaction is open. The store's directory may be
deleted at any time. A commit survives the death of any process, because the kernel's page cache holds the data. After a
power failure, the commits since the last checkpoint may be lost, but the file is never damaged. The loss of commits is
acceptable, because the kernel state is lost too.

A process keeps its connections open for later snapshots and transactions, because opening and closing are slow. The
first process that opens a store reads the whole log, and the last process that closes the store may write the log back.
A kept connection is not used after a fork, because the child would share locks that only the parent holds. A kept
connection is also not used if another file is now at the path of the store.
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
"""Seconds that a command waits for other writers of the store before the command fails."""
LOG_SIZE = 1 << 20
"""Size limit of the write-ahead log in bytes. A writer that finds a larger log moves the contents of the log into the
store's file.

The limit exists because the next process that opens the store has to read the whole log.
"""
RESERVE = 1 << 17
"""Bytes of disk space that the write-ahead log keeps even when the log is empty. With this space, objects can still be
removed when the disk is full.
"""
FILES = ("-wal", "-shm", "-journal")
"""The suffixes of the files that SQLite creates next to the store's file."""
IDLE_LIMIT = 4
"""Maximum number of open connections that a process keeps. A command uses one connection, or two if it opens a snapshot
or transaction while another snapshot or transaction is open.
"""

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
    """The values that a kept connection must match: the store's path, device and inode, and the busy timeout."""

    path: Path
    device: int
    inode: int
    busy_seconds: float


_idle: deque[tuple[PoolKey, sqlite3.Connection]] = deque()
"""The open connections that this process keeps for later snapshots and transactions. A thread removes a connection from
this queue before the thread checks the connection's key, so that two threads never use the same connection.
"""


def pool_key(path: Path, busy_seconds: float) -> PoolKey:
    """Return the key for connections to the store's file. The key contains the file's present device and inode.

    Raises FileNotFoundError if the file does not exist. Raises PermissionDenied if the file belongs to another user, or
    if another user can write to the file.
    """
    file = os.lstat(path)
    require_own_file(path, file)
    return PoolKey(path, file.st_dev, file.st_ino, busy_seconds)


def take_idle(wanted: PoolKey) -> sqlite3.Connection | None:
    """Return a kept connection whose key is ``wanted``, or None if no kept connection has this key.

    The connection is removed from the kept connections.
    """
    for _ in range(len(_idle)):
        with suppress(IndexError):  # another thread may have taken the last connection
            found, connection = _idle.popleft()
            if found == wanted:
                return connection
            _idle.append((found, connection))
    return None


def keep_idle(used: PoolKey, connection: sqlite3.Connection) -> None:
    """Keep a connection without an open transaction for the next snapshot or transaction.

    If more than `IDLE_LIMIT` connections are kept, the oldest connections are closed.
    """
    _idle.append((used, connection))
    _close_oldest(all_but=IDLE_LIMIT)


def close_idle() -> None:
    """Close all kept connections of this process."""
    _close_oldest(all_but=0)


def _close_oldest(*, all_but: int) -> None:
    with suppress(IndexError):
        while len(_idle) > all_but:
            _idle.popleft()[1].close()


os.register_at_fork(before=close_idle)


class SqliteStore:
    """The store in the file ``path``, which is created at the first use.

    The file has mode 0600, in a directory with mode 0700. ``read`` and ``write`` raise `engine.errors.PermissionDenied`
    if the file may not be opened. Both raise `engine.errors.Outdated` if a newer hawse has written the file. Both raise
    `engine.errors.Unavailable` in these cases:

    - The file is damaged.
    - The disk is full or read-only.
    - Other commands lock the file for longer than ``busy_seconds``.

    If ``recall`` is true, each snapshot decodes only the documents that have changed since the previous snapshot.
    """

    def __init__(self, path: Path, *, busy_seconds: float = BUSY_SECONDS, recall: DecodeCache | None = None) -> None:
        self.path, self.busy_seconds, self._recall = path, busy_seconds, recall

    @contextmanager
    def read(self) -> Iterator[Reader]:
        """Open a snapshot for reading; never waits for a writer."""
        with self._connection("BEGIN") as connection:
            yield SqliteReader(connection, self._recall.decode if self._recall else decode)
            connection.execute("COMMIT")
        if self._recall:
            self._recall.turn()

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Open a transaction. The transaction is committed at the end of the block, or rolled back if the block raises
        an exception.

        Waits up to ``busy_seconds`` for other writers.
        """
        with self._connection("BEGIN IMMEDIATE") as connection:
            yield SqliteTransaction(connection)
            connection.execute("COMMIT")
            self._shorten_log(connection)

    def stamp(self) -> object:
        """Return a value that changes whenever a process writes to the store; the cost is two stat calls."""
        stamps = []
        for path in (self.path, f"{self.path}-wal"):
            with suppress(OSError):
                file = os.stat(path)
                stamps.append((file.st_ino, file.st_size, file.st_mtime_ns))
        return stamps

    @contextmanager
    def _connection(self, begin: str) -> Iterator[sqlite3.Connection]:
        """Yield a connection on which a transaction has begun.

        The caller's ``with`` block commits the transaction. If the block raises an exception, the connection is closed,
        which rolls the transaction back.
        """
        try:
            key, connection = self._open()
            try:
                if begin != "BEGIN":
                    self._make_room(connection)
                connection.execute(begin)
                schema.check(connection)  # fails if a newer hawse upgraded the file; this read selects the snapshot
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
        except OSError as error:  # the caller's block is outside this try, so its own OSError is not translated
            raise self._translate(error) from error

    def _connect(self) -> sqlite3.Connection:
        for suffix in FILES:
            with suppress(FileNotFoundError):
                require_own_file(f"{self.path}{suffix}", os.lstat(f"{self.path}{suffix}"))
        # Switching off SQLite's thread check is safe, because no two threads use a connection at the same time.
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
        if sys.version_info >= (3, 12):  # since Python 3.12, hawse can avoid writing to disk at the last close
            connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
        if not schema.check(connection):
            self._initialize(connection)

    def _shorten_log(self, connection: sqlite3.Connection) -> None:
        """Move the contents of a long write-ahead log into the store's file, unless other processes use the log.

        Errors are ignored, because a later writer tries to move the contents again.
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
                    os.posix_fallocate(log, 0, RESERVE)  # fills the empty log with zeros, which SQLite ignores
                finally:
                    os.close(log)

    def _make_room(self, connection: sqlite3.Connection) -> None:
        """If the disk is almost full, move the write-ahead log's contents into the store's file.

        SQLite can then reuse the space of the log.
        """
        with suppress(OSError, sqlite3.Error):
            disk = os.statvfs(self.path)
            if disk.f_bfree * disk.f_frsize < LOG_SIZE:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _create_file(self) -> None:
        """Create an empty store file with mode 0600.

        SQLite gives the same mode to the log and the other files that SQLite creates next to the store file.
        """
        make_private_directory(self.path.parent)
        os.close(open_private(self.path, os.O_RDWR | os.O_CREAT))

    def _initialize(self, connection: sqlite3.Connection) -> None:
        """Create or upgrade the tables, holding a lock on the store's directory.

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
        """Return the engine error for an error from opening or using the store's file; the message has one line."""
        if isinstance(error, schema.NewerSchema):
            return Outdated(f"the store {self.path} was written by a newer version of hawse: {error}")
        if isinstance(error, CodecError):
            return Unavailable(f"the store {self.path} is damaged: {error}")
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the bits of SQLite's extended error code
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
"""Seconds that tab completion waits for a store that a writer has locked."""


@contextmanager
def open_readonly(path: Path) -> Iterator[Reader | None]:
    """Open a snapshot of the store for tab completion and yield the snapshot, or yield None if the store cannot be
    read.

    The result is None if the store does not exist, this user may not read the store, or the schema has another version.
    Nothing is created, upgraded or repaired. The wait for a lock is limited by `BUSY_TIMEOUT_SECONDS`.
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
