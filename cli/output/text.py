"""How many terminal columns a text takes, by the rules that Docker's tables go by."""

from __future__ import annotations

import unicodedata

WIDE = ("W", "F")
NO_WIDTH = ("Mn", "Me", "Cf")
JOINER = "\u200d"


def columns(text: str) -> int:
    """Count the columns: East Asian wide letters take two, marks none, and what a joiner glues on none either."""
    if text.isascii():
        return len(text)
    return sum(
        0 if before == JOINER or unicodedata.category(char) in NO_WIDTH
        else 2 if unicodedata.east_asian_width(char) in WIDE
        else 1
        for before, char in zip(" " + text, text, strict=False)
    )  # fmt: skip


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
