"""One host with networks of several kinds, containers run by the command line, and an agent that is left to itself."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from drivers.api import KernelError
from drivers.bridge import BridgeDriver
from drivers.firewall import comparison, structure
from drivers.linux import netns as namespaces
from engine.agent import client
from tests.conftest import COUNTER, Host, Netns, require_root
from tests.netns.publish.conftest import World

START = (
    "import os; from pathlib import Path; from engine.agent.client import ensure; "
    "assert ensure(Path(os.environ['HAWSE_RUN']), Path(os.environ['HAWSE_ROOT']))"
)
OURS = ("inet hawse", "bridge hawse")
State = dict[str, object]


class Guarded(World):
    """A host whose firewall is damaged on purpose."""

    paths_of: dict[str, str]
    damaged = 0

    def nft(self, script: str) -> None:
        """Do some damage; ``%(app)s`` stands for the bridge of the network app."""
        self.damaged += 1
        self.host.run("nft", script % {"app": self.bridge("app")} if "%(app)" in script else script)

    def bridge(self, network: str) -> str:
        """The bridge of a network without options."""
        return "br-" + self.hawse("network", "inspect", "-f", "{{slice .Id 0 12}}", network)

    def calm_down(self) -> None:
        """Have a new agent, one that has met no damage yet: much of it makes an agent wait, which others test."""
        if self.damaged:
            self.damaged, before = 0, self.agent()
            os.kill(before, signal.SIGTERM)
            while self.agent() == before:
                time.sleep(0.02)
            self.host.run(sys.executable, "-c", START, env=self.host.env())
        deadline = time.monotonic() + 10
        while namespaces.inside(self.host.path, BridgeDriver().needs_repair):
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)

    def state(self) -> State:
        """All of our tables, in no order."""

        def look() -> State:
            return {t: (structure.find(t), sorted(comparison.held(t)) if structure.find(t) else []) for t in OURS}

        return namespaces.inside(self.host.path, look)

    def until(self, wanted: State, patience: float = 10) -> float:
        """Seconds until the tables are as they were; fails after ``patience``."""
        began = time.monotonic()
        while not self._is(wanted):
            assert time.monotonic() < began + patience, self.log()
            time.sleep(0.001)
        return time.monotonic() - began

    def _is(self, wanted: State) -> bool:
        with suppress(KernelError):  # a table was removed between two requests of the look
            return self.state() == wanted
        return False

    def agent(self) -> int:
        """The agent's process, 0 where there is none."""
        answer = client.ask(self.host.run_dir, "status", 5)
        return json.loads(answer)["pid"] if answer else 0

    def log(self) -> str:
        """What the agent has had to tell."""
        return (self.host.run_dir / "agent.log").read_text()

    def logged(self, before: str, wanted: str = "repaired", patience: float = 30) -> str:
        """What it tells after ``before``, once that has ``wanted`` in it."""
        deadline = time.monotonic() + patience
        while wanted not in (told := self.log().removeprefix(before)) and time.monotonic() < deadline:
            time.sleep(0.02)
        return told

    def cpu(self) -> float:
        """Seconds of processor time that the agent has used."""
        tasks = f"/proc/{self.agent()}/task"
        used = 0
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/schedstat") as file:
                used += int(file.read().split()[0])
        return used / 1e9


def a_host(name: str, state) -> Guarded:
    peer = Netns(f"hwt{os.getpid()}{name}p{next(COUNTER)}")
    peer.sh(
        "sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0; "
        "ip link add br0 address 02:00:00:00:99:99 type bridge; "
        "ip addr add 192.168.99.99/24 dev br0; ip -6 addr add fd99::99/64 dev br0 nodad; ip link set br0 up"
    )
    return Guarded(Host(f"hwt{os.getpid()}{name}h{next(COUNTER)}", peer, state), peer)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Networks app and other, an internal and a spoof-guarded one, with a container each; app's publishes ports."""
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
