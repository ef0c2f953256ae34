"""Write the result tables, and the page that contains them, as Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence

from tabulate import tabulate

from tests.benchmark.results import Row, Table

NONE = "-"

INTRODUCTION = """\
# Benchmarks

`{command}` wrote this page on {machine}.

Each product runs on its own throwaway host (network namespaces on one machine), and the products take turns. Compare
**ratios**, not absolute times. A figure is the median, with the minimum in brackets. The ratio compares the medians.
*cold* is hawse without its warm server (`HAWSE_WARM=off`): each command starts a new Python. A dash means that the
product cannot do this, or not in this setup.
"""


def page(tables: Sequence[Table], pictures: Sequence[str], command: str) -> str:
    """Return the whole result page as Markdown. ``command`` is the command line that made it."""
    machine = (
        f"{os.cpu_count()} cores, Linux {platform.release().partition('-')[0]}, Python {platform.python_version()}"
    )
    images = [f"![{name.removesuffix('.svg').replace('-', ' ')}]({name})" for name in pictures]
    return "\n".join(
        [INTRODUCTION.format(machine=machine, command=command), *images, *(f"\n{markdown(t)}" for t in tables)]
    )


def markdown(table: Table) -> str:
    """Return one table as Markdown, under its title."""
    better = "more is better" if table.more_is_better else "less is better"
    targeted = any(row.target for row in table.rows)
    compared = " : ".join(table.ratio)
    head = [f"{table.unit}, {better}", *table.columns, compared, *(["target"] if targeted else [])]
    rows = [[row.what, *_figures(table, row), *([_target(row)] if targeted else [])] for row in table.rows]
    alignment = ["left", *["right"] * (len(head) - 1)]
    body = tabulate(rows, head, tablefmt="pipe", colalign=alignment, disable_numparse=True)
    return f"## {table.title}\n\n{body}\n"


def _figures(table: Table, row: Row) -> list[str]:
    ratio = table.ratio_of(row)
    return [*(_figure(row, column) for column in table.columns), f"**{ratio:.2f}**" if ratio is not None else NONE]


def _figure(row: Row, column: str) -> str:
    samples, middle = row.samples.get(column), row.median(column)
    if not samples or middle is None:
        return NONE
    return f"{number(middle)} ({number(min(samples))})" if len(samples) > 1 else number(middle)


def _target(row: Row) -> str:
    return "" if row.target is None else f"{row.target:g}"


def number(value: float) -> str:
    """Format a number: three significant digits below 100, a whole number from 100 on."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
