"""The store of one host: one SQLite file in WAL mode (with a write-ahead log).

This module handles files, locks and SQLite's errors; `engine.store.transaction` handles the contents of the tables.
Threads may share a store. A process may fork while no snapshot or transaction is open. The store's directory may be
deleted at any time. A commit survives the death of any process, because the kernel's page cache holds the data. After a
power failure, the commits since the last checkpoint may be lost, but the file is never damaged. The loss of commits is
acceptable, because a power failure also ends the kernel state.

A process keeps its connections open for later snapshots and transactions, because opening and closing can be slow. The
first process that opens a store reads the whole log. The last process that closes the store may copy the log into the
store's file. A kept connection is not used in two cases:

- After a fork, in the child: the locks of the connection belong to the parent.
- Another file is now at the path of the store.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from engine.errors import Damaged, EngineError, Unavailable
from engine.paths import make_private_directory, open_private, require_own_file
from engine.store import lock_holder, schema, store_file
from engine.store.api import Reader, Transaction
from engine.store.codec import CodecError
from engine.store.locks import NOTICE_DELAY_SECONDS, Wait
from engine.store.record_cache import RecordCache
from engine.store.sqlite_errors import NO_SPACE, NewerSchema, NoSchema, disk_full, primary_code, translate
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
removed when the disk is full. If the disk has less free space than this, no new objects are recorded, because they
would use up the log's space.
"""
TICK_NANOSECONDS = 20_000_000
"""Twice the longest tick of the kernel's clock, which sets the times of files."""
IDLE_LIMIT = 4
"""Maximum number of open connections that a process keeps. A command uses one connection, or two if it opens a snapshot
or transaction while another snapshot or transaction is open.
"""

READ, WRITE = "BEGIN", "BEGIN IMMEDIATE"


def version_of(connection: sqlite3.Connection) -> int:
    """Return the schema version of a store file."""
    version: int = connection.execute(schema.READ_VERSION).fetchone()[0]
    return version


def check_schema(connection: sqlite3.Connection) -> bool:
    """Check the schema version of a store file; return False if the file must be upgraded, else True.

    Raises `NewerSchema` for a higher version than this program's, and `NoSchema` if the file has no tables.
    """
    version = version_of(connection)
    if version > schema.VERSION:
        raise NewerSchema(f"its schema is {version}, this version knows {schema.VERSION}")
    if version == 0:
        raise NoSchema("it has no tables")
    return version == schema.VERSION


class ConnectionKey(NamedTuple):
    """The values that a connection must have to be used again: the store's path, and the busy timeout in seconds.

    ``device`` and ``inode`` identify the store's file. They differ if another file is now at the path.
    """

    path: Path
    device: int
    inode: int
    busy_seconds: float


_idle: deque[tuple[ConnectionKey, sqlite3.Connection]] = deque()
"""The open connections that this process keeps for later snapshots and transactions. A thread first removes a
connection from this queue, and then checks the connection's key. Therefore two threads never use the same connection.
"""


def connection_key(path: Path, busy_seconds: float) -> ConnectionKey:
    """Return the key for connections to the store's file. The key contains the file's current device and inode.

    A connection with this key waits up to ``busy_seconds`` for a lock. Raises FileNotFoundError if the file does not
    exist, and `Damaged` if it is empty or not a regular file. Raises PermissionDenied if the file belongs to another
    user, or if another user can write to it.
    """
    file = os.lstat(path)
    require_own_file(path, file)
    if not file.st_size or not stat.S_ISREG(file.st_mode):
        raise Damaged(f"the store {path} is damaged: it is {'no file' if file.st_size else 'empty'}")
    return ConnectionKey(path, file.st_dev, file.st_ino, busy_seconds)


def take_idle(key: ConnectionKey) -> sqlite3.Connection | None:
    """Remove a connection with this key from the kept connections and return it; None if no such connection is kept."""
    for _ in range(len(_idle)):
        with suppress(IndexError):  # another thread may have taken the last connection
            kept, connection = _idle.popleft()
            if kept == key:
                return connection
            _idle.append((kept, connection))
    return None


