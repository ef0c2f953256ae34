"""Read the readable records of a damaged store. The functions work on a private copy and never write to the store.

Each table is read row by row. If a page of a table is damaged, the rows of this page are missing, and all other rows
are returned. If the first page of the file is lost, it is taken from the write-ahead log, or from an empty store with
the same tables. If the file is empty or missing, the log's changes are applied to an empty store.
"""

from __future__ import annotations

import shutil
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from msgspec import Struct, field

from engine.model import ContainerRecord, EndpointRecord, ImageRecord, NetworkRecord
from engine.store import schema, store_file
from engine.store.api import DRIVER_STATE, DRIVER_STATE_KEY, Intent
from engine.store.codec import CodecError, decode
from engine.store.sqlite import version_of

KINDS: dict[str, type] = {
    "networks": NetworkRecord,
    "containers": ContainerRecord,
    "endpoints": EndpointRecord,
    "images": ImageRecord,
}
"""The record class of each table that holds records. A repair computes the other tables from these records."""
TABLES = (*KINDS, "meta", "intents")
HEADER = struct.Struct(">16sHBBBBBBIIII")
"""The first 40 bytes of a store's file: magic, page size, versions and fractions, change counter, number of pages,
first free page, number of free pages.
"""
DAMAGES_LIMIT = 5  # maximum number of damaged pages and rows that the problems name
MAGIC = b"SQLite format 3\0"
PAGE = 4096  # bytes; the page size of every store
# WAL_HEADER is the header of a write-ahead log: 32 bytes, and the third number is the page size. FRAME_HEADER is the
# header of each frame (one page) in the log: 24 bytes, and the first number is the page number.
WAL_HEADER, FRAME_HEADER = struct.Struct(">IIII16x"), struct.Struct(">II16x")


class Salvaged(Struct):
    """The readable contents of a store's file.

    - ``records``: for each table, its records by id, in order of creation
    - ``meta``: the small values that are stored outside the records
    - ``intents``: the records of unfinished work
    - ``broken``: the names of the tables that have lost rows, if the ids of these rows are unknown
    - ``lost``: for each table, the ids of its unreadable records
    - ``problems``: one line for each damage
    - ``sequences``: for each table, the highest row number that it has had; the numbers only grow
    - ``backup``: the contents of the store's backup, or None if the backup has not been read
    """

    records: dict[str, dict[str, Any]] = field(default_factory=lambda: {table: {} for table in KINDS})
    meta: dict[str, str] = field(default_factory=dict)
    intents: list[Intent] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    lost: dict[str, set[str]] = field(default_factory=lambda: {table: set() for table in KINDS})
    problems: list[str] = field(default_factory=list)
    sequences: dict[str, int] = field(default_factory=dict)
    backup: Salvaged | None = None

    def is_older_than(self, other: Salvaged) -> bool:
        """Return whether ``other``, such as the backup, has newer rows, which this store has lost.

        This is the case if ``other`` has a higher number in ``sequences`` for any table.
        """
        return any(number > self.sequences.get(table, 0) for table, number in other.sequences.items())


def read_store(store: Path, scratch: Path, opened: ExitStack) -> Salvaged:
    """Return the readable records of the store at ``store``; the file may be missing.

    ``scratch`` is an empty directory for copies of the store. The store's files are opened and added to ``opened``,
    which the caller closes. Until then they stay open, because a process that closes a file loses its locks on the
    file.
    """
    copy = _copied(store, scratch, opened)
    salvaged = read_file(copy)
    if not salvaged.broken or any(salvaged.records.values()):
        return salvaged
    _copied(store, scratch, opened)  # copy again, because SQLite may have changed the first copy
    if not _mend_first_page(copy, scratch):
        return salvaged
    mended = read_file(copy)
    mended.problems = salvaged.problems
    mended.broken = set(TABLES)  # each table may have lost rows, and their ids are unknown
    return mended


def _copied(store: Path, scratch: Path, opened: ExitStack) -> Path:
    """Copy the store and its log into the directory ``scratch``; return the path of the copy.

    The files of the store stay open until the caller closes ``opened``.
    """
    copy = scratch / "copy.db"
    store_file.remove_with_logs(copy)
    for suffix in ("", "-wal"):
        if Path(f"{store}{suffix}").is_file():
            source = opened.enter_context(open(f"{store}{suffix}", "rb"))  # noqa: SIM115 (`opened` closes it)
            with open(f"{copy}{suffix}", "wb") as target:
                shutil.copyfileobj(source, target)
    return copy


def read_file(path: Path) -> Salvaged:
    """Return the readable records of a store's file in one snapshot, even while other processes use the file."""
    salvaged = Salvaged()
    if not path.is_file():
        return _unreadable(salvaged, "it is no file" if path.exists() else "the file is missing")
    if not path.stat().st_size:
        return _unreadable(salvaged, "the file is empty")  # not opened, because SQLite would delete the file's log
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)) as connection:
        connection.text_factory = bytes  # a text that is not valid UTF-8 must not end the reading
        try:
            connection.execute("BEGIN")
            version = version_of(connection)
        except sqlite3.DatabaseError as error:
            return _unreadable(salvaged, str(error))
        if version == 0:
            return _unreadable(salvaged, "the file has no tables")
        if version > schema.VERSION:
            salvaged.problems.append(f"its schema is {version}, this version of hawse knows {schema.VERSION}")
        _check_pages(connection, salvaged)
        _read_tables(connection, salvaged)
    return salvaged


