"""``python -m tests.cluster.soak [SECONDS [SEED]]``: random work and random faults, then every table must be right.

Three hosts start, connect, stop and remove containers on two networks while agents and the store are killed and hosts
cut off. Prints what it does; ends with 0 where, after everything has come to rest, ``network verify`` finds no
difference on any host and every container reaches every other of its network.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.cluster.conftest import Cluster, eventually

NETWORKS = ("red", "blue")
NAMES = tuple(f"c{n}" for n in range(6))


class Soak:
    """One run."""

    def __init__(self, cluster, dice):
        self.cluster, self.dice = cluster, dice
        self.done = 0

    def prepare(self):
        hosts = self.cluster.grow(3)
        for name in NETWORKS:
            hosts[0].hawse("network", "create", "-d", "overlay", "--attachable", name)

    def act(self):
        """One random act; commands may be refused, never crash."""
        host, name = self.dice.choice(self.cluster.hosts), self.dice.choice(NAMES)
        network = self.dice.choice(NETWORKS)
        acts = [
            ("run", "-d", "--name", name, "--network", network, "hostfs", "sleep", "1d"),
            ("network", "connect", network, name),
            ("network", "disconnect", network, name),
            ("stop", "-t0", name),
            ("start", name),
            ("rm", "-f", name),
        ]
        argv = self.dice.choices(acts, (5, 3, 2, 1, 2, 2))[0]
        result = host.hawse(*argv, check=False, timeout=60)
        assert "internal error" not in result.stderr and "Traceback" not in result.stderr, result.stderr
        self.done += 1

    def break_something(self):
        """One random fault, mended after a while."""
        host = self.dice.choice(self.cluster.hosts)
        fault = self.dice.choice(("agent", "store", "cut", "container"))
        print(f"{self.done} acts; fault: {fault} of host {host.index}", flush=True)
        if fault == "agent":
            kill(host.agent_pid())
        elif fault == "store":
            kill(self.cluster.hosts[0].pid_of("etcd"))
        elif fault == "container":
            running = host.hawse("ps", "-q").stdout.split()
            if running:
                host.hawse("kill", self.dice.choice(running), check=False)
        else:
            host.cut()
            self.act()
            time.sleep(self.dice.uniform(0, 8))
            host.mend()

    def rest(self):
        """Everything is mended: the tables must come to say what the store says."""
        for host in self.cluster.hosts:
            host.hawse("network", "ls")
        for host in self.cluster.hosts:
            eventually(lambda h=host: all(h.verify(n).stdout == "" for n in self.used(h)), 60)

    def used(self, host):
        shown = host.hawse("network", "ls", "--filter", "driver=overlay", "--format", "{{.Name}}").stdout.split()
        return [name for name in shown if name in NETWORKS]


def kill(pid):
    if pid:
        os.kill(pid, signal.SIGKILL)


def main(seconds=600, seed=None):
    seed = int(time.time()) if seed is None else seed
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        cluster = Cluster(Path(directory) / "hosts")
        try:
            soak = Soak(cluster, random.Random(seed))
            soak.prepare()
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                soak.break_something() if soak.dice.random() < 0.1 else soak.act()
            soak.rest()
            print(f"{soak.done} acts, no difference left", flush=True)
        finally:
            cluster.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
