"""Input and output of a bench: settings, and tables of samples."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Settings:
    """How much a run measures."""

    quick: bool
    networks: tuple[int, ...]

    def pick(self, full: int, quick: int) -> int:
        """Return the quick or the full number of rounds, containers or seconds."""
        return quick if self.quick else full


@dataclass
class Row:
    """One row of a table: the operation, and each column's samples; a column that cannot do it has none."""

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
    """Samples of one unit; ``ratio`` names the two columns that are compared, hawse first."""

    name: str
    title: str
    unit: str
    columns: tuple[str, ...]
    rows: list[Row]
    ratio: tuple[str, str] = ("hawse", "docker")
    more_is_better: bool = False

    def ratio_of(self, row: Row) -> float | None:
        """Return the median of hawse divided by the other product's median."""
        ours, theirs = map(row.median, self.ratio)
        return ours / theirs if ours is not None and theirs else None

    def row(self, what: str) -> Row | None:
        """Return the row with this name, or None."""
        return next((row for row in self.rows if row.what == what), None)
