"""Shorten and abbreviate what table cells show."""

from __future__ import annotations

from cli.output.text import columns

SHORT_ID = 12


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
