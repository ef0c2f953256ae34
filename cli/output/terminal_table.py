"""Fit a table into the width of a terminal, and colour its states.

Only a terminal with colour gets such a table; a pipe gets Docker's table (`cli.output.table`). A table that fits in
Docker's layout keeps this layout. Otherwise columns are cut. If the cut columns do not fit either, columns are omitted.
The functions here share three parameters:

- ``rows``: the cells of each line; the first row has the titles
- ``elided``: the titles of the columns that may be omitted, the first to omit first
- ``room``: the width of the terminal in columns
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import click

from cli.output.table import MINIMAL_WIDTH, PADDING
from cli.output.text import columns, ellipsis

Row = Sequence[str]
"""The cells of one line of a table."""

GAP = 2  # spaces between two columns, if the table with Docker's spacing is too wide for the terminal
LEAST, LEAST_NAME = 10, 24
"""The least width of a column that may be omitted, and the least width of every other column."""
LEAST_PORTS = 22  # least width of the PORTS column, which has room for "0.0.0.0:18080->80/tcp" and "…"
OMITTED = "…"  # stands in each line in place of omitted columns
PORTS = "PORTS"
STATE_TITLES = ("STATUS", "STATE")
COLOURS = tuple(
    (re.compile(pattern), colour)
    for pattern, colour in (
        (r".*\(unhealthy\)|Dead|Down|Exited \((?!0\))|Removal", "red"),
        (r"Up .*\((Paused|health: starting)\)|Restarting|Disconnected|Unknown", "yellow"),
        (r"Up|Ready", "green"),
        (r"Exited \(0\)", "bright_black"),
    )
)


def table_lines(rows: Sequence[Row], elided: Sequence[str], room: int) -> list[str]:
    """Return the lines of a table that is at most ``room`` columns wide; 0 means any width.

    Ids are never cut, and may make the table wider.
    """
    widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
    padded = [max(MINIMAL_WIDTH, width + PADDING) for width in widths[:-1]]
    if room <= 0 or sum(padded) + widths[-1] <= room:
        return _joined(rows, [*(width - PADDING for width in padded), widths[-1]], PADDING)
    kept = _kept(rows[0], widths, elided, room)
    rows = _published_first([_without(row, kept) for row in rows])
    return _joined(rows, _cut_widths(rows, elided, room), GAP)


def coloured(state: str, shown: str) -> str:
    """Return ``shown``, a state such as ``Up 2 hours`` or a part of it, in the colour of the whole state."""
    colour = next((colour for pattern, colour in COLOURS if pattern.match(state)), None)
    return click.style(shown, fg=colour) if colour else shown


def _least(title: str, width: int, elided: Sequence[str]) -> int:
    """Return the least width with which the column ``title`` is useful; ``width`` is the width of its widest cell.

    A column with ids is only useful with its full width.
    """
    if title.split()[-1:] == ["ID"]:
        return width
    if title == PORTS:
        return min(width, LEAST_PORTS)
    return min(width, LEAST if title in elided else LEAST_NAME)


def _kept(titles: Row, widths: Sequence[int], elided: Sequence[str], room: int) -> list[bool]:
    """Return for each column whether it is kept; ``widths`` has the width of each column's widest cell."""
    kept = [True] * len(titles)
    for title in (title for title in elided if title in titles):
        left = _without(titles, kept)
        least = sum(
            len(OMITTED) if name == OMITTED else _least(name, widths[titles.index(name)], elided) for name in left
        )
        if least + GAP * (len(left) - 1) <= room:
            break
        kept[titles.index(title)] = False
    return kept


def _without(row: Row, kept: Sequence[bool]) -> list[str]:
    """Return the cells of the kept columns, with one mark (`OMITTED`) in place of each group of omitted columns."""
    cells: list[str] = []
    for index, cell in enumerate(row):
        if kept[index]:
            cells.append(cell)
        elif index == 0 or kept[index - 1]:
            cells.append(OMITTED)
    return cells


def _published_first(rows: Sequence[Row]) -> Sequence[Row]:
    """Return the rows with the published ports first in the column PORTS, because the end of a cell may be cut."""
    if PORTS not in rows[0]:
        return rows
    index = rows[0].index(PORTS)
    return [[*row[:index], _ordered(row[index]), *row[index + 1 :]] for row in rows]


def _ordered(ports: str) -> str:
    return ", ".join(sorted(ports.split(", "), key=lambda port: "->" not in port))


def _cut_widths(rows: Sequence[Row], elided: Sequence[str], room: int) -> list[int]:
    """Return the width of each column, cut so that the table is at most ``room`` columns wide.

    The columns in ``elided`` are cut first, then the other columns, and columns with states last. Columns with ids are
    never cut, so a table with long ids may remain too wide.
    """
    widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
    least = [_least(title, width, elided) for title, width in zip(rows[0], widths, strict=True)]
    excess = sum(widths) + GAP * (len(widths) - 1) - room
    names = [index for index, title in enumerate(rows[0]) if title.split()[-1:] != ["ID"]]
    stateless = [index for index in names if rows[0][index] not in STATE_TITLES]
    flexible = [index for index in stateless if rows[0][index] in elided]
    for indexes, limits in ((flexible, least), (stateless, least), (names, least), (names, [1] * len(least))):
        while excess > 0 and (wide := [index for index in indexes if widths[index] > limits[index]]):
            widths[max(wide, key=widths.__getitem__)] -= 1
            excess -= 1
    return widths


def _joined(rows: Sequence[Row], widths: Sequence[int], gap: int) -> list[str]:
    """Return the rows as lines with columns of these widths and ``gap`` spaces between the columns.

    Titles become bold, and states are coloured. A cell that is wider than its column is cut.
    """
    states = {index for index, title in enumerate(rows[0]) if title in STATE_TITLES}
    last, lines = len(widths) - 1, []
    for number, row in enumerate(rows):
        line = ""
        for index, (cell, width) in enumerate(zip(row, widths, strict=True)):
            text = ellipsis(cell, width)
            blanks = "" if index == last else " " * (width - columns(text) + gap)
            line += (coloured(cell, text) if number and index in states else text) + blanks
        lines.append(line if number else click.style(line, bold=True))
    return lines
