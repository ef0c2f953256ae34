"""Choose the result tables that are drawn as pictures, and draw them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tests.benchmark.chart import Group, bar_chart
from tests.benchmark.report import number
from tests.benchmark.results import Row, Table

CONTENDERS = ("hawse", "docker", "podman", "aardvark-dns", "plain veth")


def draw(tables: Sequence[Table]) -> dict[str, str]:
    """Draw the pictures for which these tables have the data; return each picture's file name and SVG text."""
    pictures: dict[str, str] = {}
    for table in tables:
        picture = PICTURES.get(table.name)
        if picture is not None:
            pictures[f"benchmark-{table.name}.svg"] = picture(table)
    growing = {t.name.partition("-")[2]: t for t in tables if t.name.startswith("commands-")}
    if len(growing) > 1:
        pictures["benchmark-growth.svg"] = _growth(growing)
    return pictures


def _commands(table: Table) -> str:
    title = "Time of a command (each against the slowest of its row)"
    return bar_chart(title, list(_groups(table)), common_scale=False)


def _plain(table: Table) -> str:
    return bar_chart(table.title, list(_groups(table)))


def _groups(table: Table) -> Iterable[Group]:
    for row in table.rows:
        bars = _bars(table, row)
        if bars:
            yield Group(row.what, bars)


def _bars(table: Table, row: Row) -> list[tuple[str, float, str]]:
    shown = [(column, row.median(column)) for column in CONTENDERS]
    return [(column, value, f"{number(value)} {table.unit}") for column, value in shown if value is not None]


def _growth(tables: dict[str, Table]) -> str:
    groups = []
    for what in ("network create", "network rm", "network ls"):
        for level, table in tables.items():
            row = table.row(what)
            bars = [bar for bar in _bars(table, row) if bar[0] in ("hawse", "docker")] if row else []
            if bars:
                groups.append(Group(f"{what}, {level}", bars))
    return bar_chart("Time of a command at so many existing networks", groups)


PICTURES: dict[str, Callable[[Table], str]] = {
    "commands-0": _commands,
    "ports": _commands,
    "dns": _plain,
    "overlay": _plain,
    "memory": _plain,
}
