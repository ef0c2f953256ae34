"""Run random commands and random faults on a cluster, then check it: ``python -m tests.cluster.soak [SECONDS [SEED]]``.

Three hosts run commands at the same time, each in its own thread: create, connect, stop and remove. Meanwhile the
program kills commands, agents, containers, etcd and whole hosts. It also blocks the packets between hosts, in one
direction or in both. Then all faults end, and `tests.cluster.rest` must find no error in tables, names, reachability
and addresses. Finally all containers and networks are removed. Then none of their records may be left in the etcd
store, and none of their objects in a kernel.

The seed decides the commands and the faults; the times at which they happen depend on the machine. The program exits
with 1 and prints one line for each error.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tests.cluster import rest
from tests.cluster.conftest import Cluster
from tests.soak import Soak, settled, weighted

NETWORKS = ("red", "blue")
FLEETING = "fleeting"
"""Name of a network that hosts create and remove during the run."""
CONTAINERS = 4
"""The number of container names that commands use on each host."""
PATIENCE_SECONDS = 60.0
"""Seconds within which the cluster must be free of errors after the faults have ended."""


class ClusterSoak(Soak):
    """One run on a cluster of three hosts."""

    def __init__(self, cluster, seed):
        super().__init__({host.index: host for host in cluster.grow(3)}, seed, pauses=(2, 6), kills=(0.05, 1.5))
        self.cluster = cluster

    def prepare(self):
        for name in NETWORKS:
            self.cluster.hosts[0].hawse("network", "create", "-d", "overlay", "--attachable", name)

    def choose(self, number, dice):
        name = f"h{number}c{dice.randrange(CONTAINERS)}"
        network = dice.choice((*NETWORKS, *NETWORKS, FLEETING))
        return weighted(dice, (
            (6, ("run", "-d", "--name", name, "--network", network, "hostfs", "sleep", "1d")),
            (3, ("network", "connect", network, name)),
            (2, ("network", "disconnect", network, name)),
            (1, ("stop", "-t0", name)),
            (2, ("start", name)),
            (2, ("rm", "-f", name)),
            (1, ("network", "create", "-d", "overlay", "--attachable", FLEETING)),
            (1, ("network", "rm", FLEETING)),
            (1, ("network", "verify", dice.choice(NETWORKS), "--fix")),
        ))  # fmt: skip

    def fault(self, dice):
        fault = dice.choice((kill_agent, kill_store, kill_container, crash, cut, cut, deaf, mute))
        host = dice.choice(self.cluster.hosts)
        return f"{fault.__name__} of host {host.index}", lambda: fault(self.cluster, host, dice)

    def differences(self):
        """Return the recorded problems, and the errors found in the cluster after all faults have ended.

        If the cluster has no errors, remove all containers and networks. Then return one error for each record or
        kernel object that is left.
        """
        for host in self.cluster.hosts:
            settled(lambda h=host: self.refused(h), PATIENCE_SECONDS)
        faults = settled(lambda: rest.amiss(self.cluster.hosts), PATIENCE_SECONDS)
        running = sum(len(rest.containers(host)) for host in self.cluster.hosts)
        self.say(f"at rest with {running} containers: {len(faults)} differences")
        if not faults:
            rest.clear(self.cluster.hosts, (*NETWORKS, FLEETING))
            faults = settled(lambda: list(rest.left_over(self.cluster.hosts)), PATIENCE_SECONDS)
            self.say(f"all removed: {len(faults)} things left")
        return [*self.problems, *faults]

    def refused(self, host):
        """Return whether a host refuses to run one more container that is connected to all networks."""
        name = f"h{host.index}last"
        host.hawse("rm", "-f", name, check=False)
        both = [flag for network in NETWORKS for flag in ("--network", network)]
        return host.hawse("run", "-d", "--name", name, *both, "hostfs", "sleep", "1d", check=False).returncode


# --------------------------------------------------------------------------------------------------- faults


def kill(pid):
    with suppress(ProcessLookupError):
        if pid:
            os.kill(pid, signal.SIGKILL)


def kill_agent(_, host, __):
    kill(host.agent_pid())


def kill_store(cluster, _, __):
    kill(cluster.hosts[0].pid_of("etcd"))


def kill_container(_, host, dice):
    running = rest.containers(host)
    if running:
        kill(dice.choice(running)["State"]["Pid"])


def crash(_, host, __):
    """Kill every process on a host. The next hawse command starts the needed processes again."""
    host.kill_processes()
    host.hawse("network", "ls", check=False)


def cut(_, host, dice):
    host.cut()
    time.sleep(dice.uniform(1, 10))
    host.repair()


def deaf(_, host, dice):
    with host.dropping("input"):
        time.sleep(dice.uniform(1, 10))


def mute(_, host, dice):
    with host.dropping("output"):
        time.sleep(dice.uniform(1, 10))


def main(seconds=600, seed=None):
    seed = int(time.time()) if seed is None else seed
    print(f"soak: {seconds} seconds, seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        cluster = Cluster(Path(directory) / "hosts")
        try:
            soak = ClusterSoak(cluster, seed)
            soak.prepare()
            soak.run(seconds)
            differences = soak.differences()
            print("\n".join([*differences, f"{dict(soak.done)}: {len(differences)} differences (seed {seed})"]))
            return 1 if differences else 0
        finally:
            cluster.close()


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3])))
