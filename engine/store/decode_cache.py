"""Records read before: a document that was there at the last reading is not decoded again.

For who reads all records again and again, such as the resident agent: of a thousand, one or two have changed.
"""

from __future__ import annotations

from typing import Any, TypeVar

from engine.store.codec import decode

T = TypeVar("T")


class DecodeCache:
    """Decodes for a store; holds the documents of two readings, so its size is that of the store."""

    def __init__(self) -> None:
        self._last: dict[tuple[Any, str], Any] = {}
        self._now: dict[tuple[Any, str], Any] = {}

    def decode(self, kind: type[T], document: str) -> T:
        """Give the record that was made of this document before, else a new one; raises `CodecError`."""
        key = (kind, document)
        record = self._now.get(key) or self._last.get(key) or decode(kind, document)
        self._now[key] = record
        found: T = record
        return found

    def turn(self) -> None:
        """End a reading: what it has not come across is forgotten."""
        self._last, self._now = self._now, {}
