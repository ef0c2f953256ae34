"""Count the terminal columns that a text takes, by the rules of Docker's tables."""

from __future__ import annotations

import unicodedata

WIDE = ("W", "F")
NO_WIDTH = ("Mn", "Me", "Cf")
JOINER = "\u200d"


def columns(text: str) -> int:
    """Return the width of a text in terminal columns.

    East Asian wide characters take two columns. Combining marks, format characters and a character after a joiner take
    no column.
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
    """Cut the text to at most ``width`` terminal columns; a text that was cut ends with "…" within this width."""
    if columns(text) <= width:
        return text
    kept = ""
    for char in text:
        if columns(kept + char) >= width:
            break
        kept += char
    return f"{kept}…"
