"""Print the tables and trees of the commands that only hawse has, with the library rich.

The output has colours and wrapped lines on a terminal, and neither in a pipe. Names and other data may contain control
characters, so this module escapes the data before it calls rich.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from cli.app import App
from cli.output.terminal_escapes import escaped_line

UNLIMITED = 100_000  # width for a pipe, so that each row is one line
NARROWEST, UNKNOWN = 60, 80  # columns of a terminal: the least width, and the width if the terminal reports none


class Cell(NamedTuple):
    """A cell of a table; ``style`` is the style of rich for ``text``, such as "bold red".

    ``below`` contains further lines of the cell, which are printed under ``text`` and have no style.
    """

    text: str
    style: str = ""
    below: Sequence[str] = ()


def text(data: str, style: str = "") -> Text:
    """Return ``data``, such as a name, as a text of rich; control characters are escaped, and markup has no effect.

    ``style`` is a style of rich, such as "bold red".
    """
    return Text(escaped_line(data), style=style)


def show(app: App, renderable: RenderableType) -> None:
    """Print a renderable object of rich to stdout; it is coloured and wrapped only on a terminal."""
    console = Console(
        file=io.StringIO(),
        force_terminal=app.color,
        color_system="standard" if app.color else None,
        width=_width(app),
        highlight=False,
        emoji=False,
        markup=False,
    )
    with console.capture() as capture:
        console.print(renderable, soft_wrap=False)
    lines = (line.rstrip() for line in capture.get().splitlines())
    app.write(app.stdout, "".join(f"{line}\n" for line in lines).encode())


def _width(app: App) -> int:
    """Return the width of the output in columns.

    - A terminal: the terminal's width, but at least `NARROWEST`; `UNKNOWN` if the terminal reports no width.
    - A pipe: `UNLIMITED`.
    """
    return max(NARROWEST, app.columns or UNKNOWN) if app.on_terminal else UNLIMITED


def print_table(app: App, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Print rows under a header; all columns except the last are as wide as their widest cell.

    On a terminal, each of these columns has at most a third of the width, because the last column needs room too.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for index, title in enumerate(header[:-1]):
        widest = max(cell_len(cell) for cell in (title, *(escaped_line(row[index].text) for row in rows)))
        table.add_column(title, width=min(widest, _width(app) // 3), overflow="fold")
    table.add_column(header[-1], overflow="fold")
    for row in rows:
        table.add_row(*(Text("\n").join([text(c.text, c.style), *map(text, c.below)]) for c in row))
    show(app, table)
