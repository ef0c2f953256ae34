"""Bench: measure commands on a host with many containers and networks.

The first table compares the products with the same number of containers. The second table compares hawse with few
containers and with many.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from engine.agent import client
from tests.benchmark.products import Docker, Hawse, Product, products
from tests.benchmark.results import Row, Settings, Table
from tests.conftest import until

FEW = 10
ROUNDS = 7
MINUTE = 60.0


def run(settings: Settings, state: Path) -> list[Table]:
    """Fill the hosts with containers, measure commands, remove all containers with one command, and prune networks."""
    with products(state, Hawse, Docker) as (_, started):
        together = beside_docker(started, settings.pick(200, 20))
    (state / "alone").mkdir()
    with products(state / "alone", Hawse) as (_, [hawse]):
        alone = against_itself(hawse, settings.pick(1000, 100), settings.pick(3000, 100))
    return [together, alone]


def beside_docker(started: list[Product], number: int) -> Table:
    """Return the table that compares the products at ``number`` containers and as many unused networks."""
    rows = {what: Row(what) for what in ("ps", "network inspect", f"rm -f of {number}", f"network prune of {number}")}
    for product in started:
        product.load_image()
        prepare(product)
        fill(product, 0, number)
        measured = {**listings(product), **removals(product, number, number)}
        for what, samples in measured.items():
            rows[what].samples[product.name] = samples
    columns = tuple(product.name for product in started)
    return Table("crowd", f"{number} containers on one network", "ms", columns, list(rows.values()))


def against_itself(hawse: Hawse, number: int, networks: int) -> Table:
    """Return the table that compares hawse with few and with ``number`` containers."""
    hawse.load_image()
    prepare(hawse)
    few, many = f"{FEW} containers", f"{number:,} containers"
    times = fill(hawse, 0, FEW)
    rows = [Row("run -d", {few: times[1:]}, target=1.5)]
    rows += [Row(what, {few: samples}) for what, samples in listings(hawse).items()]
    rows.append(Row("run -d that starts the agent", {few: [with_agent_start(hawse, "late1")]}))
    rows[0].samples[many] = fill(hawse, FEW, number)[-15:]
    for row, samples in zip(rows[1:3], listings(hawse).values(), strict=True):
        row.samples[many] = samples
    rows[3].samples[many] = [with_agent_start(hawse, "late2")]
    rows += [Row(what, {many: samples}) for what, samples in removals(hawse, number, networks).items()]
    return Table("crowd-growth", f"hawse alone at {number:,} containers", "ms", (few, many), rows, ratio=(many, few))


def prepare(product: Product) -> None:
    product("network", "create", "--subnet", "10.200.0.0/16", "crowd")


def fill(product: Product, first: int, last: int) -> list[float]:
    """Start containers with the numbers from ``first`` to ``last`` - 1; return the milliseconds of each start."""
    flags = ("run", "-d", "--network", "crowd", "--name")
    return [product(*flags, f"c{n}", "bb", "sleep", "1d").seconds * 1000 for n in range(first, last)]


def listings(product: Product) -> dict[str, list[float]]:
    commands = {"ps": ("ps",), "network inspect": ("network", "inspect", "crowd")}
    return {what: [product(*words).seconds * 1000 for _ in range(ROUNDS)] for what, words in commands.items()}


def removals(product: Product, containers: int, networks: int) -> dict[str, list[float]]:
    """Return the milliseconds of one `rm -f` of all containers, and of one `network prune` of new networks."""
    removal = product("rm", "-f", *(f"c{n}" for n in range(containers))).seconds * 1000
    for n in range(networks):
        product("network", "create", f"n{n}")
    prune = product("network", "prune", "-f").seconds * 1000
    return {f"rm -f of {containers}": [removal], f"network prune of {networks}": [prune]}


def with_agent_start(hawse: Hawse, name: str) -> float:
    """Kill the agent, and return the milliseconds of a ``run`` that starts the next agent."""
    run_dir = hawse.host.run_dir
    os.kill(json.loads(client.ask(run_dir, "status", MINUTE) or "{}")["pid"], signal.SIGKILL)
    until(lambda: client.ask(run_dir, "status", MINUTE) is None)
    return hawse("run", "-d", "--network", "crowd", "--name", name, "bb", "sleep", "1d").seconds * 1000
