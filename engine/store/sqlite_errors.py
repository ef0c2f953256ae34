"""Translate the errors of SQLite and of a store's file into errors of the engine, which the user gets."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.errors import Damaged, EngineError, Outdated, PermissionDenied, Unavailable, reason_of
from engine.store import lock_holder, store_file
from engine.store.codec import CodecError

DOWNGRADE = "use that version, or run: hawse system check --repair"

_REASONS = {
    sqlite3.SQLITE_FULL: "cannot be written: the disk is full",
    sqlite3.SQLITE_READONLY: "is read-only (findmnt -T and lsattr show why)",
    sqlite3.SQLITE_IOERR: "cannot be read or written: input/output error",
    sqlite3.SQLITE_NOMEM: "cannot be used: out of memory",
}
NO_SPACE = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
"""The error codes that a full or read-only disk may cause."""
_DAMAGES = {
    0: "",  # no error code of SQLite: Python cannot convert a column's value
    sqlite3.SQLITE_ERROR: "",  # a table is missing
    sqlite3.SQLITE_CORRUPT: "",
    sqlite3.SQLITE_NOTADB: "not a database",
}
"""The error codes of a damaged file. An empty text means that SQLite's own text describes the damage."""


class NewerSchema(Exception):
    """The store was written by a newer version of hawse than this one."""


class NoSchema(Exception):
    """The store's file has no tables. hawse never leaves such a file, so the file is damaged."""


def translate(path: Path, error: Exception) -> EngineError:
    """Return the engine error for an error from opening or using the store's file; the message has one line."""
    if isinstance(error, NewerSchema):
        return Outdated(f"the store {path} was written by a newer version of hawse: {error} ({DOWNGRADE})")
    if isinstance(error, (CodecError, NoSchema)):
        return Damaged(f"the store {path} is damaged: {error}")
    if isinstance(error, PermissionError):
        return _not_allowed(path)
    if isinstance(error, OSError):
        return Unavailable(f"the store {path} cannot be opened: {reason_of(error)}")
    return _translate_code(path, error, primary_code(error))


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Translate the errors of SQLite in the ``with`` block; ``path`` is the path of the store's file."""
    try:
        yield
    except sqlite3.Error as error:
        raise translate(path, error) from error


def _translate_code(path: Path, error: Exception, code: int) -> EngineError:
    """Return the engine error for an error of SQLite; ``code`` is its primary error code."""
    if code in (sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return _not_allowed(path)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        holder = lock_holder.described(lock_holder.writer(path))
        return Unavailable(f"the store {path} is locked by another command{holder}")
    if code == sqlite3.SQLITE_CANTOPEN and _is_read_only(path):
        return Unavailable(f"the store {path} {_REASONS[sqlite3.SQLITE_READONLY]}")
    if code == sqlite3.SQLITE_CANTOPEN and (blocking := store_file.blocked_log(path)):
        return Damaged(f"the store {path} is damaged: {blocking} is no file")
    if code == sqlite3.SQLITE_CANTOPEN and not os.access(path, os.R_OK | os.W_OK):
        return _not_allowed(path)
    if code in NO_SPACE and is_full(path):
        return disk_full(path)
    if code in _DAMAGES:
        return Damaged(f"the store {path} is damaged: {_DAMAGES[code] or error}")
    return Unavailable(f"the store {path} {_REASONS.get(code, f'cannot be used: {error}')}")


def _not_allowed(path: Path) -> PermissionDenied:
    return PermissionDenied(f"permission denied while opening the store {path}: are you root?")


def disk_full(path: Path) -> Unavailable:
    """Return the error for a store on a full disk."""
    return Unavailable(f"the store {path} {_REASONS[sqlite3.SQLITE_FULL]}")


def primary_code(error: Exception) -> int:
    """Return SQLite's primary error code for an error, or 0 if the error did not come from SQLite."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _is_read_only(path: Path) -> bool:
    with suppress(OSError):
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    return False


def is_full(path: Path) -> bool:
    """Return whether the disk of a file or directory is full; False if nothing is at the path."""
    with suppress(OSError):
        return os.statvfs(path).f_bavail == 0
    return False
