"""A host with several networks for the tests of diagnosis. Nothing repairs the host, so a fault stays until it is
undone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import COUNTER, Host, Peer, require_root
from tests.netns.publish.conftest import World

NETWORKS = {
    "app": ["--subnet", "172.31.0.0/16", "--ipv6", "--subnet", "fd31::/64"],
    "other": ["--subnet", "172.32.0.0/16"],
    "inside": ["--internal", "--subnet", "172.33.0.0/16"],
    "strict": ["--subnet", "172.34.0.0/16", "-o", "com.docker.network.bridge.enable_icc=false"],
}
CONTAINERS = {
    "web": ["--network", "app", "--ip", "172.31.0.2", "--ip6", "fd31::2", "-p", "8080:80", "-p", "127.0.0.1:8081:80",
            "-p", "8053:53/udp", "--network-alias", "shop"],
    "db": ["--network", "app", "--ip", "172.31.0.3", "--ip6", "fd31::3"],
    "third": ["--network", "app", "--ip", "172.31.0.4", "--ip6", "fd31::4"],
    "far": ["--network", "other", "--ip", "172.32.0.2"],
    "safe": ["--network", "inside", "--ip", "172.33.0.2"],
    "safe2": ["--network", "inside", "--ip", "172.33.0.3"],
    "lone": ["--network", "strict", "--ip", "172.34.0.2"],
    "lone2": ["--network", "strict", "--ip", "172.34.0.3"],
}  # fmt: skip


class Lab(World):
    """The host, and ``hawse trace`` on it."""

    paths_of: dict[str, str]

    def trace(self, *argv: str) -> dict[str, Any]:
        """Run ``hawse trace --format json`` and return the document, with the exit code as ``code``."""
        done = self.host.hawse("trace", "--format", "json", *argv, check=False)
        assert done.stdout, f"{argv}: exit {done.returncode}: {done.stderr}"
        return {**json.loads(done.stdout), "code": done.returncode}

    def bridge(self, network: str) -> str:
        """Return the name of a network's bridge."""
        return "br-" + self.hawse("network", "inspect", "-f", "{{slice .Id 0 12}}", network)

    def port(self, container: str) -> str:
        """Return the name of the host end of a container's veth pair."""
        members = json.loads(self.hawse("inspect", container))[0]["NetworkSettings"]["Networks"].values()
        return "veth" + next(iter(members))["EndpointID"][:7]

    def at(self, place: str, script: str) -> str:
        """Run a shell script in a container's network namespace, on the host, or on the peer."""
        if place in ("host", "peer"):
            return (self.host if place == "host" else self.peer).sh(script)
        return self.inside(self.paths_of[place], script)


def make_lab(state, name: str = "t") -> Lab:
    peer = Peer(f"hwt{os.getpid()}{name}p{next(COUNTER)}", ipv6=True)
    lab = Lab(Host(f"hwt{os.getpid()}{name}h{next(COUNTER)}", peer, state), peer)
    config = state / "daemon.json"
    config.write_text('{"heal": false}')
    lab.host.env = lambda **extra: Host.env(lab.host, **{"HAWSE_CONFIG": str(config), **extra})
    lab.networks(**NETWORKS)
    lab.paths_of = lab.containers(**CONTAINERS)
    for container in ("web", "far", "safe", "lone"):
        lab.serve(lab.paths_of[container], 80)
        lab.serve(lab.paths_of[container], 53)
    lab.serve(lab.peer.path, 91)
    lab.serve(lab.host.path, 92)
    lab.serve(lab.paths_of["web"], 81, addresses=["127.0.0.1", "::1"])
    return lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A host with four networks and containers with servers."""
    require_root()
    made = make_lab(tmp_path_factory.mktemp("lab"))
    yield made
    made.close()
