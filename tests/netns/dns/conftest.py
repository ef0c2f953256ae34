"""A host with networks and sandboxes that the tests create without hawse commands.

The command ``ip`` creates the kernel objects, and the tests write the records into the store.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import ip_interface
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from msgspec.structs import replace

from engine.agent import client
from engine.model import (
    ContainerConfig,
    ContainerRecord,
    EndpointRecord,
    EndpointSettings,
    HostConfig,
    NetworkAttachment,
    NetworkRecord,
    PortRecord,
)
from engine.store.sqlite import SqliteStore
from tests.conftest import Host, Netns, until
from tests.packets import socket_in

START = "import sys; from pathlib import Path; from engine.agent.client import notify; "
START += "sys.exit(not notify(Path({run!r}), Path({root!r})))"


def identity(text: str) -> str:
    """Return a 64-digit id that is derived from a name."""
    return hashlib.sha256(text.encode()).hexdigest()


def alive(pid: int) -> bool:
    """Return whether a thread of the process still runs.

    The kernel closes the files of a process after its last thread has ended.
    """
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            if stat.read_text().rpartition(")")[2].split()[0] not in "ZX":
                return True
        except OSError:
            continue
    return False


def outside(script: str) -> None:
    """Run a script, for example one with ``ip netns add``, in the test's own mount namespace.

    Namespaces that are created in another mount namespace are not visible to the test.
    """
    subprocess.run(["sh", "-ec", script], check=True, timeout=20)


class Sandbox:
    """A network namespace that is recorded as a container's sandbox in the store."""

    def __init__(self, name: str, path: str) -> None:
        self.name, self.path = name, path
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def socket(self, kind: int = socket.SOCK_DGRAM, family: int = socket.AF_INET) -> socket.socket:
        made = socket_in(self.fd, family, kind)
        made.settimeout(8)
        return made

    def exchange(self, query: dns.message.Message, *, tcp: bool = False, timeout: float = 8) -> dns.message.Message:
        """Send a query to 127.0.0.11 from inside the sandbox, and return the reply, even a reply with an error code."""
        with self.socket(socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as sock:
            sock.settimeout(timeout)
            sock.connect(("127.0.0.11", 53))
            wire = query.to_wire()
            if not tcp:
                sock.send(wire)
                return dns.message.from_wire(sock.recv(65535))
            sock.sendall(len(wire).to_bytes(2, "big") + wire)
            with sock.makefile("rb") as stream:
                return dns.message.from_wire(stream.read(int.from_bytes(stream.read(2), "big")))

    def ask(self, name: str, kind: str = "A", **how) -> dns.message.Message:
        return self.exchange(dns.message.make_query(name, kind), **how)

    def resolve(self, name: str, kind: str = "A") -> list[str]:
        """Resolve a name inside the sandbox; return the sorted answers, or the error code as in ``["NXDOMAIN"]``."""
        reply = self.ask(name, kind)
        if reply.rcode() != dns.rcode.NOERROR:
            return [dns.rcode.to_text(reply.rcode())]
        return sorted(str(item) for rrset in reply.answer for item in rrset)


class World:
    """A host with networks and sandboxes, and the methods that create them."""

    def __init__(self, host) -> None:
        self.host = host
        self.store = SqliteStore(host.root / "hawse.db")
        self.sandboxes: list[Sandbox] = []
        self.networks: dict[str, NetworkRecord] = {}
        self.environment: dict[str, str] = {}
        self.limit = 0
        """The agent's limit of open file descriptors. 0 means that the agent keeps the limit of the test process."""
        self.opened: list[int] = []
        host.sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")

    def network(self, name: str, gateway: str, gateway6: str = "", *, internal: bool = False) -> NetworkRecord:
        record = NetworkRecord(
            id=identity(name), name=name, created="2026-01-01T00:00:00Z", driver="bridge",
            internal=internal, enable_ipv6=bool(gateway6), predefined=name == "bridge",
        )  # fmt: skip
        self.host.sh(
            f"ip link add br-{name} type bridge; ip addr add {gateway} dev br-{name}; ip link set br-{name} up"
        )
        subnet = ip_interface(gateway).network
        self.host.peer.sh(f"ip route add {subnet} via {self.host.address}")
        if gateway6:
            self.host.sh(f"ip -6 addr add {gateway6} dev br-{name} nodad")
        with self.store.write() as transaction:
            transaction.put_network(record)
        self.networks[name] = record
        return record

    def container(
        self, name: str, joins: dict[str, Sequence[str]], *, names: Sequence[str] = (), links: Sequence[str] = (),
        host: HostConfig | None = None, ports: Sequence[PortRecord] = (),
    ) -> Sandbox:  # fmt: skip
        """Create a sandbox and record its container.

        ``joins`` gives the container's addresses on each network, and ``names`` gives the container's aliases.
        """
        space = f"{self.host.name}-{name}"
        path = f"/run/netns/{space}"
        outside(f"ip netns add {space}; ip -n {space} link set lo up")
        attachments = []
        for index, (network, addresses) in enumerate(joins.items()):
            self._plug(space, f"{name}{index}", network, addresses, default=index == 0)
            settings = EndpointSettings(links=list(links))
            attachments.append(NetworkAttachment(network, settings, self.networks[network].id))
        record = ContainerRecord(
            id=identity(name), name=name, created="2026-01-01T00:00:00Z", config=ContainerConfig(image="hostfs"),
            host=host or HostConfig(), attachments=attachments, status="running", sandbox_id=identity("s" + name),
            sandbox_path=path, kind="adopted",
        )  # fmt: skip
        with self.store.write() as transaction:
            transaction.put_container(record)
        for network, addresses in joins.items():
            self.join(name, network, addresses, (name, *names, record.id[:12]), ports)
        self.sandboxes.append(Sandbox(name, path))
        return self.sandboxes[-1]

    def _plug(self, space: str, wire: str, network: str, addresses: Sequence[str], *, default: bool) -> None:
        on_host = f"ip -n {self.host.name} link"
        outside(
            f"{on_host} add v{wire} type veth peer name e{wire} netns {space}; "
            f"{on_host} set v{wire} master br-{network} up; ip -n {space} link set e{wire} up"
        )
        for address in addresses:
            flags = " nodad" if ":" in address else ""
            gateway = ip_interface(address).network[1]
            outside(f"ip -n {space} addr add {address} dev e{wire}{flags}")
            if default and not self.networks[network].internal:
                outside(f"ip -n {space} route add default via {gateway}")

    def join(
        self, name: str, network: str, addresses: Sequence[str], names: Sequence[str], ports: Sequence[PortRecord] = ()
    ) -> None:
        """Record in the store that a container has a live endpoint on a network."""
        with self.store.write() as transaction:
            transaction.put_endpoint(
                EndpointRecord(
                    id=identity(name + network),
                    network_id=self.networks[network].id,
                    container_id=identity(name),
                    mac="02:42:ac:11:00:02",
                    ipv4=next((a for a in addresses if ":" not in a), ""),
                    ipv6=next((a for a in addresses if ":" in a), ""),
                    names=names,
                    ports=ports,
                    phase="live",
                )
            )

    def leave(self, name: str, network: str) -> None:
        with self.store.write() as transaction:
            transaction.delete_endpoint(identity(name + network))

    def change(self, name: str, **fields) -> None:
        """Change the given fields of the container's record in the store."""
        with self.store.write() as transaction:
            record = transaction.container(identity(name))
            assert record is not None
            transaction.put_container(replace(record, **fields))

    def start(self) -> None:
        """Start the agent from a process in the host's namespace, as a command would."""
        code = START.format(run=str(self.host.run_dir), root=str(self.host.root))
        if not self.limit:
            self.host.hawse(code=code, env=self.environment)
            return
        fewer = ["setpriv", "--bounding-set", "-sys_resource", "prlimit", f"--nofile={self.limit}:{self.limit}"]
        self.host.run(*fewer, sys.executable, "-c", code, env=self.host.env(**self.environment))

    def open(self, path: str) -> int:
        """Open a namespace file and return its descriptor, which stays open until the test ends."""
        self.opened.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        return self.opened[-1]

    def notify(self) -> None:
        assert client.notify(self.host.run_dir, self.host.root, start=False)

    def status(self) -> dict:
        return json.loads(client.ask(self.host.run_dir, "status", 5) or "{}")

    def kill_agent(self) -> None:
        pid = self.status()["pid"]
        os.kill(pid, signal.SIGKILL)
        until(lambda: not alive(pid))

    def log(self) -> str:
        return (self.host.run_dir / "agent.log").read_text()

    def delete(self) -> None:
        for fd in self.opened:
            os.close(fd)
        for sandbox in self.sandboxes:
            os.close(sandbox.fd)
            subprocess.run(["ip", "netns", "del", Path(sandbox.path).name], capture_output=True, timeout=20)


class UpstreamServer:
    """A DNS server in a network namespace. The server answers from ``records`` and counts queries.

    A test can make the server misbehave, for example send no answer, return an error code or truncate replies.
    """

    def __init__(self, path: str, address: str, records: dict[tuple[str, str], list[str]]) -> None:
        self.records, self.asked, self.peers = records, [], []
        self.queries: list[tuple[dns.message.Message, int]] = []
        """List of received queries, each with the query's source port."""
        self.rcode: int | None = None
        self.silent = False
        self.longest = 512
        """Maximum length of a UDP reply in bytes; the server truncates longer replies."""
        self.before: Callable[[bytes, tuple], None] = lambda data, peer: None
        """Function that the server calls with each datagram before the server answers this datagram."""
        fd = os.open(path, os.O_RDONLY)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.udp = socket_in(fd, family, socket.SOCK_DGRAM)
        self.tcp = socket_in(fd, family, socket.SOCK_STREAM)
        os.close(fd)
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for sock in (self.udp, self.tcp):
            sock.setblocking(True)
            sock.bind((address, 53))
        self.tcp.listen(16)
        self.threads = [threading.Thread(target=target, daemon=True) for target in (self._serve_udp, self._serve_tcp)]
        for thread in self.threads:
            thread.start()

    def _serve_udp(self) -> None:
        try:
            while True:
                data, peer = self.udp.recvfrom(65535)
                if peer is None:  # the socket was shut down
                    return
                self.before(data, peer)
                with suppress(dns.exception.DNSException):
                    reply = self._reply(data, peer, self.longest)
                    if reply is not None:
                        self.udp.sendto(reply, peer)
        except OSError:
            return

    def _serve_tcp(self) -> None:
        try:
            while True:
                connection, peer = self.tcp.accept()
                with connection, connection.makefile("rb") as stream:
                    reply = self._reply(stream.read(int.from_bytes(stream.read(2), "big")), peer, 65535)
                    if reply is not None:
                        connection.sendall(len(reply).to_bytes(2, "big") + reply)
        except OSError:
            return

    def _reply(self, data: bytes, peer: tuple, limit: int) -> bytes | None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text().lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        self.queries.append((query, peer[1]))
        self.peers.append(peer[0])
        if self.silent:
            return None
        reply = dns.message.make_response(query, recursion_available=True)
        records = self.records.get((name, kind))
        if self.rcode is not None:
            reply.set_rcode(self.rcode)
        elif records is None:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        else:
            reply.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *records))
        wire = reply.to_wire(max_size=65535)
        if len(wire) > limit:
            reply.answer.clear()
            reply.flags |= dns.flags.TC
            wire = reply.to_wire()
        return wire

    def close(self) -> None:
        """Close the sockets. The threads must end before, because the kernel keeps a socket that a thread reads."""
        self.refuse_tcp()
        with suppress(OSError):
            self.udp.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(5)
        for sock in (self.udp, self.tcp):
            sock.close()

    def refuse_tcp(self) -> None:
        """Stop listening on TCP, so that the kernel refuses TCP queries."""
        with suppress(OSError):
            self.tcp.shutdown(socket.SHUT_RDWR)


