"""Throughput between containers on two hosts: iperf3 over the overlay and over the bare wire."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from shutil import which

from tests.benchmark.products import Docker, Hawse, Product, inside, products
from tests.benchmark.results import Row, Settings, Table
from tests.benchmark.turns import turns

Ends = tuple[list[str], list[str], str]
"""How a command line begins at the server's and at the client's end, and the server's address."""


def run(settings: Settings, state: Path) -> list[Table]:
    """Measure one stream in turns."""
    if not which("iperf3"):
        return []
    row = Row("one TCP stream")
    with products(state, Hawse, Hawse, Docker, Docker) as (_, started):
        pairs = {"hawse": overlay(*started[:2])}
        if len(started) == 4:
            pairs["docker"] = overlay(*started[2:])
        left, right = started[0].host, started[1].host
        enter = [["ip", "netns", "exec", host.name] for host in (left, right)]
        pairs["plain veth"] = (enter[0], enter[1], left.address)
        for _, order in turns(list(pairs), settings.pick(7, 2)):
            for name in order:
                row.add(name, throughput(pairs[name], settings.pick(5, 2)))
    table = Table("overlay", "Overlay", "Gbit/s", tuple(pairs), [row], ("hawse", "plain veth"), more_is_better=True)
    return [table]


def overlay(first: Product, second: Product) -> Ends:
    """Join two hosts, and put a container of each on an overlay network."""
    first("swarm", "init", "--advertise-addr", first.host.address)
    token = first("swarm", "join-token", "-q", "worker").output.strip()
    second("swarm", "join", "--advertise-addr", second.host.address, "--token", token, f"{first.host.address}:2377")
    first("network", "create", "-d", "overlay", "--attachable", "across")
    for name, product in (("near", first), ("far", second)):
        product.load_image()
        product.run_sleeper(name, "--network", "across")
    address = first("inspect", "-f", "{{.NetworkSettings.Networks.across.IPAddress}}", "near").output.strip()
    return inside(first, "near"), inside(second, "far"), address


def throughput(ends: Ends, seconds: int) -> float:
    """Gbit/s from the client's end to the server's."""
    server, client, address = ends
    listening = subprocess.Popen([*server, "iperf3", "-s", "-1"], stdout=subprocess.DEVNULL)
    try:
        time.sleep(0.3)
        argv = [*client, "iperf3", "-c", address, "-t", str(seconds), "-J", "--connect-timeout", "5000"]
        result = json.loads(subprocess.run(argv, capture_output=True, timeout=seconds + 30).stdout)
    finally:
        listening.kill()
        listening.wait()
    if "error" in result:
        raise RuntimeError(result["error"])
    return float(result["end"]["sum_received"]["bits_per_second"]) / 1e9
