"""The column layout of Docker's tables: Go's text/tabwriter with minimal width 10, padding 3 and blanks.

A cell ends with a tab; the last cell of a line belongs to no column. A column is a run of consecutive lines that all
have it, so a line without tabs separates two tables.
"""

from __future__ import annotations

from collections.abc import Iterable

from cli.columns import columns

MINIMAL_WIDTH, PADDING = 10, 3


def align(lines: Iterable[str]) -> list[str]:
    """Replace the tabs of the lines by blanks so that columns line up."""
    rows = [line.split("\t") for line in lines]
    widths = column_widths(rows)
    return [
        "".join(padded(cell, width) for cell, width in zip(row[:-1], found, strict=True)) + row[-1]
        for row, found in zip(rows, widths, strict=True)
    ]


def padded(cell: str, width: int) -> str:
    """Fill a cell up to its column's width."""
    return cell + " " * (width - columns(cell))


def column_widths(rows: list[list[str]]) -> list[list[int]]:
    """Find for every row the widths of its columns."""
    widths: list[list[int]] = [[] for _ in rows]
    for column in range(max((len(row) for row in rows), default=1) - 1):
        start = 0
        while start < len(rows):
            end = start
            while end < len(rows) and len(rows[end]) - 1 > column:
                end += 1
            width = max([MINIMAL_WIDTH, *(columns(row[column]) + PADDING for row in rows[start:end])])
            for found in widths[start:end]:
                found.append(width)
            start = end + 1
    return widths
