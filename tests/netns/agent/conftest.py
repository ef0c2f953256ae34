"""Fixtures for tests of the agent: a host with several types of networks and with containers.

The tests do not start the agent themselves; the hawse commands start the agent.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from drivers.bridge import BridgeDriver
from drivers.errors import KernelError
from drivers.firewall import table_repair, table_structure
from drivers.linux import netns as namespaces
from engine.agent import client
from tests.conftest import COUNTER, Host, Peer, loaded, require_root, until
from tests.netns.publish.conftest import World, open_socket

START = """
import os, sys
from pathlib import Path
from engine.agent.client import ensure
sys.exit(not ensure(Path(os.environ["HAWSE_RUN"]), Path(os.environ["HAWSE_ROOT"])))
"""
OURS = ("inet hawse", "bridge hawse")
State = dict[str, object]


def agent(host: Host) -> int:
    """Return the agent's pid, or 0 if no agent runs."""
    answer = client.ask(host.run_dir, "status", 5)
    return json.loads(answer)["pid"] if answer else 0


class Guarded(World):
    """A host whose firewall the tests damage on purpose."""

    paths_of: dict[str, str]
    damaged = 0

    def nft(self, script: str) -> None:
        """Run an nft script that damages the firewall. In the script, ``%(app)s`` stands for the bridge of the network
        app.
        """
        self.damaged += 1
        self.host.run("nft", script % {"app": self.bridge("app")} if "%(app)" in script else script)

    def bridge(self, network: str) -> str:
        """Return the name that hawse chose for the bridge of a network."""
        return "br-" + self.hawse("network", "inspect", "-f", "{{slice .Id 0 12}}", network)

    def calm_down(self, *, heals: bool = True) -> None:
        """Start a new agent if a test damaged the firewall. Then wait until the firewall needs no repair.

        After several repairs, an agent waits longer before the next one; a new agent does not. ``heals`` says whether
        the configuration lets the agent repair.
        """
        if self.damaged:
            self.damaged, before = 0, self.agent()
            # Delete the file from which the guard would start an agent with the old agent's environment.
            (self.host.run_dir / "agent.start").unlink(missing_ok=True)
            os.kill(before, signal.SIGTERM)
            while self.agent() == before:
                time.sleep(0.02)
            self.host.hawse(code=START)
            if heals:
                until(self._is_guarding)
        deadline = time.monotonic() + loaded(10)
        while namespaces.run_in_netns(self.host.path, BridgeDriver().needs_repair):
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)

    def _is_guarding(self) -> bool:
        """Return whether the agent has read the records and watches the firewall."""
        return self._needs("repair")

    def repairs_links(self) -> bool:
        """Return whether the agent repairs the links of any network."""
        return self._needs("links")

    def _needs(self, service: str) -> bool:
        answer = client.ask(self.host.run_dir, "status", 5)
        return bool(answer) and json.loads(answer)["services"][service]

    def state(self) -> State:
        """Return the rules and chains of hawse's nftables tables, and the elements of the sets in sorted order."""

        def look() -> State:
            return {
                t: (table_structure.find(t), sorted(table_repair.held(t)) if table_structure.find(t) else [])
                for t in OURS
            }

        return namespaces.run_in_netns(self.host.path, look)

    def until(self, expected: State, patience: float = 10) -> float:
        """Wait until the firewall tables are equal to ``expected``, and return the seconds waited.

        The test fails after ``patience`` seconds.
        """
        began = time.monotonic()
        while not self._is(expected):
            assert time.monotonic() < began + loaded(patience), self.log()
            time.sleep(0.001)
        return time.monotonic() - began

    def _is(self, expected: State) -> bool:
        with suppress(KernelError):  # a table was removed between two requests of `state`
            return self.state() == expected
        return False

    def agent(self) -> int:
        """Return the agent's pid, or 0 if no agent runs."""
        return agent(self.host)

    def log(self) -> str:
        """Return the agent's log."""
        return (self.host.run_dir / "agent.log").read_text()

    def logged(self, before: str, text: str = "repaired", patience: float = 30) -> str:
        """Wait until the agent logs ``text``; return the part of the log that is newer than ``before``.

        After ``patience`` seconds, the function returns this part even without ``text``.
        """
        deadline = time.monotonic() + loaded(patience)
        while text not in (log := self.log().removeprefix(before)) and time.monotonic() < deadline:
            time.sleep(0.02)
        return log

    def cpu(self) -> float:
        """Return the seconds of processor time that the agent has used."""
        tasks = f"/proc/{self.agent()}/task"
        used = 0
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/schedstat") as file:
                used += int(file.read().split()[0])
        return used / 1e9

    def share_of_processor(self, seconds: float) -> float:
        """Return which part of a processor the agent uses during the next ``seconds``; 1.0 is a whole processor."""
        used, began = self.cpu(), time.monotonic()
        time.sleep(seconds)
        return (self.cpu() - used) / (time.monotonic() - began)


