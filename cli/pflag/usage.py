"""Lay out the flags in help texts: aligned columns, and lines wrapped as by Go's package pflag."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cli.pflag.flag import Flag

SLOP = 5  # characters by which the last line may exceed the width, so that no short word stands alone
NARROWEST = 24  # minimal width of a help text beside its flag, in characters; a narrower text gets its own lines


def offered(flags: Iterable[Flag]) -> list[Flag]:
    """Return the visible flags, and the hidden flags that a user should know, such as those that only hawse has.

    Other spellings of a visible flag, and ``--help``, are omitted.
    """
    flags = list(flags)
    visible = {f.key for f in flags if not f.hidden}
    return [f for f in flags if not f.hidden or not (f.key in visible or f.long == "--help")]


def flag_usages(flags: Iterable[Flag], columns: int, *, complete: bool = False) -> str:
    """Return the help lines of the visible flags, sorted by long name, for a terminal of ``columns`` columns.

    With ``complete``, also show the flags that only hawse has, and mark the flags that are ignored or refused.
    """
    chosen = offered(flags) if complete else (f for f in flags if not f.hidden)
    shown = sorted(chosen, key=lambda f: f.long)
    rows = [(*heading(f), f) for f in shown]
    edge = max((len(left) for left, _, _ in rows), default=0) + 1
    lines = []
    for left, text, flag in rows:
        default = f" (default {flag.default_text})" if flag.default_text else ""
        if complete and flag.effect:
            default += f" ({flag.effect} by hawse)"
        lines.append(f"{left:<{edge - 1}}   {wrap(edge + 2, columns, text + default)}")
    return "\n".join(lines).rstrip()


def heading(flag: Flag) -> tuple[str, str]:
    """Return a flag's left column (its names and the name of its value) and its help text.

    A word in back quotes in the help text is the name of the value.
    """
    short = f"  {flag.short}, " if flag.short and not flag.short_deprecated else " " * 6
    quoted = re.search("`([^`]*)`", flag.usage)
    name = quoted[1] if quoted else flag.kind.name
    return f"{short}{flag.long} {name}".rstrip(), flag.usage.replace("`", "") if quoted else flag.usage


def wrap(indent: int, width: int, text: str) -> str:
    """Return ``text`` with line breaks, so that it fits into ``width`` columns.

    The caller has already written the beginning of the first line, up to column ``indent``. The first condition that is
    true decides the place of the text:

    - At least `NARROWEST` columns remain after column ``indent``: all lines of the text start at this column.
    - At least `NARROWEST` columns remain after column 16: all lines of the text start at this column, below the first
      line.
    - Otherwise, the text starts at column ``indent``, and no line is broken at a space. After a newline in the text,
      the next line starts at column 16.
    """
    room, result = width - indent, ""
    if room < NARROWEST:
        indent = 16
        room = width - indent
        result = "\n" + " " * indent
    if room < NARROWEST:
        return text.replace("\n", result)
    margin = "\n" + " " * indent
    pieces = []
    while True:
        piece, text = cut(room - SLOP, text)
        pieces.append(piece.replace("\n", margin))
        if not text:
            return result + margin.join(pieces)


def cut(width: int, text: str) -> tuple[str, str]:
    """Return the first line of the text and the remaining text, which is "" if nothing remains.

    The line ends at the last space within the first ``width`` characters, or at a newline before that space. The whole
    text is returned if it has no such space, or if it exceeds ``width`` by less than `SLOP` characters.
    """
    if width + SLOP > len(text):
        return text, ""
    head = text[:width]
    blank = max(head.rfind(c) for c in " \t\n")
    if blank <= 0:
        return text, ""
    newline = head.rfind("\n")
    if 0 < newline < blank:
        blank = newline
    return text[:blank], text[blank + 1 :]
