"""The column layout of Docker's tables: that of Go's text/tabwriter with a minimal width of 10 and 3 padding spaces.

A tab ends a cell. The text after the last tab of a line belongs to no column. A column consists of the cells at one
position in consecutive lines that all have a cell there. A line without tabs therefore separates two tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cli.output.text import columns as width_of

MINIMAL_WIDTH, PADDING = 10, 3
Measure = Callable[[str], int]
"""Returns the width of a text in terminal columns."""
Columns = Sequence[Sequence[str]]
"""The cells of a table, one sequence per column, the first line's cell first; all columns have the same length."""


def align(lines: Sequence[str], measure: Measure = width_of, minimum: int = MINIMAL_WIDTH) -> list[str]:
    """Replace the tabs in the lines by spaces, so that columns are aligned; ``minimum`` is the least column width."""
    tabs = {line.count("\t") for line in lines}
    if len(tabs) == 1 and all(map(str.isascii, lines)):
        number, cells = tabs.pop() + 1, "\t".join(lines).split("\t")
        return filled([cells[column::number] for column in range(number)], minimum)
    rows = [line.split("\t") for line in lines]
    widths = column_widths(rows, measure, minimum)
    return [
        "".join(padded(cell, width, measure) for cell, width in zip(row[:-1], row_widths, strict=True)) + row[-1]
        for row, row_widths in zip(rows, widths, strict=True)
    ]


def align_columns(columns: Columns, measure: Measure = width_of) -> list[str]:
    """Return the aligned lines of a table, as `align` does for lines with tabs; there must be at least one column."""
    text = "".join(map("".join, columns))
    if text.isascii() and "\t" not in text and "\n" not in text:
        return filled(columns)
    return align("\n".join(map("\t".join, zip(*columns, strict=True))).split("\n"), measure)


def filled(columns: Columns, minimum: int = MINIMAL_WIDTH) -> list[str]:
    """Return the aligned lines of a table in which every character takes one terminal column."""
    widths = [max(minimum, max(map(len, column)) + PADDING) for column in columns[:-1]]
    pattern = "".join(f"{{:{width}}}" for width in widths) + "{}"
    return list(map(pattern.format, *columns))


def padded(cell: str, width: int, measure: Measure) -> str:
    """Pad a cell with spaces to ``width`` terminal columns; a wider cell stays unchanged."""
    return cell + " " * (width - measure(cell))


def column_widths(rows: list[list[str]], measure: Measure, minimum: int) -> list[list[int]]:
    """Return, for each row, the widths of its columns in terminal columns, with the padding.

    The last cell of a row belongs to no column, so a row has one width fewer than cells. Rows may have different
    widths, because a column ends at the first row that has no cell in it.
    """
    widths: list[list[int]] = [[] for _ in rows]
    for column in range(max((len(row) for row in rows), default=1) - 1):
        start = 0
        while start < len(rows):
            end = start
            while end < len(rows) and len(rows[end]) - 1 > column:
                end += 1
            width = max([minimum, *(measure(row[column]) + PADDING for row in rows[start:end])])
            for row_widths in widths[start:end]:
                row_widths.append(width)
            start = end + 1
    return widths
