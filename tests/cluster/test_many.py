"""The tests measure how soon five hosts know all of a thousand endpoints.

``pytest -s`` prints the times.
"""

import json
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from drivers.linux.persistent_netns import netns_path
from tests.cluster.conftest import eventually

pytestmark = [pytest.mark.netns, pytest.mark.slow, pytest.mark.timeout(600)]
ROUNDS = 20
ENOUGH = 15.0
"""Seconds within which every host must know all endpoints. On an idle machine, three seconds would be enough."""


@pytest.fixture(scope="module")
def five(cluster):
    hosts = cluster.grow(5)
    made = ("network", "create", "-d", "overlay", "--attachable", "--subnet", "10.60.0.0/16", "big")
    hosts[0].hawse(*made)
    return hosts


@pytest.fixture
def tell(record_property, capsys):
    """Return a function that prints a measured value and records it in the test report."""

    def report(name, **milliseconds):
        for what, value in milliseconds.items():
            record_property(f"{name}, {what} (ms)", round(value))
        with capsys.disabled():
            print(f"\n{name}: {', '.join(f'{what} {value:.0f} ms' for what, value in milliseconds.items())}")

    return report


def test_hosts_that_reserve_at_once_never_get_one_address_twice(cluster, five):
    answers = cluster.everywhere(lambda host: host.tool("big", "40"))
    everything = [address for part in answers for address in part]
    assert len(everything) == len(set(everything)) == 200


def test_a_new_host_has_a_thousand_peers_three_seconds_after_it_began_to_join(cluster, five, tell):
    everything = [tuple(line.split("=")) for host in five for line in host.tool("big", "160", "shown")]
    assert len(everything) == 800
    network = five[0].hawse("network", "inspect", "-f", "{{.Id}}", "big").stdout.strip()
    late, token = cluster.add_host(), cluster.token()
    began = time.monotonic()
    late.hawse("swarm", "join", "--token", token, f"{five[0].underlay}:2377")
    joined = time.monotonic()
    late.start("late", "big")
    ran = time.monotonic()
    forwarding, neighbours = eventually(lambda: (t := tables(late, network)) and min(map(len, t)) >= 1000 and t)
    complete = time.monotonic()
    assert {(a, m) for a, m, _ in everything} <= neighbours and {m for _, m, _ in everything} <= forwarding
    assert late.verify("big").stdout == "ok\n"
    assert asked(late, "late", everything) == []
    tell(
        "a thousand peers", joined=(joined - began) * 1000, ran=(ran - joined) * 1000,
        tables=(complete - ran) * 1000, total=(complete - began) * 1000,
    )  # fmt: skip
    assert complete - ran < 1, "all of it is there as soon as `run` returns"
    assert complete - began < ENOUGH


def tables(host, network):
    """Return the entries that the kernel of a host has for an overlay network.

    The result has the remote MACs of the FDB, and the (address, MAC) pairs of the neighbour table.
    """
    inside = ["nsenter", f"--net={netns_path(host.run_dir / 'overlay' / network[:12])}"]
    shown = subprocess.run([*inside, "bridge", "fdb", "show"], capture_output=True, text=True).stdout
    forwarding = {line.split()[0] for line in shown.splitlines() if " dst " in line} - {"00:00:00:00:00:00"}
    shown = subprocess.run([*inside, "ip", "-4", "neigh", "show", "nud", "permanent"], capture_output=True, text=True)
    return forwarding, {(f[0], f[4]) for f in map(str.split, shown.stdout.splitlines())}


def asked(host, container, everything):
    """Resolve the names of ``everything`` in a container; return those that do not resolve to their address.

    ``everything`` has a tuple (address, MAC, name) for each endpoint.
    """
    inside = ["nsenter", "-t", str(pid(host, container)), "-n", sys.executable, Path(__file__).with_name("lookup.py")]
    lines = "".join(f"{name} {address}\n" for address, _, name in everything)
    return subprocess.run(inside, input=lines, capture_output=True, text=True, check=True).stdout.split()


def pid(host, container):
    return json.loads(host.hawse("inspect", container).stdout)[0]["State"]["Pid"]


def test_one_alias_on_five_hosts_gives_all_their_addresses(cluster, five):
    five[0].hawse("network", "create", "-d", "overlay", "--attachable", "--subnet", "10.61.0.0/24", "app")
    cluster.everywhere(
        lambda host: host.start(f"w{host.index}", "app", "--network-alias", "site") if host in five else None
    )
    expected = {host.ip(f"w{host.index}", "app") for host in five}
    first = cluster.hosts[0]
    answer = eventually(lambda: (a := lookup(first, "site")) >= expected and a)
    assert expected <= answer


def lookup(host, name):
    answer = host.hawse(
        "exec", f"w{host.index}", "busybox", "nslookup", "-type=a", name, "127.0.0.11", check=False
    ).stdout
    return {line.split()[-1] for line in answer.splitlines() if line.startswith("Address") and "127.0.0.11" not in line}


def test_a_new_endpoint_is_known_and_reachable_everywhere_a_tenth_of_a_second_after_run(five, tell):
    known, reached = [], []
    with ExitStack() as stack:
        probers = [stack.enter_context(prober(host, f"w{host.index}")) for host in five if host is not five[1]]
        assert [p.stdout.readline() for p in probers] == ["ready\n"] * len(probers)
        for number in range(ROUNDS):
            address = f"10.61.0.{100 + number}"
            five[1].start(f"n{number}", "app", "--ip", address)
            line = f"n{number} {address} {time.monotonic()}\n"
            for process in probers:
                process.stdin.write(line)
                process.stdin.flush()
            answers = [process.stdout.readline().split() for process in probers]
            known += [float(a[0]) for a in answers]
            reached += [float(a[1]) for a in answers]
            five[1].hawse("rm", "-f", f"n{number}")
        for process in probers:
            process.stdin.close()
    for what, times in (("reachable", reached), ("known by name", known)):
        tell(what, median=statistics.median(times), p95=sorted(times)[len(times) * 95 // 100], most=max(times))
    assert statistics.median(reached) < 100 and statistics.median(known) < 100


def prober(host, container):
    """Start prober.py in a container's network namespace. The program measures how soon names resolve and addresses
    answer.
    """
    inside = [
        "nsenter",
        "-t",
        str(pid(host, container)),
        "-n",
        sys.executable,
        str(Path(__file__).with_name("prober.py")),
    ]
    return subprocess.Popen(inside, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
