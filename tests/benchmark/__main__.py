"""``python -m tests.benchmark``: run the benches one after the other, print their tables and write a page of results.

Each run uses its own namespaces and directories, and deletes these namespaces and directories at the end of the run.
Absolute figures depend on the machine and on the other programs that run there. The ratios are computed from rounds in
which the products under test take turns.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmark import pictures, report
from tests.benchmark.registry import BENCHES, Bench
from tests.benchmark.results import Settings, Table
from tests.conftest import CHECKOUT

NETWORKS = (0, 10, 100, 1000)
QUICK_NETWORKS = (0, 100)


def main() -> None:
    """Run the benches that the command line selects."""
    arguments = read_arguments()
    if os.geteuid() != 0:
        sys.exit("the benches need root: they make network namespaces and start daemons")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the exit handlers then delete the hosts
    settings = Settings(arguments.quick, arguments.networks or (QUICK_NETWORKS if arguments.quick else NETWORKS))
    chosen = [b for b in BENCHES if not arguments.only or b.name in arguments.only]
    tables = [table for bench in chosen for table in run(bench, settings)]
    if arguments.output:
        write(tables, arguments.output)


def read_arguments() -> argparse.Namespace:
    """Parse the command line of the benchmark."""
    parser = argparse.ArgumentParser(prog="sh tests/benchmark/run", description="Measure hawse beside Docker.")
    parser.add_argument("--quick", action="store_true", help="few rounds and small crowds: about four minutes")
    names = [bench.name for bench in BENCHES]
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--networks", type=counts, help="existing networks to measure commands at, such as 0,100")
    parser.add_argument("--output", type=Path, help="directory for the table and the pictures, such as docs")
    return parser.parse_args()


def counts(text: str) -> tuple[int, ...]:
    """Parse a comma-separated list of network counts and return the numbers in ascending order."""
    return tuple(sorted(map(int, text.split(","))))


def run(bench: Bench, settings: Settings) -> list[Table]:
    """Run one bench in a temporary directory, print the result tables and return them."""
    print(f"\n# {bench.name}: {bench.title}", file=sys.stderr, flush=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hawse-benchmark-") as state:
        tables = bench.run(settings, Path(state))
    for table in tables:
        print("\n" + report.markdown(table), flush=True)
    print(f"({time.monotonic() - started:.0f} s)", file=sys.stderr, flush=True)
    return tables


def write(tables: list[Table], directory: Path) -> None:
    """Write the result page and its pictures into ``directory``."""
    directory = CHECKOUT / directory
    directory.mkdir(parents=True, exist_ok=True)
    drawn = pictures.draw(tables)
    for name, svg in drawn.items():
        (directory / name).write_text(svg)
    (directory / "benchmarks.md").write_text(
        report.page(tables, list(drawn), shlex.join(["sh", "tests/benchmark/run", *sys.argv[1:]]))
    )


if __name__ == "__main__":
    main()