@contextmanager
def world_of(host: Host) -> Iterator[World]:
    """Yield the world of a host. At the end, end the host's processes and delete the sandboxes."""
    made = World(host)
    made.environment["HAWSE_AGENT_IDLE"] = "60"
    yield made
    host.kill_processes()
    made.delete()


def make_app(world: World) -> None:
    """Make a dual-stack network ``app`` and two containers on this network."""
    world.network("app", "172.30.0.1/24", "fd00:30::1/64")
    world.container("web", {"app": ["172.30.0.2/24", "fd00:30::2/64"]}, names=["www", "shared"])
    world.container("db", {"app": ["172.30.0.3/24", "fd00:30::3/64"]}, names=["shared"])


@pytest.fixture
def world(host: Host) -> Iterator[World]:
    with world_of(host) as made:
        yield made


@pytest.fixture
def app(world: World) -> World:
    """A host with a dual-stack network ``app`` and two containers on this network."""
    make_app(world)
    return world


@pytest.fixture(scope="module")
def shared_app(module_host: Host) -> Iterator[World]:
    """A host like ``app`` with a running agent, for all tests of a module that leave no unanswered query."""
    with world_of(module_host) as made:
        make_app(made)
        made.start()
        yield made


@contextmanager
def upstream_servers(peer: Netns) -> Iterator[Callable[..., UpstreamServer]]:
    """Yield a function that starts a DNS server on an address in the peer's namespace (another machine)."""
    servers = []

    def start(address: str = "192.168.99.99", path: str = peer.path, **records: list[str]) -> UpstreamServer:
        known = {("peer.example.test.", "A"): ["192.168.99.99"]}
        known.update({(name.replace("__", ".") + ".", "A"): values for name, values in records.items()})
        servers.append(UpstreamServer(path, address, known))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def upstream(peer: Netns) -> Iterator[Callable[..., UpstreamServer]]:
    """Return a function that starts a DNS server beside the host of ``app`` or ``world``."""
    with upstream_servers(peer) as start:
        yield start


@pytest.fixture
def shared_upstream(shared_app: World) -> Iterator[Callable[..., UpstreamServer]]:
    """Return a function that starts a DNS server beside the host of ``shared_app``."""
    with upstream_servers(shared_app.host.peer) as start:
        yield start
