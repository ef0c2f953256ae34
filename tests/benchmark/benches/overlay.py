"""Bench: measure one iperf3 stream between containers on two hosts, with and without an overlay network.

Two more hosts of the same kind run no product. They give three baselines:

- *plain veth*: containers on veth pairs; the two hosts route the packets over the same virtual wire.
- *wire*: the two hosts themselves, without containers and without routing.
- *bare VXLAN*: one VXLAN device in each of the two hosts, without bridge and container. A VXLAN overlay cannot be
  faster than this baseline.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import which

from tests.benchmark.hosts import unique
from tests.benchmark.products import Docker, Hawse, Product, inside, products
from tests.benchmark.results import Row, Settings, Table
from tests.benchmark.turns import turns
from tests.conftest import Host, Netns

Ends = tuple[list[str], list[str], str]
"""The two ends of a stream: a command prefix for the server, a command prefix for the client, and the server's address.
A prefix runs a command in a network namespace (``ip netns exec NAME``).
"""
CONGESTION_CONTROL = Path("/proc/sys/net/ipv4/tcp_congestion_control")
PLAIN = (5, 6)
"""Index numbers of the two hosts that run no product. The hosts of the products have lower numbers."""


def run(settings: Settings, state: Path) -> list[Table]:
    """Measure the throughput of one TCP stream with each congestion control that `controls` returns.

    The contenders take turns.
    """
    if not which("iperf3"):
        return []
    rows = {control: Row(f"one TCP stream, {control}") for control in controls()}
    with products(state, Hawse, Hawse, Docker, Docker) as (neighbour, started), plain(neighbour, state) as others:
        pairs = {"hawse": overlay(*started[:2])}
        if len(started) == 4:
            pairs["docker"] = overlay(*started[2:])
        pairs |= others
        for _, order in turns(list(pairs), settings.pick(7, 2)):
            for control, row in rows.items():
                for name in order:
                    row.add(name, throughput(pairs[name], settings.pick(3, 2), control))
    compared = ("hawse", "plain veth")
    return [Table("overlay", "Overlay", "Gbit/s", tuple(pairs), list(rows.values()), compared, more_is_better=True)]


def controls() -> list[str]:
    """Return the TCP congestion controls to measure: the machine's default, and one that does not pace packets."""
    available = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split()
    return list(dict.fromkeys([CONGESTION_CONTROL.read_text().strip(), "cubic" if "cubic" in available else "reno"]))


def overlay(first: Product, second: Product) -> Ends:
    """Join two hosts to a cluster with an overlay network; return the two ends of a stream between their containers."""
    first("swarm", "init", "--advertise-addr", first.host.address)
    token = first("swarm", "join-token", "-q", "worker").output.strip()
    second("swarm", "join", "--advertise-addr", second.host.address, "--token", token, f"{first.host.address}:2377")
    first("network", "create", "-d", "overlay", "--attachable", "across")
    for name, product in (("near", first), ("far", second)):
        product.load_image()
        product.run_sleeper(name, "--network", "across")
    address = first("inspect", "-f", "{{.NetworkSettings.Networks.across.IPAddress}}", "near").output.strip()
    return inside(first, "near"), inside(second, "far"), address


@contextmanager
def plain(neighbour: Netns, state: Path) -> Iterator[dict[str, Ends]]:
    """Create two hosts without a product, with one container each; yield the ends of the streams for the three
    baselines.
    """
    with ExitStack() as stack:
        hosts = [Host(unique("h"), neighbour, state, number) for number in PLAIN]
        containers = [Netns(unique("c")) for _ in PLAIN]
        for namespace in (*hosts, *containers):
            stack.callback(namespace.delete)
        for host, other, container in zip(hosts, reversed(hosts), containers, strict=True):
            _route(host, other, container)
            host.sh(
                f"ip link add vxlan0 type vxlan id 1 dstport 4789 local {host.address} remote {other.address}; "
                f"ip link set vxlan0 mtu 1450 up; ip addr add 10.200.0.{host.index}/24 dev vxlan0"
            )
        ends = [["ip", "netns", "exec", namespace.name] for namespace in (*hosts, *containers)]
        yield {
            "bare VXLAN": (ends[0], ends[1], f"10.200.0.{hosts[0].index}"),
            "plain veth": (ends[2], ends[3], f"10.201.{hosts[0].index}.2"),
            "wire": (ends[0], ends[1], hosts[0].address),
        }


def _route(host: Host, other: Host, container: Netns) -> None:
    """Connect a container to its host by a veth pair, and route the other host's container through the other host."""
    host.sh(
        f"sysctl -qw net.ipv4.ip_forward=1; ip link add c0 type veth peer name eth0 netns {container.name}; "
        f"ip addr add 10.201.{host.index}.1/24 dev c0; ip link set c0 up; "
        f"ip route add 10.201.{other.index}.0/24 via {other.address}"
    )
    container.sh(
        f"ip addr add 10.201.{host.index}.2/24 dev eth0; ip link set eth0 up; "
        f"ip route add default via 10.201.{host.index}.1"
    )


def throughput(ends: Ends, seconds: int, control: str) -> float:
    """Return the throughput in Gbit/s from client to server with the congestion control ``control``."""
    server, client, address = ends
    listening = subprocess.Popen([*server, "iperf3", "-s", "-1"], stdout=subprocess.DEVNULL)
    try:
        time.sleep(0.3)
        flags = ["-t", str(seconds), "-C", control, "-J", "--connect-timeout", "5000"]
        argv = [*client, "iperf3", "-c", address, *flags]
        result = json.loads(subprocess.run(argv, capture_output=True, timeout=seconds + 30).stdout)
    finally:
        listening.kill()
        listening.wait()
    if "error" in result:
        raise RuntimeError(result["error"])
    return float(result["end"]["sum_received"]["bits_per_second"]) / 1e9
