"""The store of one host: one SQLite file in WAL mode.

Knows files, locks and SQLite's errors; what the tables hold is in `engine.store.transaction`. A store may be shared by
threads, carried across a fork between blocks, and its directory may be removed at any time. Commits survive the death
of any process at once (the page cache holds them) and a power failure up to the last checkpoint, never with a damaged
file; kernel state does not survive that either.

A process keeps the connections that it has opened for its next block, because the process that opens a store first
reads the whole log, and the one that closes it last may write the log back. A kept connection is not used after a fork,
whose child would share locks that only the parent holds, nor after the path has become another file.
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
"""How long a command waits for other writers before it gives up."""
LOG_SIZE = 1 << 20
"""Bytes of log from which a writer moves it into the file: who opens the store next has to read it all."""
RESERVE = 1 << 17
"""Bytes of disk that the log keeps even when it is empty, so that a full disk keeps nobody from removing things."""
FILES = ("-wal", "-shm", "-journal")
"""The ends of the names of SQLite's other files."""
IDLE_LIMIT = 4
"""Connections kept; a command uses one, or two where a block is inside another."""

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
    """What makes two connections alike: the path, its file (device and inode), and how long they wait."""

    path: Path
    device: int
    inode: int
    busy_seconds: float


_idle: deque[tuple[PoolKey, sqlite3.Connection]] = deque()
"""A thread takes one out before it looks at it: no two threads ever have the same connection in hand."""


def pool_key(path: Path, busy_seconds: float) -> PoolKey:
    """The key of a store as it is now; raises OSError where it is not there, PermissionDenied where it is another's."""
    file = os.lstat(path)
    require_own_file(path, file)
    return PoolKey(path, file.st_dev, file.st_ino, busy_seconds)


def take_idle(wanted: PoolKey) -> sqlite3.Connection | None:
    """A connection kept under this key, no longer kept; None where there is none."""
    for _ in range(len(_idle)):
        with suppress(IndexError):  # other threads take some, too
            found, connection = _idle.popleft()
            if found == wanted:
                return connection
            _idle.append((found, connection))
    return None


def keep_idle(used: PoolKey, connection: sqlite3.Connection) -> None:
    """Keep a connection, with no transaction open, for the next block; the oldest gives way."""
    _idle.append((used, connection))
    _close_oldest(all_but=IDLE_LIMIT)


def close_idle() -> None:
    """Close what is kept."""
    _close_oldest(all_but=0)


def _close_oldest(*, all_but: int) -> None:
    with suppress(IndexError):
        while len(_idle) > all_but:
            _idle.popleft()[1].close()


os.register_at_fork(before=close_idle)


class SqliteStore:
    """Opens ``path`` (made at first use: 0600 in a 0700 directory).

    ``read`` and ``write`` raise `engine.errors.PermissionDenied` where the file may not be opened, and
    `engine.errors.Unavailable` where it is damaged, of a newer hawse, on a full or read-only disk, or locked by other
    commands for longer than ``busy_seconds``. With ``recall`` a reading decodes what has changed since the last one.
    """

    def __init__(self, path: Path, *, busy_seconds: float = BUSY_SECONDS, recall: DecodeCache | None = None) -> None:
        self.path, self.busy_seconds, self._recall = path, busy_seconds, recall

    @contextmanager
    def read(self) -> Iterator[Reader]:
        """Open a snapshot; never blocks on a writer."""
        with self._connection("BEGIN") as connection:
            yield SqliteReader(connection, self._recall.decode if self._recall else decode)
            connection.execute("COMMIT")
        if self._recall:
            self._recall.turn()

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Open a transaction; waits for other writers (bounded), commits at the end, rolls back on an exception."""
        with self._connection("BEGIN IMMEDIATE") as connection:
            yield SqliteTransaction(connection)
            connection.execute("COMMIT")
            self._shorten_log(connection)

    def stamp(self) -> object:
        """What differs once anything has been written since; costs two looks at files."""
        found = []
        for path in (self.path, f"{self.path}-wal"):
            with suppress(OSError):
                file = os.stat(path)
                found.append((file.st_ino, file.st_size, file.st_mtime_ns))
        return found

    @contextmanager
    def _connection(self, begin: str) -> Iterator[sqlite3.Connection]:
        """A connection with a transaction begun; the block ends it, or closing the connection takes it back."""
        try:
            key, connection = self._open()
            try:
                if begin != "BEGIN":
                    self._make_room(connection)
                connection.execute(begin)
                schema.check(connection)  # a newer hawse may have come; and the first read is what pins a snapshot
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
        except OSError as error:  # caught here and not around the block, whose body may have OSErrors of its own
            raise self._translate(error) from error

    def _connect(self) -> sqlite3.Connection:
        for suffix in FILES:
            with suppress(FileNotFoundError):
                require_own_file(f"{self.path}{suffix}", os.lstat(f"{self.path}{suffix}"))
        # Whichever thread has it uses it alone.
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
        if sys.version_info >= (3, 12):  # else every last one out moves the log into the file and waits for the disk
            connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
        if not schema.check(connection):
            self._initialize(connection)

    def _shorten_log(self, connection: sqlite3.Connection) -> None:
        """Move a long log into the file, unless others are at it; what fails here, a later writer does."""
        with suppress(OSError, sqlite3.Error):
            if os.stat(f"{self.path}-wal").st_size > LOG_SIZE:
                connection.execute("PRAGMA busy_timeout = 0")
                try:
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                finally:
                    connection.execute(f"PRAGMA busy_timeout = {int(self.busy_seconds * 1000)}")
                log = open_private(f"{self.path}-wal", os.O_RDWR)
                try:
                    os.posix_fallocate(log, 0, RESERVE)  # zeros are no log to SQLite
                finally:
                    os.close(log)

    def _make_room(self, connection: sqlite3.Connection) -> None:
        """Where the disk is as good as full, move the log into the file: its place is then written anew."""
        with suppress(OSError, sqlite3.Error):
            disk = os.statvfs(self.path)
            if disk.f_bfree * disk.f_frsize < LOG_SIZE:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _create_file(self) -> None:
        """Make an empty file with its final mode, which SQLite then gives to the files beside it too."""
        make_private_directory(self.path.parent)
        os.close(open_private(self.path, os.O_RDWR | os.O_CREAT))

    def _initialize(self, connection: sqlite3.Connection) -> None:
        """Create or upgrade the tables; one process at a time, since SQLite does not queue for a change of mode."""
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
        """Say what is wrong with the file in one line."""
        if isinstance(error, schema.NewerSchema):
            return Outdated(f"the store {self.path} was written by a newer version of hawse: {error}")
        if isinstance(error, CodecError):
            return Unavailable(f"the store {self.path} is damaged: {error}")
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extended part
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
"""Seconds to wait for a file that is being changed."""


@contextmanager
def open_readonly(path: Path) -> Iterator[Reader | None]:
    """Open a snapshot of the store, None where there is none that this user may read and this version knows.

    Leaves no trace: nothing is made, upgraded, repaired or waited for. It is for tab completion.
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
