"""Bench: measure how many container names each product's DNS resolver resolves per second.

The program dnsperf sends the queries from a container.
"""

from __future__ import annotations

import re
import subprocess
from contextlib import ExitStack
from pathlib import Path
from shutil import which

from tests.benchmark.hosts import hosts
from tests.benchmark.products import Docker, Hawse, Product, inside, products
from tests.benchmark.results import Row, Settings, Table
from tests.benchmark.turns import turns
from tests.conftest import Host

AARDVARK = Path("/usr/lib/podman/aardvark-dns")
LISTEN = "10.88.0.1"
CONTAINERS = ("c1", "c2", "c3")
RATE = re.compile(r"Queries per second:\s+([\d.]+)")
LOST = re.compile(r"Queries lost:\s+(\d+)")


def run(settings: Settings, state: Path) -> list[Table]:
    """Measure the answers per second of each product's DNS resolver; the products take turns."""
    if not which("dnsperf"):
        return []
    queries = state / "queries"
    queries.write_text("".join(f"{name} A\n" for name in CONTAINERS))
    row = Row("A, 4 clients, 50 outstanding")
    with ExitStack() as stack:
        ours = state / "products"
        ours.mkdir()
        _, started = stack.enter_context(products(ours, Hawse, Docker))
        askers = {product.name: asker(product) for product in started}
        if AARDVARK.exists():
            askers["aardvark-dns"] = stack.enter_context(aardvark(state))
        for _, order in turns(list(askers), settings.pick(5, 2)):
            for name in order:
                row.add(name, ask([*askers[name]], queries, settings.pick(5, 2)))
    return [Table("dns", "DNS", "queries/s", tuple(askers), [row], more_is_better=True)]


def asker(product: Product) -> list[str]:
    """Start the product's containers, and return the command line that runs dnsperf in one of the containers."""
    product.load_image()
    product("network", "create", "names")
    for name in CONTAINERS:
        product.run_sleeper(name, "--network", "names")
    return [*inside(product, CONTAINERS[0]), "dnsperf", "-s", "127.0.0.11"]


def ask(argv: list[str], queries: Path, seconds: int) -> float:
    """Run dnsperf and return the number of answers per second.

    Raises RuntimeError if a query is lost: the resolver is on the same host, so no query should be lost.
    """
    flags = ("-d", str(queries), "-l", str(seconds), "-c", "4", "-q", "50")
    output = subprocess.run([*argv, *flags], capture_output=True, text=True, timeout=60, check=True).stdout
    rate, lost = RATE.search(output), LOST.search(output)
    if rate is None or lost is None or "NOERROR" not in output or int(lost[1]):
        raise RuntimeError(output)
    return float(rate[1])


class aardvark:
    """The DNS resolver aardvark-dns, which podman uses. The bench gives aardvark-dns the same container names as the
    products.

    The queries arrive on the loopback interface of aardvark's own network namespace.
    """

    def __init__(self, state: Path) -> None:
        self.state = state / "aardvark"
        self.stack = ExitStack()

    def __enter__(self) -> list[str]:
        self.state.mkdir()
        _, [host] = self.stack.enter_context(hosts(self.state, 1))
        host.sh(f"ip addr add {LISTEN}/16 dev lo")
        config = self.state / "config"
        config.mkdir()
        lines = [LISTEN, *(f"{n:064x} 10.88.0.{n + 2}  {name}" for n, name in enumerate(CONTAINERS))]
        (config / "names").write_text("\n".join(lines) + "\n")
        self._start(host, config)
        return ["ip", "netns", "exec", host.name, "dnsperf", "-s", LISTEN]

    def _start(self, host: Host, config: Path) -> None:
        """Start aardvark-dns. The resolver is ready to answer queries when the command that starts it returns.

        The resolver's process is killed when the host is deleted.
        """
        host.run(str(AARDVARK), "--config", str(config), "--port", "53", "run", timeout=20, env=host.env())

    def __exit__(self, *error: object) -> None:
        self.stack.close()
