"""The number of terminal columns that a text takes, by the rules of Docker's tables."""

from __future__ import annotations

import unicodedata

WIDE = ("W", "F")
NO_WIDTH = ("Mn", "Me", "Cf")
JOINER = "\u200d"


def columns(text: str) -> int:
    """Return the width in terminal columns.

    East Asian wide characters take two columns. Combining marks, format characters and a character after a joiner take
    none.
    """
    if text.isascii():
        return len(text)
    return sum(
        0 if before == JOINER or unicodedata.category(char) in NO_WIDTH
        else 2 if unicodedata.east_asian_width(char) in WIDE
        else 1
        for before, char in zip(" " + text, text, strict=False)
    )  # fmt: skip


def ellipsis(text: str, width: int) -> str:
    """Return the text cut to a number of terminal columns; if it was cut, it ends with "…" within this width."""
    if columns(text) <= width:
        return text
    kept = ""
    for char in text:
        if columns(kept + char) >= width:
            break
        kept += char
    return f"{kept}…"
