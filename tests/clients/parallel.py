"""``python -m tests.clients.parallel SOCKET [CLIENTS] [SECONDS]``: many clients at once, by default 50 for a minute.

Each client repeats these requests: ping, list the containers, create its own network, inspect it, list the networks,
and remove its network. The program prints the number of requests, the times of each kind of request, and every answer
that is not the expected one. It exits with 1 after an error.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections import defaultdict
from statistics import median

from .conftest import UnixConnection

TIMES: defaultdict[str, list[float]] = defaultdict(list)
ERRORS: list[str] = []


def ask(connection: UnixConnection, method: str, path: str, expected: int, body: object = None) -> bytes:
    """Send one request, note its time, and check the status of its answer."""
    began = time.perf_counter()
    headers = {} if body is None else {"Content-Type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    response = connection.getresponse()
    data = response.read()
    TIMES[f"{method} /{path.split('/')[1]}"].append(time.perf_counter() - began)
    if response.status != expected:
        raise ValueError(f"{method} {path}: {response.status} {data[:200]!r}")
    return data


def work(path_of_socket: str, number: int, end: float) -> None:
    """Repeat the requests of one client until the time ``end``.

    Each repetition uses a new connection, as each command of docker does.
    """
    name = f"parallel{number}"
    # Each client gives a subnet, because the default pools have too few subnets for all clients.
    settings = {"Name": name, "IPAM": {"Config": [{"Subnet": f"10.200.{number}.0/24"}]}}
    while time.monotonic() < end:
        connection = UnixConnection(path_of_socket)
        try:
            ask(connection, "HEAD", "/_ping", 200)
            ask(connection, "GET", "/containers/json?all=1", 200)
            made = json.loads(ask(connection, "POST", "/networks/create", 201, settings))
            inspected = json.loads(ask(connection, "GET", f"/networks/{name}", 200))
            listed = json.loads(ask(connection, "GET", "/networks", 200))
            ask(connection, "DELETE", f"/networks/{name}", 204)
            if not (inspected["Id"] == made["Id"] and made["Id"] in [network["Id"] for network in listed]):
                raise ValueError(f"{name}: the answers are those of another network")
        except (OSError, ValueError, http.client.HTTPException) as error:
            ERRORS.append(f"{type(error).__name__}: {error}")
        finally:
            connection.close()


def main() -> int:
    """Run the clients, print the times and errors, and return the exit code."""
    path, clients, seconds = sys.argv[1], *map(int, [*sys.argv[2:], "50", "60"][:2])
    end = time.monotonic() + seconds
    threads = [threading.Thread(target=work, args=(path, number, end)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for kind, times in sorted(TIMES.items()):
        print(f"{kind}: {len(times)}, median {median(times) * 1000:.1f} ms, longest {max(times) * 1000:.0f} ms")
    print(*ERRORS[:20], f"{sum(map(len, TIMES.values()))} requests in {seconds} s, {len(ERRORS)} errors", sep="\n")
    return 1 if ERRORS else 0


if __name__ == "__main__":
    sys.exit(main())
