"""Clients that open as many connections as they can. Other clients, DNS queries and commands must still be served.

The agent of these tests has a low limit of file descriptors. A flood of connections reaches this limit within a second.
"""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import median

import dns.message
import pytest

from engine.agent import client
from tests.conftest import new_host, until
from tests.packets import socket_in

pytestmark = pytest.mark.netns
DESCRIPTORS = 1024
CONNECTIONS, FLOWS = DESCRIPTORS // 4, DESCRIPTORS // 8
LIMITED = ("setpriv", "--bounding-set", "-sys_resource", "prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}")
RESET = struct.pack("ii", 1, 0)


class Scenario:
    """A host whose agent may open only few file descriptors. One container publishes ports, and another container
    resolves the name of the first one.
    """

    def __init__(self, host) -> None:
        self.host, self.stack = host, ExitStack()
        host.peer.sh(f"ip -6 route add fd98::/32 dev br0; ip -6 route add fd00::/16 via {host.address6}")
        host.sh("ip -6 route add fd98::/32 via fd99::99")
        # This command starts the agent, and the agent inherits the command's low limit of file descriptors.
        host.run(*LIMITED, *host.launcher, "network", "create", "app", env=host.env())
        published = ("-p", "8080:80", "-p", "8081:81", "-p", "8080:80/udp")
        argv = ("run", "-d", "--name", "web", "--network", "app", *published, "hostfs", "sleep", "1000")
        host.hawse(*argv)
        host.hawse("run", "-d", "--name", "db", "--network", "app", "hostfs", "sleep", "1000")
        pids = host.hawse("inspect", "-f", "{{.State.Pid}}", "web", "db").stdout.split()
        self.web, self.db = (f"/proc/{pid}/ns/net" for pid in pids)
        self.agent = json.loads(client.ask(host.run_dir, "status", 5) or "{}")["pid"]
        self.here, self.there = (os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in (host.path, host.peer.path))
        before, self.idle = 0, self.resting_descriptors()
        while before != self.idle:  # the agent may still open descriptors that it keeps
            before, self.idle = self.idle, self.resting_descriptors()

    def open(self, path: str) -> int:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.stack.callback(os.close, fd)
        return fd

    def make(self, netns: int, family: int, kind: int) -> socket.socket:
        return self.stack.enter_context(socket_in(netns, family, kind))

    def serve(self, port: int = 80, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """Return a listening socket in the container that publishes ports."""
        server = self.make(self.open(self.web), socket.AF_INET, kind)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("0.0.0.0", port))
        server.settimeout(8)
        if kind == socket.SOCK_STREAM:
            server.listen(4096)
        return server

    def clients(self, number: int, *, port: int = 8080, outside: bool = False, source: str = "") -> list[socket.socket]:
        """Connect ``number`` clients in parallel, and return the sockets that were not reset. The clients send
        nothing.
        """
        made = []
        for _ in range(number):
            sock = self.make(self.there if outside else self.here, socket.AF_INET6, socket.SOCK_STREAM)
            if source:
                sock.bind((source, 0))
            with suppress(OSError):
                sock.connect_ex((self.host.address6 if outside else "::1", port))
            made.append(sock)
        until(lambda: all(self.settled(sock) for sock in made))
        return [sock for sock in made if self.alive(sock)]

    @staticmethod
    def settled(sock: socket.socket) -> bool:
        """Return whether a client's connection attempt has ended, because the connection was accepted or reset."""
        state = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        return state != 2  # state 2 is SYN_SENT

    @staticmethod
    def alive(sock: socket.socket) -> bool:
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 1  # state 1 is ESTABLISHED

    def settle(self) -> None:
        """Wait until the agent has closed all connections whose clients have disconnected."""
        until(lambda: self.descriptors() <= self.idle + 1)  # the connection for the status query may use one descriptor

    def resting_descriptors(self) -> int:
        """Return the lowest number of file descriptors that the agent had open within one second.

        The lowest number counts, because the agent opens a few more descriptors for a moment when it checks the
        firewall.
        """
        counts = []
        for _ in range(20):
            counts.append(self.descriptors())
            time.sleep(0.05)
        return min(counts)

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.agent}/fd"))

    def memory(self) -> int:
        """Return the agent's resident memory in bytes."""
        match = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.agent}/status").read_text())
        assert match
        return int(match[1]) * 1024

    def name_time(self, number: int = 100) -> float:
        """Resolve a name ``number`` times and return the median seconds; fail if an answer is wrong."""
        times = []
        names = self.make(self.open(self.db), socket.AF_INET, socket.SOCK_DGRAM)
        names.connect(("127.0.0.11", 53))
        names.settimeout(5)
        for _ in range(number):
            query = dns.message.make_query("web", "A")
            begin = time.perf_counter()
            names.send(query.to_wire())
            reply = dns.message.from_wire(names.recv(512))
            times.append(time.perf_counter() - begin)
            assert reply.id == query.id and reply.answer
        return median(times)

    def command_time(self) -> float:
        """Return the seconds that the agent takes to handle one notification. A command sends such a notification after
        each change.
        """
        begin = time.perf_counter()
        assert client.notify(self.host.run_dir, self.host.root, start=False)
        return time.perf_counter() - begin


