"""Bench: docker's own command line uses hawse's service of the Docker API, and then a real dockerd.

The times are those of whole commands. The memory is measured after a ``network ls``.
"""

from __future__ import annotations

import time
from pathlib import Path

from tests.benchmark.benches.commands import Contender, Operation, fill
from tests.benchmark.benches.memory import SETTLE, weigh
from tests.benchmark.products import Docker, HawseService, products
from tests.benchmark.results import Row, Settings, Table

OPERATIONS = (
    Operation("network ls", "network ls"),
    Operation("network inspect", "network inspect {n}-base"),
    Operation("network create", "network create {n}-new"),
    Operation("network connect", "network connect {n}-new {n}-resident"),
    Operation("network disconnect", "network disconnect {n}-new {n}-resident"),
    Operation("network rm", "network rm {n}-new"),
    Operation("run -d", "run -d --name {n}-run --network {n}-base bb sleep 1d"),
    Operation("rm -f", "rm -f {n}-run"),
)
TARGET = 1.0
READING, READING_ROUNDS = ("network ls", "network inspect"), 4
"""The commands that only read, and the factor for their number of rounds.

They get more rounds, because the times of the two products differ by less than a millisecond.
"""


def run(settings: Settings, state: Path) -> list[Table]:
    """Measure the memory of both products after a ``network ls``, and then every operation on both products."""
    idle = Row("after a network ls")
    rows = [Row(operation.what, target=TARGET) for operation in OPERATIONS]
    with products(state, HawseService, Docker) as (_, started):
        columns = tuple(product.name for product in started)
        time.sleep(SETTLE)
        for product in started:
            product("network", "ls")
            time.sleep(SETTLE)
            idle.add(product.name, weigh(product)[0])
            product.load_image()
        contenders = [Contender(product.name, product, 8080) for product in started]
        for contender in contenders:
            contender.product("network", "create", f"{contender.column}-base")
            contender.product.run_sleeper(f"{contender.column}-resident", "--network", f"{contender.column}-base")
        number = settings.pick(15, 5)
        fill(rows, OPERATIONS, contenders, number)
        reading = [operation for operation in OPERATIONS if operation.what in READING]
        fill(rows[: len(reading)], reading, contenders, number * (READING_ROUNDS - 1))
    times = Table("api", "Docker's command line on hawse's API", "ms", columns, rows)
    return [times, Table("api-memory", "Memory of the API service", "MiB", columns, [idle])]
