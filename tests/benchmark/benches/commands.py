"""Bench: measure how long commands take while the number of existing networks grows.

The target time of each command is a fraction of the time that Docker takes. The last table compares hawse's times with
many and with few networks.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmark.products import Docker, Hawse, Podman, Product, products
from tests.benchmark.results import Row, Settings, Table
from tests.benchmark.turns import turns

COLUMNS = ("hawse", "cold", "docker", "podman")
CROWDED = 1000
PAUSE_SECONDS = 0.2
"""Seconds between two rounds. The order of the contenders changes there, so that one contender would otherwise run two
commands without the commands of the others in between.
"""


@dataclass(frozen=True)
class Operation:
    """A command line to measure.

    In the command line, ``{n}`` stands for the name prefix of the measured product. ``{p}`` stands for a host port that
    only this product uses.
    """

    what: str
    words: str
    target: float | None = None
    crowded: float | None = None  # target time with 1,000 or more networks, as a fraction of Docker's time


OPERATIONS = (
    Operation("network ls", "network ls", 0.9, 0.3),
    Operation("network inspect", "network inspect {n}-base", 0.9),
    Operation("network create", "network create {n}-new", 0.3, 0.05),
    Operation("network connect", "network connect {n}-new {n}-resident", 0.6),
    Operation("network disconnect", "network disconnect {n}-new {n}-resident", 0.5),
    Operation("network rm", "network rm {n}-new", 0.3, 0.05),
    Operation("run -d", "run -d --name {n}-run --network {n}-base bb sleep 1d", 0.25),
    Operation("rm -f", "rm -f {n}-run", 0.25),
    Operation("run -d -p", "run -d --name {n}-run --network {n}-base -p {p}:80 bb sleep 1d", 0.25),
    Operation("port", "port {n}-run", 0.9),
    Operation("rm -f (1 port)", "rm -f {n}-run", 0.25),
)


@dataclass
class Contender:
    """A table column: a product with one configuration. Two columns may use the same product with different
    configurations.
    """

    column: str
    product: Product
    port: int
    env: dict[str, str] = field(default_factory=dict)
    unable: set[str] = field(default_factory=set)

    def words(self, operation: Operation) -> list[str]:
        return operation.words.format(n=self.column, p=self.port).split()

    def time(self, operation: Operation) -> float | None:
        """Run the operation once and return its time in milliseconds, or None if the product cannot run it on this
        host.
        """
        if operation.what in self.unable:
            return None
        outcome = self.product(*self.words(operation), **self.env)
        if outcome.code:
            self.unable.update(
                o.what for o in OPERATIONS if o is operation or ("-run" in o.words and "-run" in operation.words)
            )
            return None
        return outcome.seconds * 1000


def run(settings: Settings, state: Path) -> list[Table]:
    """Measure every operation with each number of networks that ``settings`` lists."""
    with products(state, Hawse, Docker, Podman) as (_, started):
        contenders = prepare(started)
        tables, existing = [], 0
        for level in settings.networks:
            for product in started:
                grow(product, existing, level)
            existing = level
            tables.append(measure(contenders, level, rounds(settings, level)))
    return [*tables, *against_itself(tables)]


def rounds(settings: Settings, level: int) -> int:
    """Return the number of measuring rounds. The number is smaller with many networks, because Docker is slow with many
    networks.
    """
    return settings.pick(7 if level >= CROWDED else 30, 3)


def prepare(started: Sequence[Product]) -> list[Contender]:
    """Create a network and a running container on the network for each table column, and return the columns."""
    contenders = []
    for number, product in enumerate(started):
        contenders.append(Contender(product.name, product, 8080 + number))
        if isinstance(product, Hawse):
            contenders.append(Contender("cold", product, 9080, {"HAWSE_WARM": "off"}))
        if not isinstance(product, Podman):
            product.load_image()
    for contender in contenders:
        contender.product("network", "create", f"{contender.column}-base")
        if not isinstance(contender.product, Podman):
            contender.product.run_sleeper(f"{contender.column}-resident", "--network", f"{contender.column}-base")
    return contenders


def grow(product: Product, existing: int, total: int) -> None:
    """Create networks for a product until ``total`` of them exist; ``existing`` of them exist already."""
    for number in range(existing, total):
        product("network", "create", f"n{number}")
    if total > existing:
        print(f"{product.name}: {total} networks", file=sys.stderr, flush=True)


def measure(contenders: Sequence[Contender], level: int, number: int) -> Table:
    """Return a table with the times of every operation at this number of networks."""
    rows = [Row(o.what, target=o.crowded or o.target if level >= CROWDED else o.target) for o in OPERATIONS]
    fill(rows, OPERATIONS, contenders, number)
    columns = tuple(c for c in COLUMNS if any(c in row.samples for row in rows))
    return Table(f"commands-{level}", f"Commands at {level:,} existing networks", "ms", columns, rows)


def fill(rows: Sequence[Row], operations: Sequence[Operation], contenders: Sequence[Contender], number: int) -> None:
    """Add the times of each operation to its row; the contenders take turns in each of ``number`` rounds."""
    for contender in contenders:
        for operation in operations:
            contender.time(operation)  # this run warms the product up and is not measured
    for _, order in turns(contenders, number):
        time.sleep(PAUSE_SECONDS)
        for row, operation in zip(rows, operations, strict=True):
            for contender in order:
                value = contender.time(operation)
                if value is not None:
                    row.add(contender.column, value)


def against_itself(tables: Sequence[Table]) -> list[Table]:
    """Return tables that compare two results of hawse: one with the largest number of networks, and one with the
    smallest measured number that is at least ten.
    """
    grown = [table for table in tables if table.name not in ("commands-0", "commands-1")]
    if len(grown) < 2:
        return []
    few, many = (f"{t.name.partition('-')[2]} networks" for t in (grown[0], grown[-1]))
    rows = []
    for before, after in zip(grown[0].rows, grown[-1].rows, strict=True):
        target = 1.3 if before.what in ("network create", "network rm", "network ls") else None
        rows.append(Row(before.what, {few: before.samples["hawse"], many: after.samples["hawse"]}, target))
    return [Table("growth", "hawse against itself", "ms", (few, many), rows, ratio=(many, few))]