@pytest.fixture(scope="module")
def flooded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenario]:
    with new_host(tmp_path_factory.mktemp("floods"), ipv6=True) as host:
        made = Scenario(host)
        yield made
        os.close(made.here)
        os.close(made.there)


@pytest.fixture
def scenario(flooded) -> Iterator[Scenario]:
    with flooded.stack:
        yield flooded


def held(clients: list[socket.socket]) -> int:
    return sum(Scenario.alive(sock) for sock in clients)


def test_dns_commands_and_other_clients_work_during_a_flood_of_idle_clients(scenario):
    scenario.serve()
    other = scenario.serve(81)
    before, command, memory = scenario.name_time(), scenario.command_time(), scenario.memory()
    flood = scenario.clients(2 * DESCRIPTORS, outside=True)
    until(lambda: held(flood) <= CONNECTIONS // 2)
    assert held(flood) == CONNECTIONS // 2, "half of all places, and the rest is for others"
    assert (scenario.host.run_dir / "agent.log").read_text().count("connection from fd99::99 reset") == 1
    assert scenario.name_time() < 5 * before + 0.005
    assert scenario.command_time() < 5 * command + 0.05
    assert scenario.memory() < memory + (4 << 20)
    assert scenario.host.hawse("network", "create", "later").stdout.strip()
    [neighbour] = scenario.clients(1)
    [same_client] = scenario.clients(1, port=8081, outside=True)
    same_client.send(b"x")
    accepted, _ = other.accept()
    with accepted:
        assert accepted.recv(1) == b"x"
        assert Scenario.alive(neighbour)


def test_clients_of_one_ipv6_prefix_cannot_use_all_connections(scenario):
    scenario.settle()
    scenario.serve()
    scenario.host.peer.sh("".join(f"ip -6 addr add fd98:0:0:1::{n:x}/128 dev br0 nodad\n" for n in range(1, 200)))
    for number in range(1, 200):
        scenario.clients(8, outside=True, source=f"fd98:0:0:1::{number:x}")
    [asking] = scenario.clients(1, outside=True)
    time.sleep(0.1)
    assert Scenario.alive(asking)


def test_connections_that_clients_have_reset_no_longer_count_against_the_limit(scenario):
    scenario.settle()
    scenario.serve()
    for _ in range(3):
        flood = scenario.clients(CONNECTIONS)
        until(lambda: held(flood) == CONNECTIONS // 2)  # noqa: B023
        for sock in flood:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            sock.close()
        scenario.settle()


def test_connections_are_probed_on_both_sides_and_may_be_idle_for_ever(scenario):
    server = scenario.serve()
    scenario.clients(1)
    accepted, _ = server.accept()
    connections = [
        line
        for line in scenario.host.sh("ss -Htnpo state established").splitlines()
        if f"pid={scenario.agent}," in line
    ]
    accepted.close()
    assert len(connections) == 2
    for line in connections:
        match = re.search(r"timer:\(keepalive,(\d+)(min|sec)", line)
        assert match, line
        assert int(match[1]) * (60 if match[2] == "min" else 1) <= 60


def test_what_clients_do_not_read_is_not_kept_in_memory(scenario):
    scenario.settle()
    server = scenario.serve()
    clients = scenario.clients(100)
    writers = [server.accept()[0] for _ in clients]
    memory = scenario.memory()
    for _ in range(5):
        for writer in writers:
            writer.setblocking(False)
            with suppress(BlockingIOError):
                while True:
                    writer.send(bytes(1 << 16))
        time.sleep(0.1)
    assert scenario.memory() < memory + (1 << 20)
    writers[0].setblocking(True)
    clients[0].settimeout(8)
    first = clients[0].recv(1 << 16)
    assert first == bytes(len(first))


def test_reset_of_a_client_is_noticed_though_the_container_reads_nothing(scenario):
    server = scenario.serve()
    scenario.settle()
    [asking] = scenario.clients(1)
    accepted, _ = server.accept()
    with suppress(BlockingIOError):
        while True:
            asking.send(bytes(1 << 20))
            time.sleep(0.01)
    time.sleep(0.2)
    assert scenario.descriptors() >= scenario.idle + 2
    asking.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    asking.close()
    scenario.settle()
    accepted.close()


def test_datagrams_of_a_greedy_client_do_not_displace_anothers_flow(scenario):
    server = scenario.serve(80, socket.SOCK_DGRAM)
    asking = scenario.make(scenario.there, socket.AF_INET6, socket.SOCK_DGRAM)
    asking.connect((scenario.host.address6, 8080))
    asking.send(b"mine")
    assert server.recvfrom(10)[0] == b"mine"
    asking.send(b"mine")
    place = server.recvfrom(10)[1]
    before = scenario.descriptors()
    for _ in range(4 * FLOWS):
        greedy = scenario.make(scenario.here, socket.AF_INET6, socket.SOCK_DGRAM)
        greedy.connect(("::1", 8080))
        greedy.send(b"flood")
        assert server.recvfrom(10)[0] == b"flood", "each is served, at the cost of its own others"
    assert scenario.descriptors() <= before + FLOWS // 2
    asking.send(b"mine")
    assert server.recvfrom(10) == (b"mine", place)
    server.sendto(b"answer", place)
    asking.settimeout(8)
    assert asking.recv(10) == b"answer"


def test_datagrams_of_forged_addresses_leave_room_for_a_new_client(scenario):
    server = scenario.serve(80, socket.SOCK_DGRAM)
    addresses = [f"fd98:0:{n:x}::1" for n in range(2 * FLOWS)]
    scenario.host.peer.sh("".join(f"ip -6 addr add {address}/128 dev br0 nodad\n" for address in addresses))
    before = scenario.descriptors()
    for address in addresses:
        forged = scenario.make(scenario.there, socket.AF_INET6, socket.SOCK_DGRAM)
        forged.bind((address, 0))
        forged.sendto(b"forged", (scenario.host.address6, 8080))
        assert server.recvfrom(10)[0] == b"forged"
    assert scenario.descriptors() <= before + FLOWS
    asking = scenario.make(scenario.here, socket.AF_INET6, socket.SOCK_DGRAM)
    asking.settimeout(8)
    asking.connect(("::1", 8080))
    asking.send(b"new")
    data, place = server.recvfrom(10)
    server.sendto(b"re:" + data, place)
    assert asking.recv(10) == b"re:new"
