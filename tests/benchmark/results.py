"""The input and the result of a bench: the settings of a run, and tables of measured values."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Settings:
    """The settings of a run: whether it is quick, and with how many existing networks commands are measured."""

    quick: bool
    networks: tuple[int, ...]

    def pick(self, full: int, quick: int) -> int:
        """Return ``quick`` if the run is a quick one, otherwise ``full``. Both are numbers of rounds, containers or
        seconds.
        """
        return quick if self.quick else full


@dataclass
class Row:
    """One row of a table: an operation, and the measured values of each column.

    A product that does not have the operation has no values.
    """

    what: str
    samples: dict[str, list[float]] = field(default_factory=dict)
    target: float | None = None

    def add(self, column: str, value: float) -> None:
        self.samples.setdefault(column, []).append(value)

    def median(self, column: str) -> float | None:
        values = self.samples.get(column)
        return median(values) if values else None


@dataclass
class Table:
    """A table of measured values in one unit.

    The table compares two columns, which ``ratio`` names: the first column is divided by the second.
    """

    name: str
    title: str
    unit: str
    columns: tuple[str, ...]
    rows: list[Row]
    ratio: tuple[str, str] = ("hawse", "docker")
    more_is_better: bool = False

    def ratio_of(self, row: Row) -> float | None:
        """Return the row's ratio of medians, or None if the row has no values in one of the columns of ``ratio``."""
        ours, theirs = map(row.median, self.ratio)
        return ours / theirs if ours is not None and theirs else None

    def row(self, what: str) -> Row | None:
        """Return the row for the operation ``what``, or None if the table has no such row."""
        return next((row for row in self.rows if row.what == what), None)