def keep_idle(used: ConnectionKey, connection: sqlite3.Connection) -> None:
    """Keep a connection without an open transaction for later use; ``used`` is its key.

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
    if the caller is not allowed to open the file. Both raise `engine.errors.Outdated` if a newer hawse has written the
    file. Both raise `engine.errors.Unavailable` in these cases:

    - The file is damaged, or is missing although its log or its backup exists: `engine.errors.Damaged`.
    - The disk is full or read-only.
    - Other commands lock the file for longer than ``busy_seconds``, or a stopped process locks the file.

    With the cache ``recall``, a method that returns all records of a table reads only the documents that have changed
    since its previous call. Images are not cached.
    """

    def __init__(self, path: Path, *, busy_seconds: float = BUSY_SECONDS, recall: RecordCache | None = None) -> None:
        self.path, self.busy_seconds, self._recall = path, busy_seconds, recall

    @contextmanager
    def read(self) -> Iterator[Reader]:
        """Open a snapshot for reading; never waits for a writer."""
        with self._connection(READ) as connection:
            yield SqliteReader(connection, self._recall)
            connection.execute("COMMIT")

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Open a transaction. The end of the ``with`` block commits it; an exception in the block rolls it back.

        Waits up to ``busy_seconds`` for other writers.
        """
        with self._connection(WRITE) as connection:
            yield SqliteTransaction(connection, self._objection())
            connection.execute("COMMIT")
            self._shorten_log(connection)

    def stamp(self) -> object:
        """Return a value that changes whenever a process writes to the store; the cost is two stat calls.

        Before Linux 6.13, two writes within one tick of the kernel's clock can give a file the same time. Therefore, if
        the last write was less than `TICK_NANOSECONDS` ago, the returned stamp differs from all other stamps.
        """
        stamps: list[object] = []
        for path in (self.path, f"{self.path}-wal"):
            with suppress(OSError):
                file = os.stat(path)
                stamps.append((file.st_ino, file.st_size, file.st_mtime_ns))
                if time.time_ns() - file.st_mtime_ns < TICK_NANOSECONDS:
                    stamps.append(object())
        return stamps

    @contextmanager
    def _connection(self, begin: str) -> Iterator[sqlite3.Connection]:
        """Yield a connection on which a transaction has begun with the SQL statement ``begin``.

        The caller must commit the transaction in its ``with`` block. If the block raises an exception, the connection
        is closed, which rolls the transaction back.
        """
        try:
            key, connection = self._begun(begin)
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            if key:
                keep_idle(key, connection)
            else:
                connection.close()
        except (sqlite3.Error, CodecError, NewerSchema, NoSchema) as error:
            raise translate(self.path, error) from error

    def _begun(self, begin: str) -> tuple[ConnectionKey | None, sqlite3.Connection]:
        """Begin a transaction with the SQL statement ``begin``; return the connection's key, and the connection.

        The caller needs the key to keep the connection (`keep_idle`). The key is None if the connection must not be
        kept.
        """
        try:
            return self._begun_with_log(begin)
        except sqlite3.OperationalError as error:
            # On a full or read-only disk, SQLite cannot create the files next to the store. The store is then read
            # without these files. If there is no log, the store's file has all records.
            is_refused = begin == WRITE or primary_code(error) not in NO_SPACE
            if is_refused or store_file.has_log(self.path) or store_file.blocked_log(self.path):
                raise
            uri = f"file:{quote(str(self.path))}?immutable=1"
            connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
            connection.execute(READ)
            return None, connection

    def _begun_with_log(self, begin: str) -> tuple[ConnectionKey, sqlite3.Connection]:
        while True:
            key, connection = self._open()
            try:
                if begin == WRITE:
                    self._make_room(connection)
                self._wait_for_lock(connection, begin)
                if begin == READ or self._is_current(key):
                    check_schema(connection)  # after a plain BEGIN, this first read also opens the snapshot
                    return key, connection
            except BaseException:
                connection.close()
                raise
            connection.close()  # a repair has replaced the file since the connection was opened

    def _wait_for_lock(self, connection: sqlite3.Connection, begin: str) -> None:
        """Begin a transaction with the SQL statement ``begin``, and wait for the store's lock if necessary.

        Raises SQLite's error after ``busy_seconds``, or if a stopped process holds the lock.
        """
        with Wait("another command that writes the store", lambda: lock_holder.writer(self.path)) as wait:
            while True:
                try:
                    connection.execute(begin)
                    return
                except sqlite3.OperationalError as error:
                    if primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() - wait.began >= self.busy_seconds:
                        raise
                    if wait.is_in_vain():
                        raise
                wait.check()

    def _is_current(self, key: ConnectionKey) -> bool:
        """Return whether the file of a connection is still at the path of the store."""
        with suppress(FileNotFoundError):
            file = os.lstat(self.path)
            return (file.st_dev, file.st_ino) == (key.device, key.inode)
        return False

    def _open(self) -> tuple[ConnectionKey, sqlite3.Connection]:
        try:
            try:
                key = connection_key(self.path, self.busy_seconds)
            except FileNotFoundError:
                make_private_directory(self.path.parent)
                store_file.create(self.path)
                key = connection_key(self.path, self.busy_seconds)
            return key, take_idle(key) or self._connect()
        except OSError as error:  # caught only here: an OSError from the caller's `with` block must stay an OSError
            raise translate(self.path, error) from error

    def _connect(self) -> sqlite3.Connection:
        for suffix in store_file.SUFFIXES:
            with suppress(FileNotFoundError):
                require_own_file(f"{self.path}{suffix}", os.lstat(f"{self.path}{suffix}"))
        # check_same_thread is off, because no two threads use a connection at the same time (see `_idle`).
        timeout = min(self.busy_seconds, NOTICE_DELAY_SECONDS)
        connection = sqlite3.connect(self.path, timeout=timeout, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA synchronous = NORMAL")
        if sys.version_info >= (3, 12):  # older versions cannot disable the checkpoint when the last connection closes
            connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
        if not check_schema(connection):
            with store_file.locked(self.path):
                schema.migrate(connection)

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
                    timeout = min(self.busy_seconds, NOTICE_DELAY_SECONDS)
                    connection.execute(f"PRAGMA busy_timeout = {int(timeout * 1000)}")
                log = open_private(f"{self.path}-wal", os.O_RDWR)
                try:
                    os.posix_fallocate(log, 0, RESERVE)  # fills the empty log with zeros, which SQLite ignores
                finally:
                    os.close(log)

    def _make_room(self, connection: sqlite3.Connection) -> None:
        """Move the write-ahead log's contents into the store's file, if the disk is almost full.

        SQLite can then reuse the space of the log.
        """
        with suppress(OSError, sqlite3.Error):
            disk = os.statvfs(self.path)
            if disk.f_bfree * disk.f_frsize < LOG_SIZE:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _objection(self) -> Unavailable | None:
        """Return the error for the insertion of new objects if the disk is almost full; otherwise return None."""
        with suppress(OSError):
            disk = os.statvfs(self.path)
            if disk.f_bfree * disk.f_frsize < RESERVE:
                return disk_full(self.path)
        return None


BUSY_TIMEOUT_SECONDS = 0.2
"""Seconds that tab completion waits for a store that a writer has locked."""


@contextmanager
def open_readonly(path: Path) -> Iterator[Reader | None]:
    """Yield a snapshot of the store for a caller that must not change it, or None if the store cannot be read.

    The result is None if the store does not exist, if its schema has another version, or if this user must not read it.
    Nothing is created, upgraded or repaired. The wait for a lock is limited by `BUSY_TIMEOUT_SECONDS`.
    """
    try:
        connection_key(path, BUSY_TIMEOUT_SECONDS)  # raises for a file that must not be opened
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_SECONDS)
    except (OSError, EngineError, sqlite3.Error):
        yield None
        return
    with closing(connection):
        yield SqliteReader(connection) if _readable(connection) else None


def _readable(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("BEGIN")
        return version_of(connection) == schema.VERSION
    except sqlite3.Error:
        return False
