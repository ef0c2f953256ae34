"""Shorten and abbreviate what table cells show."""

from __future__ import annotations

import unicodedata

SHORT_ID = 12
WIDE = ("W", "F")


def short_id(identifier: str) -> str:
    """The first twelve digits of an id, without the name of its hash."""
    return identifier.rpartition(":")[2][:SHORT_ID]


def ellipsis(text: str, width: int) -> str:
    """Cut a text to a number of terminal columns, the last of which is then "…"."""
    if columns(text) <= width:
        return text
    kept = ""
    for char in text:
        if columns(kept + char) >= width:
            break
        kept += char
    return f"{kept}…"


def columns(text: str) -> int:
    """The number of terminal columns that a text takes."""
    return sum(2 if unicodedata.east_asian_width(char) in WIDE else 1 for char in text)