def a_host(name: str, state, kind: type[Guarded] = Guarded) -> Guarded:
    peer = Peer(f"hwt{os.getpid()}{name}p{next(COUNTER)}", ipv6=True)
    return kind(Host(f"hwt{os.getpid()}{name}h{next(COUNTER)}", peer, state), peer)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A host with four networks: "app", "other", an internal network, and a network with the spoof guard (rules against
    forged source addresses).

    Each network has a container. The container "web" on "app" publishes ports.
    """
    require_root()
    made = a_host("g", tmp_path_factory.mktemp("guarded"))
    made.networks(
        app=["--subnet", "172.31.0.0/16"],
        other=["--subnet", "172.32.0.0/16"],
        inside=["--internal", "--subnet", "172.33.0.0/16"],
        strict=["--subnet", "172.34.0.0/16", "-o", "com.hawse.bridge.spoof_guard=true"],
    )
    ports = ["-p", "8080:80", "-p", "127.0.0.1:8081:80", "-p", "8090:90/udp"]
    made.paths_of = made.containers(
        web=["--network", "app", "--ip", "172.31.0.2", *ports],
        db=["--network", "other", "--ip", "172.32.0.2"],
        hidden=["--network", "inside"],
        honest=["--network", "strict"],
    )
    made.calm_down()
    yield made
    made.close()


HOST, PEER, WEB, DB, GATEWAY = "192.168.99.11", "192.168.99.99", "172.31.0.2", "172.31.0.3", "172.31.0.1"
BOUND = 3.0
"""Seconds after a damage within which traffic must pass again. Usually it takes 0.1 s, on a busy machine longer."""
QUERY = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + b"\x02db\0\0\x01\0\x01"  # DNS query for the address of "db"


class Drifting(Guarded):
    """A host whose links the tests damage. ``links`` has the names of the bridge and of the veth of container web."""

    links: dict[str, str]


class Traffic:
    """Queries that need every link of the network "app"; the answers show whether traffic passes."""

    def __init__(self, world: Guarded) -> None:
        web, db, peer, host = world.paths_of["web"], world.paths_of["db"], world.peer.path, world.host.path
        self.ways = {
            "container to container": (db, WEB, 90, b"?"),
            "container to container, IPv6": (db, "fd31::2", 90, b"?"),
            "container to host": (web, GATEWAY, 92, b"?"),
            "container to host, IPv6": (web, "fd31::1", 92, b"?"),
            "container to outside": (web, PEER, 91, b"?"),
            "outside to published port": (peer, HOST, 8090, b"?"),
            "host to published port": (host, "127.0.0.1", 8090, b"?"),
            "names": (web, "127.0.0.11", 53, QUERY),
        }

    def stopped(self, patience: float = 0.15) -> list[str]:
        """Return the names of the queries that get no answer within ``patience`` seconds."""
        asked = {}
        for flow, (path, address, port, message) in self.ways.items():
            asked[flow] = open_socket(path, address, "udp")
            with suppress(OSError):
                asked[flow].connect((address, port))
                asked[flow].send(message)
        deadline = time.monotonic() + loaded(patience)
        silent = dict(asked)
        while silent and time.monotonic() < deadline:
            silent = {flow: sock for flow, sock in silent.items() if not _answered(sock)}
            time.sleep(0.002)
        for sock in asked.values():
            sock.close()
        return list(silent)

    def resumed(self) -> float:
        """Wait until every query is answered, and return the seconds waited; fail after 15 s."""
        began = time.monotonic()
        while silent := self.stopped(0.05):
            assert time.monotonic() < began + 15, silent
        return time.monotonic() - began


def _answered(sock: socket.socket) -> bool:
    try:
        return bool(sock.recv(500))
    except OSError:
        return False


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drifting]:
    """A host with two containers on a network with IPv4 and IPv6: "web", which publishes a port, and "db"."""
    made = a_host("d", tmp_path_factory.mktemp("drift"), Drifting)
    made.networks(app=["--subnet", "172.31.0.0/16", "--ipv6", "--subnet", "fd31::/64"])
    made.paths_of = made.containers(
        web=["--network", "app", "--ip", WEB, "--ip6", "fd31::2", "-p", "8090:90/udp"],
        db=["--network", "app", "--ip", DB, "--ip6", "fd31::3"],
    )
    members = json.loads(made.hawse("network", "inspect", "app"))[0]["Containers"]
    endpoint = next(m["EndpointID"] for m in members.values() if m["Name"] == "web")
    made.links = {"bridge": made.bridge("app"), "veth": f"veth{endpoint[:7]}"}
    made.serve(made.paths_of["web"], 90)
    made.serve(made.peer.path, 91)
    made.serve(made.host.path, 92)
    yield made
    made.close()


@pytest.fixture
def traffic(world: Guarded) -> Traffic:
    """Traffic on an undamaged host. The agent has made few repairs, so it does not delay its next repair."""
    if world.damaged > 4:
        world.calm_down()
    world.damaged += 1
    made = Traffic(world)
    until(lambda: not made.stopped())
    return made
