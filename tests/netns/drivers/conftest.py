"""A host with real network drivers. Containers are bare network namespaces, in which the tests open sockets."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from drivers import sandbox as sandboxes
from drivers.bridge import BridgeDriver
from drivers.firewall import table
from drivers.firewall.elements import Element
from drivers.linux import netns as namespaces
from drivers.linux.default_routes import DefaultRoute
from drivers.model import Desired, Difference, EndpointSpec, Members, NetworkSpec, Pool, PortBinding, Sandbox, Settings
from tests.conftest import until

KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
ANSWER_TIME = 2.0  # seconds to wait for an expected answer
SILENCE = 0.3  # seconds to wait for an answer that must not come
COUNTER = itertools.count(1)


def a_socket(path: str, family: int, protocol: str) -> socket.socket:
    """Return a socket that belongs to the network namespace ``path``, even if the calling thread is in another
    namespace.
    """
    return namespaces.run_in_netns(path, lambda: socket.socket(family, KINDS[protocol]))


def family_of(address: str) -> int:
    return socket.AF_INET if ip_address(address).version == 4 else socket.AF_INET6


class Server:
    """A server on a port of a network namespace. Until the test ends, it answers each client with the client's
    address.
    """

    def __init__(self, path: str, address: str, port: int, protocol: str) -> None:
        self.socket = a_socket(path, family_of(address), protocol)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((address, port))
        self.protocol, self.closed = protocol, False
        self.heard = threading.Event()
        if protocol == "tcp":
            self.socket.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while not self.closed:
            try:
                if self.protocol == "udp":
                    _, client = self.socket.recvfrom(100)
                    self.heard.set()
                    if client is not None:  # None means that the server socket was shut down
                        self.socket.sendto(client[0].encode(), client)
                else:
                    channel, client = self.socket.accept()
                    with channel:
                        channel.sendall(client[0].encode())
            except OSError:
                return

    def close(self) -> None:
        self.closed = True
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def connected(path: str, address: str, port: int, protocol: str = "tcp", wait: float = ANSWER_TIME) -> socket.socket:
    """Return a socket that is connected from the namespace ``path`` to a server."""
    client = a_socket(path, family_of(address), protocol)
    client.settimeout(wait)
    client.connect((address, port))
    return client


def ask(path: str, address: str, port: int, protocol: str = "tcp", wait: float = ANSWER_TIME, source: str = "") -> str:
    """Send a question to a server; return the client address that the server saw, or "" if no answer came.

    The server answers each question with the client's address.
    """
    with a_socket(path, family_of(address), protocol) as client:
        client.settimeout(wait)
        try:
            if source:
                client.bind((source, 0))
            client.connect((address, port))
            if protocol == "udp":
                client.send(b"?")
            return client.recv(100).decode()
        except OSError:
            return ""


def binding(
    host_port: int,
    port: int,
    protocol: str = "tcp",
    host_ip: str = "0.0.0.0",
    *,
    host_port_end: int = 0,
    port_end: int = 0,
) -> PortBinding:
    address = ip_address(host_ip)
    return PortBinding(protocol, address, host_port, host_port_end or host_port, port, port_end or port)


@dataclass(eq=False)
class Container:
    """A container without processes: a sandbox with one or more endpoints."""

    path: str
    namespace: str
    sandbox: Sandbox
    endpoints: list[tuple[NetworkSpec, EndpointSpec]] = field(default_factory=list)
    ways: list[DefaultRoute] = field(default_factory=list)

    @property
    def endpoint(self) -> EndpointSpec:
        return self.endpoints[0][1]

    def run(self, *argv: str) -> str:
        command = ["ip", "netns", "exec", self.namespace, *argv]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout


class Lab:
    """A network driver on a temporary host, with the networks and containers that a test creates."""

    def __init__(self, host) -> None:
        self.host, self.driver = host, BridgeDriver()
        self.driver.configure(Settings(host.run_dir))
        self.networks: list[NetworkSpec] = []
        self.namespaces: list[str] = []
        self.servers: list[Server] = []

    def on_host(self, action):
        return namespaces.run_in_netns(self.host.path, action)

    def spec(self, name: str, *subnets: str, gateways: bool = True, **fields) -> NetworkSpec:
        pools = []
        for text in subnets:
            subnet = ip_network(text)
            gateway = ip_interface(f"{subnet[1]}/{subnet.prefixlen}") if gateways else None
            pools.append(Pool(subnet, gateway))
        fields.setdefault("ipv6", any(p.subnet.version == 6 for p in pools))
        return NetworkSpec(id=sha256(name.encode()).hexdigest(), name=name, pools=tuple(pools), **fields)

    def network(self, name: str, *subnets: str, **fields) -> NetworkSpec:
        network = self.spec(name, *subnets, **fields)
        self.on_host(lambda: self.driver.check_network(network, self.networks))
        self.on_host(lambda: self.driver.create_network(network))
        self.networks.append(network)
        return network

    def sandbox(self) -> Container:
        name = f"hwt{os.getpid()}c{next(COUNTER)}"
        subprocess.run(["ip", "netns", "add", name], check=True)
        self.namespaces.append(name)
        return Container(f"/run/netns/{name}", name, Sandbox(name, f"/run/netns/{name}"))

    def endpoint(self, network: NetworkSpec, number: int, ports: Sequence[PortBinding] = (), **fields) -> EndpointSpec:
        chosen = {
            f"ipv{p.subnet.version}": ip_interface(f"{p.subnet[number]}/{p.subnet.prefixlen}") for p in network.pools
        }
        identity = sha256(f"{network.name}/{number}".encode()).hexdigest()
        mac = f"02:42:{identity[0:2]}:{identity[2:4]}:{identity[4:6]}:{number:02x}"
        return EndpointSpec(**{"id": identity, "mac": mac, "ports": tuple(ports), **chosen, **fields})

    def join(self, container: Container, network: NetworkSpec, number: int, ports=(), interface="", **fields):
        endpoint = self.endpoint(network, number, ports, **fields)
        interface = interface or f"eth{len(container.endpoints)}"
        self.on_host(lambda: self.driver.create_endpoint(network, endpoint))
        info = self.on_host(lambda: self.driver.join(network, endpoint, container.sandbox, interface))
        ways = [DefaultRoute(g.version, info.interface, g) for g in (info.gateway4, info.gateway6) if g is not None]
        container.ways += ways
        if ways:
            sandboxes.set_default_routes(container.sandbox, ways, container.ways)
        container.endpoints.append((network, endpoint))
        if ports:
            self.on_host(lambda: self.driver.publish(network, endpoint, endpoint.ports))
        return info

    def container(self, network: NetworkSpec, number: int, ports: Sequence[PortBinding] = (), **fields) -> Container:
        made = self.sandbox()
        self.join(made, network, number, ports, **fields)
        return made

    def leave(self, container: Container) -> None:
        for network, endpoint in container.endpoints:
            self.on_host(lambda: self.driver.unpublish(network, endpoint, endpoint.ports, leaving=True))  # noqa: B023
            self.on_host(lambda: self.driver.leave(network, endpoint, container.sandbox))  # noqa: B023
            self.on_host(lambda: self.driver.delete_endpoint(network, endpoint))  # noqa: B023

    def repair(self, networks: Members, unsettled: Members = (), **fields) -> list[Difference]:
        """Repair the kernel objects that bridge networks share, and return the differences that the repair found.

        ``networks`` are the networks that exist according to the store. The kernel objects must match these networks.
        Other commands are changing the networks in ``unsettled``, so the repair leaves their objects alone.
        """
        desired = Desired(networks, unsettled, **fields)
        differences = list(self.on_host(lambda: self.driver.compare(desired)))
        self.on_host(lambda: self.driver.repair(desired, differences))
        return differences

    def serve(self, where, port: int, protocol: str = "tcp", address: str = "0.0.0.0") -> Server:
        made = Server(where.path, address, port, protocol)
        self.servers.append(made)
        return made

    client = staticmethod(lambda where, *args, **kw: connected(where.path, *args, **kw))
    ask = staticmethod(lambda where, *args, **kw: ask(where.path, *args, **kw))
    silent = staticmethod(lambda where, *args, **kw: ask(where.path, *args, wait=SILENCE, **kw) == "")
    binding = staticmethod(binding)

    def hears(self, server: Server, client, address: str, port: int, wait: float = SILENCE) -> bool:
        """Send a datagram; return whether the server receives it, even if the client gets no answer."""
        server.heard.clear()
        ask(client.path, address, port, "udp", wait=0.01)
        return server.heard.wait(wait)

    def pings(self, where, address: str, wait: float = 5) -> bool:
        command = ["ping", "-c1", "-W", str(wait), address]
        return (
            namespaces.run_in_netns(
                where.path, lambda: subprocess.run(command, capture_output=True, timeout=10)
            ).returncode
            == 0
        )

    def await_carriers(self) -> None:
        """Wait until the kernel has noticed the carrier of each link of the host.

        On a busy machine, the kernel notices a carrier some time after the command that brings the link up. Until then,
        it drops the packets that leave by the link.
        """
        until(lambda: "NO-CARRIER" not in self.host.sh("ip link"))

    def elements(self, set_name: str = "") -> list[Element]:
        """Return the elements of one set of the firewall, or of all sets."""
        return [
            e
            for e in self.on_host(table.elements)
            if e.set == set_name or (not set_name and e.set != table.VERSION_SET)
        ]

    def close(self) -> None:
        for server in self.servers:
            server.close()
        for name in self.namespaces:
            subprocess.run(["ip", "netns", "del", name], check=False)


@pytest.fixture
def lab(host) -> Iterator[Lab]:
    made = Lab(host)
    yield made
    made.close()