def _read_tables(connection: sqlite3.Connection, salvaged: Salvaged) -> None:
    with suppress(sqlite3.DatabaseError):
        numbers = connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall()
        salvaged.sequences = {_text(name): int(number) for name, number in numbers}
    for table, kind in KINDS.items():
        for body, name in _rows(connection, table, "body, id", salvaged):
            _keep(salvaged, table, kind, body, name)
    salvaged.meta = {_text(k): _text(v) for k, v in _rows(connection, "meta", "key, value", salvaged)}
    try:
        decode(DRIVER_STATE, salvaged.meta.get(DRIVER_STATE_KEY, "{}"))
    except CodecError as error:
        del salvaged.meta[DRIVER_STATE_KEY]
        salvaged.problems.append(f"the value {DRIVER_STATE_KEY} in meta cannot be read: {error}")
    rows = _rows(connection, "intents", "kind, object_id, owner", salvaged)
    salvaged.intents = [Intent(_text(kind), _text(name), _text(owner)) for kind, name, owner in rows]


def _unreadable(salvaged: Salvaged, problem: str) -> Salvaged:
    salvaged.problems.append(problem)
    salvaged.broken = set(TABLES)
    return salvaged


def _check_pages(connection: sqlite3.Connection, salvaged: Salvaged) -> None:
    """Check the file with SQLite's integrity check; add at most `DAMAGES_LIMIT` faults to ``salvaged.problems``.

    A damaged index is a fault too, but it loses no record.
    """
    try:
        reports = [_text(line) for (line,) in connection.execute("PRAGMA integrity_check")]
    except sqlite3.DatabaseError as error:
        reports = [str(error)]
    lines = [line for text in reports for line in text.splitlines() if line != "ok" and not line.startswith("***")]
    salvaged.problems += lines[:DAMAGES_LIMIT]


def _keep(salvaged: Salvaged, table: str, kind: type, body: object, name: object) -> None:
    try:
        record: Any = decode(kind, _text(body))
        salvaged.records[table][record.id] = record
    except (CodecError, ValueError, TypeError, RecursionError) as error:
        salvaged.lost[table].add(_text(name))
        salvaged.problems.append(f"the record {_text(name)[:12]!a} in {table} cannot be read: {error}")


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _rows(connection: sqlite3.Connection, table: str, columns: str, salvaged: Salvaged) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a table; for a damaged table, only the rows that can be read.

    ``columns`` is a list of columns as in SQL, such as "id, body". Damage is added to ``salvaged``. After a damaged
    page, the rows are read one by one by their numbers. The table ``meta`` has no row numbers, so its rows after the
    damaged page are lost.
    """
    key = "key" if table == "meta" else "seq"
    last = 0
    try:
        for number, *row in connection.execute(f"SELECT {key}, {columns} FROM {table} ORDER BY {key}"):
            last = number
            yield tuple(row)
        return
    except sqlite3.DatabaseError as error:
        salvaged.broken.add(table)
        salvaged.problems.append(f"the table {table} cannot be read whole: {error}")
    if table == "meta":
        return
    for number in range(last + 1, salvaged.sequences.get(table, 0) + 1):
        with suppress(sqlite3.DatabaseError):
            yield from connection.execute(f"SELECT {columns} FROM {table} WHERE seq = ?", (number,))


def _mend_first_page(copy: Path, scratch: Path) -> bool:
    """Replace the first page of ``copy``, a copy of a damaged store; return whether the copy has a first page now.

    The page comes from the write-ahead log. If the log has no such page, the page comes from an empty store. The first
    page states where each table begins. Therefore the page of an empty store fits only if the damaged store was created
    with the current schema.
    """
    data = bytearray(copy.read_bytes() if copy.exists() else b"")
    page = _first_page_of_log(Path(f"{copy}-wal"))
    if page is None and len(data) <= PAGE and not store_file.has_log(copy):
        return False
    empty = scratch / "empty.db"
    store_file.write_new(empty)
    if len(data) <= PAGE:  # begin with an empty store, because the log has all changes since the creation
        data = bytearray(empty.read_bytes())
    if page is None:
        page = empty.read_bytes()[:PAGE]
        fields = list(HEADER.unpack_from(page))
        fields[-3], fields[-2], fields[-1] = len(data) // PAGE, 0, 0
        page = HEADER.pack(*fields) + page[HEADER.size :]
        # Copy the change counter (offset 24) to offset 92. SQLite uses the page count only if both fields are equal.
        page = page[:92] + page[24:28] + page[96:]
    data[:PAGE] = page
    copy.write_bytes(data)
    return True


def _first_page_of_log(log: Path) -> bytes | None:
    """Return the last version of page 1 in a write-ahead log, or None if the log has no such page."""
    data = log.read_bytes() if log.exists() else b""
    if len(data) < WAL_HEADER.size or not store_file.has_log(Path(str(log).removesuffix("-wal"))):
        return None
    size = WAL_HEADER.unpack_from(data)[2]
    if size != PAGE:
        return None
    page = None
    for start in range(WAL_HEADER.size, len(data) - FRAME_HEADER.size - size + 1, FRAME_HEADER.size + size):
        number, _ = FRAME_HEADER.unpack_from(data, start)
        body = data[start + FRAME_HEADER.size : start + FRAME_HEADER.size + size]
        if number == 1 and body.startswith(MAGIC):
            page = body
    return page
