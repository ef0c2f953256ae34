"""Bench: measure the memory (PSS) of all resident processes of a product, without the processes of containers."""

from __future__ import annotations

import re
import time
from pathlib import Path

from tests.benchmark.products import Docker, Hawse, Product, processes_of, products
from tests.benchmark.results import Row, Settings, Table

PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)
SETTLE = 2.0  # seconds to wait before the memory measurement


def run(settings: Settings, state: Path) -> list[Table]:
    """Measure the memory of each product: first without containers, then with containers that publish one port each."""
    number = settings.pick(100, 10)
    idle = Row("after a network ls")
    busy = Row(f"{number} containers, {number} published ports", target=0.3)
    count = Row("processes with them")
    with products(state, Hawse, Docker) as (_, started):
        for product in started:
            product("network", "ls")
            time.sleep(SETTLE)
            idle.add(product.name, weigh(product)[0])
            product.load_image()
            for n in range(number):
                product.run_sleeper(f"c{n}", "-p", f"{8000 + n}:80")
            time.sleep(SETTLE)
            weight, processes = weigh(product)
            busy.add(product.name, weight)
            count.add(product.name, processes)
        columns = tuple(product.name for product in started)
    counted = Table("processes", "Processes resident", "processes", columns, [count])
    return [Table("memory", "Memory resident", "MiB", columns, [idle, busy]), counted]


def weigh(product: Product) -> tuple[float, int]:
    """Return the memory in MiB of all processes of the product, and the number of these processes."""
    runner_pids = product.runner.pids()
    total = processes = 0
    for pid in processes_of(product.host) - runner_pids:
        try:
            match = PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
        except OSError:
            continue
        total += int(match[1]) if match else 0
        processes += 1
    return total / 1024, processes
