"""Read all records of a table repeatedly, and parse only the documents that have changed since the last reading.

The class is for a process that follows the store, such as the agent. Few records change between two readings.
"""

from __future__ import annotations

import sqlite3
from typing import Any, TypeVar

from engine.store import codec

T = TypeVar("T")

KEYS = "SELECT group_concat(seq || ':' || ifnull(revision, '')) FROM (SELECT seq, revision FROM {table} ORDER BY seq)"
"""The query for the keys of all records of a table, as one text.

A key has the record's number, and its revision: a random number that each write of the record changes. One text is
faster than a row for each record: with 1,000 records, the keys take 0.4 ms, the documents 2 ms and their comparison
with the last documents 2 ms.
"""


class RecordCache:
    """The records of each table, as they were at the last reading.

    An unchanged record is the same object in the next reading.
    """

    def __init__(self) -> None:
        self._tables: dict[str, dict[str, Any]] = {}

    def records(self, connection: sqlite3.Connection, kind: type[T], table: str) -> list[T]:
        """Return all records of a table in the order of their creation; raises `engine.store.codec.CodecError`.

        ``kind`` is the class of the table's records. Only the documents that have changed since the last call are read.
        """
        last = self._tables.get(table)
        if last is None:
            last = self._tables[table] = {}
        (text,) = connection.execute(KEYS.format(table=table)).fetchone()
        keys: list[str] = text.split(",") if text else []
        for key in set(keys).difference(last):
            query = f"SELECT body FROM {table} WHERE seq = ?"
            last[key] = codec.decode(kind, *connection.execute(query, (key.partition(":")[0],)).fetchone())
        self._tables[table] = {key: last[key] for key in keys}
        return list(self._tables[table].values())
