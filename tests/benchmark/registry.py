"""The list of benches by name. Each bench is a file in ``benches/`` with a function ``run`` that returns result tables.

The result page shows the benches in the order of this list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from tests.benchmark.results import Settings, Table

FILES = (
    "commands", "api", "completion", "ports", "attach", "endpoints", "crowd", "dns", "connections", "overlay", "memory",
)  # fmt: skip


@dataclass(frozen=True)
class Bench:
    """A bench with its name, its title and its function."""

    name: str
    title: str
    run: Callable[[Settings, Path], list[Table]]


def _load(name: str) -> Bench:
    module = import_module(f"tests.benchmark.benches.{name}")
    return Bench(name, (module.__doc__ or "").partition("\n")[0].rstrip("."), module.run)


BENCHES = tuple(map(_load, FILES))
