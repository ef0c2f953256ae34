"""Clusters of temporary hosts for tests: several network namespaces on one virtual wire, each with its own hawse state.

The cluster's store is a real etcd. The host objects have methods that inject faults, such as a cut connection or a
reboot.
"""

from __future__ import annotations

import glob
import itertools
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from engine.agent.client import ask
from engine.cluster import membership as memberships
from tests.conftest import Host, Netns, Peer, require_root, until

LEASE = 4  # seconds until the etcd lease of a dead host expires
COUNTER = itertools.count(1)
FAILS_LATE = """from engine.errors import Unavailable
from engine.swarm import swarm

def fail(manager):
    raise Unavailable("too late")

swarm.wait_until_open = fail
"""
"""A program for `Host.hawse` that makes a ``swarm init`` or ``swarm join`` as manager fail in its last step."""
KILLED_LATE = """import os
from engine.swarm import swarm
swarm._enter = lambda *_: os.kill(os.getpid(), 9)
"""
"""A program for `Host.hawse` that kills a ``swarm init`` or ``swarm join`` before the host becomes a member."""


class Member(Host):
    """A host of the cluster. Its lease in the etcd store is short, so that the cluster notices the host's death within
    a test. Its etcd does not wait for the disk, because a disk that other programs keep busy may take seconds.
    """

    settings = {"HAWSE_LEASE": str(LEASE), "ETCD_UNSAFE_NO_FSYNC": "true"}

    def env(self, **extra):
        return super().env(**{**self.settings, **extra})

    def begin(self, *argv):
        """Start a hawse command that a test can kill, and return its process.

        The command does not use the warm server (a resident process that runs commands). The command runs in the
        returned process.
        """
        env = self.env(HAWSE_WARM="off")
        return subprocess.Popen(
            self.command(*argv), env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def remove_objects_since(self, began):
        """Remove what was created after ``began``, and leave a cluster that was created or joined after it."""
        super().remove_objects_since(began)
        certificate = memberships.directory(self.root) / memberships.AUTHORITY  # written once
        if certificate.exists() and certificate.stat().st_mtime >= began.timestamp():
            self.hawse("swarm", "leave", "--force", check=False)

    @property
    def underlay(self):
        return f"192.168.99.{10 + self.index}"

    def start(self, name, network, *flags, command=("sleep", "1d")):
        return self.hawse("run", "-d", "--name", name, "--network", network, *flags, "hostfs", *command).stdout.strip()

    def reaches(self, container, target):
        """Return whether ``target`` answers one ping from a container; a name is resolved inside the container."""
        argv = ("exec", container, "busybox", "ping", "-c1", "-W1", target)
        return self.hawse(*argv, check=False).returncode == 0

    def ip(self, container, network):
        template = f"{{{{.NetworkSettings.Networks.{network}.IPAddress}}}}"
        return self.hawse("inspect", "-f", template, container).stdout.strip()

    def verify(self, network, *flags):
        return self.hawse("network", "verify", *flags, network, check=False)

    def agent_pid(self):
        answer = ask(self.run_dir, "status", 5.0)
        return json.loads(answer)["pid"] if answer and answer != "late" else 0

    def tool(self, *argv):
        """Run stand_in.py on this host.

        The script reserves endpoints as containers would, or changes the kernel's FDB and neighbour tables as another
        program could.
        """
        command = [
            "ip",
            "netns",
            "exec",
            self.name,
            sys.executable,
            str(Path(__file__).with_name("stand_in.py")),
            *argv,
        ]
        done = subprocess.run(command, env=self.env(), capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    def pid_of(self, process):
        return int((self.run_dir / "cluster" / f"{process}.pid").read_text().partition(":")[0])

    def cut(self):
        """Cut this host off from the other hosts: set its network interface down, so that no packet goes in or out."""
        self.peer.run("ip", "link", "set", f"v{self.index}", "down")

    def repair(self):
        self.peer.run("ip", "link", "set", f"v{self.index}", "up")

    @contextmanager
    def dropping(self, direction, packets=""):
        """Drop this host's packets in one direction: ``input`` drops received packets, ``output`` drops sent
        packets. With ``packets``, an expression of nft, only these packets are dropped.
        """
        device = {"input": "iifname", "output": "oifname"}[direction]
        chain = f"inet one_way c {{ type filter hook {direction} priority -300; }}"
        self.run(
            "nft", f"add table inet one_way; add chain {chain}; add rule inet one_way c {device} ext0 {packets} drop"
        )
        try:
            yield
        finally:
            self.run("nft", "delete", "table", "inet", "one_way")

    def reboot(self):
        """Simulate a reboot of this host.

        Only the files on disk stay: all processes, namespaces, devices and HAWSE_RUN are deleted.
        """
        mac = self.sh("cat /sys/class/net/ext0/address").strip()
        self.kill_processes()
        self.peer.run("ip", "link", "del", f"v{self.index}")
        with open(self.path):  # keeps the old namespace's inode in use, so that hawse sees a new inode after the reboot
            Netns.delete(self)
            shutil.rmtree(self.run_dir)
            self.__init__(self.name, self.peer, self.state, self.index)
        self.run("ip", "link", "set", "ext0", "address", mac)


class Cluster:
    """A cluster: its hosts, and the virtual wire that connects the hosts."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.hosts = directory, []
        self.peer = Peer(f"hwc{os.getpid()}p{next(COUNTER)}", ipv6=False)
        # The neighbour (another machine on the hosts' network) refuses each DNS query with an ICMP error. Without a
        # rate limit of these errors, queries for unknown names fail at once instead of after a time-out.
        self.peer.sh("sysctl -qw net.ipv4.icmp_ratelimit=0")

    def add_host(self) -> Member:
        index = len(self.hosts) + 1
        host = Member(f"hwc{os.getpid()}h{next(COUNTER)}", self.peer, self.directory, index)
        self.hosts.append(host)
        return host

    def init(self) -> Member:
        host = self.add_host()
        host.hawse("swarm", "init", "--advertise-addr", host.underlay)
        return host

    def join(self, role="worker") -> Member:
        host = self.add_host()
        host.hawse("swarm", "join", "--token", self.token(role), f"{self.hosts[0].underlay}:2377")
        return host

    def token(self, role="worker"):
        return self.hosts[0].hawse("swarm", "join-token", "-q", role).stdout.strip()

    def grow(self, hosts) -> list[Member]:
        while len(self.hosts) < hosts:
            self.join() if self.hosts else self.init()
        return self.hosts

    def everywhere(self, action):
        """Call ``action`` with each host of the cluster, all hosts in parallel; return the results."""
        with ThreadPoolExecutor(len(self.hosts)) as pool:
            return list(pool.map(action, self.hosts))

    def close(self):
        for host in self.hosts:
            host.delete()
        self.peer.delete()
        shutil.rmtree(self.directory, ignore_errors=True)


eventually = partial(until, pause=0.1)  # a longer pause, because most conditions run a hawse command


def new_cluster(directory):
    """Make a cluster without hosts for the tests that use a fixture."""
    require_root()
    if shutil.which("etcd") is None:
        pytest.skip("etcd is not installed (apt-get install etcd-server)")
    with closing(Cluster(directory)) as made:
        yield made


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster that the tests of one module share. The cluster has no hosts at the start."""
    yield from new_cluster(tmp_path_factory.mktemp("cluster"))


@pytest.fixture
def fresh(tmp_path):
    """A cluster without hosts that only one test uses."""
    yield from new_cluster(tmp_path / "cluster")


def shifted_clock(offset):
    """Return the environment variables by which a command and its child processes see a shifted time, such as "+20h".

    The test is skipped without libfaketime. The program ``faketime`` is not used: it fails if a process with the same
    pid left its semaphore behind, as killed processes with libfaketime do.
    """
    library = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    if not library:
        pytest.skip("libfaketime is not installed (apt-get install faketime)")
    quiet = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_DISABLE_SHM": "1"}
    return {"HAWSE_WARM": "off", "LD_PRELOAD": library[0], "FAKETIME": offset, **quiet}


def processes_of(host):
    """Return the command lines of all processes in a host's network namespace."""
    pids = subprocess.run(["ip", "netns", "pids", host.name], capture_output=True, text=True).stdout.split()
    commands = []
    for pid in pids:
        with suppress(OSError):  # the process may have ended after the pids were listed
            commands.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode())
    return commands
