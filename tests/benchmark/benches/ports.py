"""Bench: measure the time to start and to remove containers with many published ports."""

from __future__ import annotations

from pathlib import Path

from tests.benchmark.products import Docker, Hawse, Product, products
from tests.benchmark.results import Row, Settings, Table
from tests.benchmark.turns import turns

PORTS = 100


def run(settings: Settings, state: Path) -> list[Table]:
    """Measure the time to start and to remove a container with a hundred single ports."""
    started_row, removed = Row(f"run -d with {PORTS} ports", target=0.02), Row(f"rm -f with {PORTS} ports")
    flags = [flag for number in range(PORTS) for flag in ("-p", f"{20000 + 2 * number}:80")]
    with products(state, Hawse, Docker) as (_, started):
        for product in started:
            product.load_image()
            once(product, flags) if isinstance(product, Hawse) else None
        for _, order in turns(started, settings.pick(5, 1)):
            for product in order:
                for row, value in zip((started_row, removed), once(product, flags), strict=True):
                    row.add(product.name, value)
        columns = tuple(product.name for product in started)
    return [Table("ports", "Many published ports", "ms", columns, [started_row, removed])]


def once(product: Product, flags: list[str]) -> tuple[float, float]:
    """Start and remove one container with the given port flags. Return the milliseconds that each of the two commands
    takes.
    """
    run = product("run", "-d", "--name", "many", *flags, "bb", "sleep", "1d")
    removal = product("rm", "-f", "many")
    return run.seconds * 1000, removal.seconds * 1000
