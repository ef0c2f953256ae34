"""Bench: measure the time to open connections from a neighbour to published ports.

The neighbour is another machine on the host's network. The bench measures connections to the first and to the last
published port of a container.
"""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from tests.benchmark.products import Docker, Hawse, Product, inside, products
from tests.benchmark.results import Row, Settings, Table
from tests.benchmark.turns import turns
from tests.conftest import CHECKOUT, Netns

FIRST = 10000
SERVER = "import sys; from tests.benchmark.benches.connections import serve; serve()"
CLIENT = "import sys; from tests.benchmark.benches.connections import measure; measure(*sys.argv[1:])"
BY_DOCKER = 100
"""The largest number of ports that the bench publishes with Docker. For each port, Docker needs two processes and
several firewall rules.
"""


def run(settings: Settings, state: Path) -> list[Table]:
    """Measure connects to the first and the last port of containers that publish 1, 100 and 10,000 ports."""
    rounds, connections = settings.pick(9, 3), settings.pick(2000, 500)
    tables = []
    with products(state, Hawse, Docker) as (neighbour, started):
        for product in started:
            product.load_image()
        for number in (1, 100, 10000):
            takers = [p for p in started if number <= BY_DOCKER or isinstance(p, Hawse)]
            tables.append(with_ports(neighbour, takers, number, rounds, connections))
    return tables


def with_ports(neighbour: Netns, takers: list[Product], number: int, rounds: int, connections: int) -> Table:
    """Return one table for a container with ``number`` published ports.

    The table has each product's connection times for the first and for the last published port.
    """
    rows = [Row(product.name, target=1.1 if isinstance(product, Hawse) and number > 1 else None) for product in takers]
    flags = [flag for n in range(number) for flag in ("-p", f"{FIRST + n}:80")]
    for product in takers:
        product.run_sleeper("web", *flags)
    for _, order in turns(list(zip(rows, takers, strict=True)), rounds):
        for row, product in order:
            with server(product):
                for column, port in (("first", FIRST), ("last", FIRST + number - 1)):
                    row.add(column, sample(neighbour, product, port, connections))
    for product in takers:
        product("rm", "-f", "web")
    title = (
        f"A new connection through {'a' if number == 1 else f'{number:,}'} published port{'s' if number > 1 else ''}"
    )
    return Table(f"connections-{number}", title, "µs", ("first", "last"), rows, ratio=("last", "first"))


def sample(neighbour: Netns, product: Product, port: int, connections: int) -> float:
    """Return the median time of a new connection in microseconds, measured in the network namespace of the
    neighbour.
    """
    argv = (sys.executable, "-c", CLIENT, product.host.address, str(port), str(connections))
    return float(neighbour.run(*argv, cwd=CHECKOUT).stdout)


@contextmanager
def server(product: Product):
    """Run, in the network namespace of the product's container, a server that sends one byte to each client."""
    argv = [*inside(product, "web"), sys.executable, "-c", SERVER]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=CHECKOUT)
    try:
        process.stdout.readline()
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def serve() -> None:
    """Send one byte to each client until the process is killed."""
    listener = socket.create_server(("", 80), backlog=1024)
    print("ready", flush=True)
    while True:
        connection, _ = listener.accept()
        connection.send(b"x")
        connection.close()


def measure(address: str, port: str, connections: str) -> None:
    """Print the median time from ``connect`` to the first byte received.

    Each connection ends with a reset, so that no connection stays in TIME_WAIT.
    """
    linger, times = struct.pack("ii", 1, 0), []
    for _ in range(int(connections)):
        started = time.perf_counter()
        with socket.create_connection((address, int(port)), 5) as connection:
            connection.recv(1)
            times.append(time.perf_counter() - started)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    print(median(times) * 1e6)
