"""Several hosts on one virtual wire, and overlay networks between the hosts. Containers are bare network namespaces."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

import pytest
from msgspec.structs import replace

from drivers.linux import netns as namespaces
from drivers.model import EndpointSpec, NetworkSpec, Peer, Pool, Sandbox, Settings
from drivers.overlay import OverlayDriver
from drivers.overlay.namespace import OverlayNamespace

COUNTER = itertools.count(1)
VTEP, VNIS = "com.hawse.overlay.vtep", "com.docker.network.driver.overlay.vxlanid_list"
MESSAGE_PORT = 5000


@dataclass(eq=False)
class Container:
    """A container without processes: a sandbox with one endpoint on one host."""

    namespace: str
    host: int
    endpoint: EndpointSpec

    @property
    def path(self) -> str:
        return f"/run/netns/{self.namespace}"

    @property
    def mac(self) -> str:
        return self.endpoint.mac

    @property
    def ipv4(self) -> str:
        return str(self.endpoint.ipv4.ip)

    @property
    def ipv6(self) -> str:
        return str(self.endpoint.ipv6.ip)

    def sh(self, script: str) -> str:
        command = ["ip", "netns", "exec", self.namespace, "sh", "-c", script]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout

    def pings(self, address: str, size: int = 56, wait: float = 5) -> bool:
        command = ["ping", "-c1", "-W", str(wait), "-M", "do", "-s", str(size), address]
        done = namespaces.run_in_netns(self.path, lambda: subprocess.run(command, capture_output=True, timeout=10))
        return done.returncode == 0

    def sends_to_all(self, group: str, others: list[Container]) -> list[int]:
        """Send one message to a multicast group, and return how many copies each of the other containers receives."""
        receivers = [namespaces.run_in_netns(other.path, lambda: _receiver(group)) for other in others]
        sender = namespaces.run_in_netns(self.path, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        with contextlib.closing(sender):
            sender.sendto(b"to all", (group, MESSAGE_PORT))
        time.sleep(0.3)
        return [_count(receiver) for receiver in receivers]


def _receiver(group: str) -> socket.socket:
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    receiver.bind(("", MESSAGE_PORT))
    if ip_address(group).is_multicast:
        membership = socket.inet_aton(group) + bytes(4) + socket.if_nametoindex("eth0").to_bytes(4, sys.byteorder)
        receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    return receiver


def _count(receiver: socket.socket) -> int:
    with contextlib.closing(receiver):
        number = 0
        with contextlib.suppress(BlockingIOError):
            while receiver.recv(100):
                number += 1
        return number


@dataclass(eq=False)
class Member:
    """One overlay network on one host, with the host's driver and the network's peers (endpoints on other hosts)."""

    host: object
    network: NetworkSpec
    peers: list[Peer] = field(default_factory=list)
    driver: OverlayDriver = field(default_factory=OverlayDriver)

    def __post_init__(self) -> None:
        self.driver.configure(Settings(self.host.run_dir))

    def act(self, verb: str, *args, **kwargs):
        """Call the method ``verb`` of the network's driver, such as ``create_network``, on this host."""
        return self.here(lambda: getattr(self.driver, verb)(self.network, *args, **kwargs))

    def here(self, action):
        """Run a Python function in this host's network namespace, with this host's HAWSE_RUN."""
        os.environ["HAWSE_RUN"] = str(self.host.run_dir)  # marks the idle processes that keep namespaces alive
        return namespaces.run_in_netns(self.host.path, action)

    @property
    def place(self) -> OverlayNamespace:
        return self.driver.namespace(self.network)

    def program(self) -> None:
        self.act("program_peers", self.peers)

    def verify(self, peers: list[Peer] | None = None, fix: bool = False) -> list[str]:
        return [difference.line for difference in self.act("verify", self.peers if peers is None else peers, fix)]

    def add_peer(self, peer: Peer) -> None:
        self.act("add_peer", peer)

    def remove_peer(self, peer: Peer) -> None:
        self.act("remove_peer", peer)

    def kill_throughout(self, verb: str, kills: range) -> None:
        """Run the driver method ``verb`` once for each number in ``kills``, and kill the run after that many function
        calls.

        After each kill, the next run of the method must succeed.
        """
        for calls in kills:
            self.act("delete_network" if verb == "create_network" else "create_network")
            if self._killed_after(calls, verb) == 0:
                break
            self.act(verb)
            assert self.keepers() <= 1
        assert kills[3] < calls < kills[-1]

    def _killed_after(self, calls: int, verb: str) -> int:
        """Run the driver method ``verb`` in a child process that dies after ``calls`` function calls.

        Return 0 if the method needed fewer function calls and has finished.
        """
        child = os.fork()
        if child == 0:
            left = [calls]

            def count(frame, event, _argument):
                if event == "call" and "/drivers/" in frame.f_code.co_filename:
                    left[0] -= 1
                    if not left[0]:
                        os.kill(os.getpid(), signal.SIGKILL)

            try:
                sys.setprofile(count)
                self.act(verb)
                sys.setprofile(None)
                os._exit(0)
            finally:
                os._exit(1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (0, -signal.SIGKILL)
        return status

    def keepers(self) -> int:
        """Return the number of idle processes that keep this host's network namespaces alive."""
        count = 0
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                marked = f"HAWSE_RUN={self.host.run_dir}\0".encode() in (process / "environ").read_bytes()
                count += marked and (process / "comm").read_text() == "sleep\n"
        return count

    def timed_program(self, peers: list[Peer]) -> float:
        start = time.monotonic()
        self.act("program_peers", peers)
        return time.monotonic() - start

    def inside(self, script: str) -> str:
        """Run a script in the network namespace of the overlay network on this host, and return the script's output."""
        command = ["nsenter", f"--net={self.place.sandbox.path}", "sh", "-ec", script]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout

    @contextlib.contextmanager
    def monitor(self) -> Iterator:
        """Record the changes of the network's FDB during the ``with`` block.

        After the block, the yielded function returns the recorded changes.
        """
        command = ["nsenter", f"--net={self.place.sandbox.path}", "bridge", "monitor", "fdb"]
        watch = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        time.sleep(0.2)
        seen: list[str] = []
        try:
            yield lambda: seen[0]
        finally:
            time.sleep(0.2)
            watch.terminate()
            seen.append(watch.communicate(timeout=5)[0])


class OverlayNetwork:
    """An overlay network that exists on several hosts."""

    def __init__(self, cluster: Cluster, members: list[Member]) -> None:
        self.cluster, self.members = cluster, members
        self.numbers = itertools.count(2)
        self.pools = members[0].network.pools

    def container(self, host: int, pool: int | None = None) -> Container:
        """Create a container on a host, and program its endpoint as a peer on all other hosts of the network."""
        endpoint = self.endpoint(pool)
        made = Container(self.cluster.namespace(), host, endpoint)
        member = self.members[host]
        member.act("create_endpoint", endpoint)
        member.act("join", endpoint, Sandbox(made.namespace, made.path), "eth0")
        for other in self.members:
            if other is not member:
                other.peers.append(self.peer(made))
                other.program()
        return made

    def endpoint(self, pool: int | None = None) -> EndpointSpec:
        number = next(self.numbers)
        pools = self.pools if pool is None else [self.pools[pool]]
        chosen = {f"ipv{p.subnet.version}": ip_interface(f"{p.subnet[number]}/{p.subnet.prefixlen}") for p in pools}
        return EndpointSpec(id=secrets.token_hex(32), mac="02:" + secrets.token_bytes(5).hex(":"), **chosen)

    def leave(self, container: Container) -> None:
        member = self.members[container.host]
        member.act("leave", container.endpoint, Sandbox(container.namespace, container.path))
        member.act("delete_endpoint", container.endpoint)

    def differences(self, container: Container) -> list:
        """Return the differences of a container's port and interface on the container's host."""
        sandbox = Sandbox(container.namespace, container.path)
        return self.members[container.host].act("compare_endpoint", container.endpoint, sandbox, "eth0")

    def repair(self, container: Container) -> None:
        """Repair a container's port and interface, as the agent does."""
        sandbox, damage = Sandbox(container.namespace, container.path), self.differences(container)
        if damage:
            self.members[container.host].act("repair_endpoint", container.endpoint, sandbox, "eth0", damage)

    def peer(self, container: Container, host: int | None = None) -> Peer:
        endpoint = container.endpoint
        member = self.members[container.host if host is None else host]
        tunnel = ip_address(f"10.255.0.{member.host.index}")
        ipv4, ipv6 = (a.ip if a is not None else None for a in (endpoint.ipv4, endpoint.ipv6))
        return Peer(endpoint.id, endpoint.mac, ipv4, ipv6, ip_address(member.network.options[VTEP]), tunnel)

    def made_up_peer(self, number: int) -> Peer:
        mac = "02:" + number.to_bytes(5).hex(":")
        ipv4, ipv6 = (pool.subnet[number + 1000] for pool in self.pools)
        return Peer(f"{number:064x}", mac, ipv4, ipv6, ip_address(f"192.168.99.{20 + number % 50}"))


class Cluster:
    """Hosts on one virtual wire. The tests create overlay networks between these hosts."""

    def __init__(self, peer, directory: Path, host_class: type) -> None:
        self.peer, self.directory, self.host_class = peer, directory, host_class
        self.hosts: list = []
        self.namespaces: list[str] = []
        self.vnis = itertools.count(4097)
        self.members: list[Member] = []

    def network(self, name: str, *subnets: str, hosts: int = 2, underlay: int = 4, vni: int = 0, **fields):
        """Create an overlay network and activate it on the first ``hosts`` hosts.

        ``fields`` are fields of the network's specification. The field ``options`` applies to every host.
        """
        pools = tuple(Pool(s, ip_interface(f"{s[1]}/{s.prefixlen}")) for s in map(ip_network, subnets))
        vnis = ",".join(str(vni or next(self.vnis)) for _ in pools)
        extra = fields.pop("options", {})
        network = NetworkSpec(sha256(name.encode()).hexdigest(), name, {}, pools, **fields)
        network = replace(network, ipv6=any(p.subnet.version == 6 for p in pools))
        members = []
        for host in self.some(hosts):
            vtep = host.address if underlay == 4 else host.address6
            options = {VNIS: vnis, VTEP: vtep, **(extra(host) if callable(extra) else extra)}
            members.append(self.member(host, replace(network, options=options)))
            members[-1].act("check_network", [])
            members[-1].act("create_network")
        return OverlayNetwork(self, members)

    def member(self, host, network: NetworkSpec) -> Member:
        made = Member(host, network)
        self.members.append(made)
        return made

    def some(self, count: int) -> list:
        while len(self.hosts) < count:
            index = len(self.hosts) + 1
            self.hosts.append(self.host_class(f"hwt{os.getpid()}o{next(COUNTER)}", self.peer, self.directory, index))
        return self.hosts[:count]

    def namespace(self) -> str:
        name = f"hwt{os.getpid()}oc{next(COUNTER)}"
        subprocess.run(["ip", "netns", "add", name], check=True)
        self.namespaces.append(name)
        return name

    def forget(self, container: Container) -> None:
        """Delete a container's network namespace, as the kernel does when the container's process dies."""
        self.namespaces.remove(container.namespace)
        subprocess.run(["ip", "netns", "del", container.namespace], check=True)

    def close(self) -> None:
        with contextlib.ExitStack() as last_first:
            for host in self.hosts:
                last_first.callback(host.delete)
            for name in self.namespaces:
                last_first.callback(subprocess.run, ["ip", "netns", "del", name], check=False)
            for member in self.members:
                last_first.callback(member.act, "delete_network")


@pytest.fixture
def cluster(peer, tmp_path, monkeypatch) -> Iterator[Cluster]:
    monkeypatch.setenv("HAWSE_RUN", "")
    made = Cluster(peer, tmp_path, _host_class())
    yield made
    made.close()


def _host_class() -> type:
    """Return the class `Host` from tests/conftest.py.

    The class is taken from the loaded modules, because a module with the name conftest cannot be imported normally.
    """
    return next(m.Host for m in list(sys.modules.values()) if getattr(m, "__file__", None) == str(SUITE))


SUITE = Path(__file__).parents[3] / "conftest.py"
