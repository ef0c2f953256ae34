"""The layout of flags in help: aligned columns and pflag's way of wrapping a line."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cli.pflag.flag import Flag

SLOP = 5  # a line may run over by this much, so that no short word is left alone on the last line
NARROWEST = 24  # a text column below this width moves to a line of its own


def flag_usages(flags: Iterable[Flag], columns: int) -> str:
    """Lay out the visible flags, sorted by long name, for a terminal of ``columns``."""
    shown = sorted((f for f in flags if not f.hidden), key=lambda f: f.long)
    rows = [(*heading(f), f) for f in shown]
    edge = max((len(left) for left, _, _ in rows), default=0) + 1
    lines = []
    for left, text, flag in rows:
        default = f" (default {flag.default_text})" if flag.default_text else ""
        lines.append(f"{left:<{edge - 1}}   {wrap(edge + 2, columns, text + default)}")
    return "\n".join(lines).rstrip()


def heading(flag: Flag) -> tuple[str, str]:
    """The left column of a flag, and its text; a back-quoted word in the text names the value."""
    short = f"  {flag.short}, " if flag.short and not flag.short_deprecated else " " * 6
    quoted = re.search("`([^`]*)`", flag.usage)
    name = quoted[1] if quoted else flag.kind.name
    return f"{short}{flag.long} {name}".rstrip(), flag.usage.replace("`", "") if quoted else flag.usage


def wrap(indent: int, width: int, text: str) -> str:
    """Wrap ``text`` behind an indent that the caller has already written."""
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
    """Cut off one line's worth of text at the last blank, or at a newline before it."""
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
