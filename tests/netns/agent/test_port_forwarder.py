"""The agent's port proxy serves ports on ::1, and IPv6 clients of containers that have only IPv4.

The peer (another machine on the host's network) acts as the container. The proxy needs only an address to which it can
connect.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from ipaddress import IPv4Interface, IPv6Interface

import pytest

from drivers.bridge_options import BridgeOptions
from drivers.firewall import elements, proxy_redirect, table
from drivers.linux import conntrack
from drivers.linux import netns as namespaces
from drivers.linux.nfnetlink import CLOSE_DELAY_SECONDS
from drivers.model import EndpointSpec
from engine.agent import client
from engine.host import network_spec, port_bindings
from engine.model import EndpointRecord, NetworkRecord, PortRecord
from engine.portproxy.udp import TRUST_SECONDS
from engine.store.sqlite import SqliteStore
from tests.packets import socket_in

pytestmark = pytest.mark.netns
START = """
import os, sys
from pathlib import Path
from engine.agent.client import notify
sys.exit(not notify(Path(os.environ["HAWSE_RUN"]), Path(os.environ["HAWSE_ROOT"])))
"""
ADDRESS = "192.168.99.99/24"
NETWORK = NetworkRecord(id="a" * 64, name="app", created="2026-01-01T00:00:00Z", driver="bridge")


class Place:
    """A host with one endpoint, and the client and server sockets of a test."""

    def __init__(self, host) -> None:
        self.host = host
        self.store = SqliteStore(host.root / "hawse.db")
        self.here, self.there = (os.open(n.path, os.O_RDONLY) for n in (host, host.peer))
        self.opened: list[socket.socket] = []
        self.led: list[elements.Element] = []
        with self.store.write() as transaction:
            transaction.put_network(NETWORK)

    def publish(self, *ports: PortRecord, ipv6: str = "") -> None:
        """Record the test's endpoint with these ports in the store. Then start the agent, or notify a running agent."""
        self.lead(ports, ipv6)
        with self.store.write() as transaction:
            transaction.put_endpoint(
                EndpointRecord(
                    id="e" * 64,
                    network_id=NETWORK.id,
                    container_id="c" * 64,
                    mac="02:42:c0:a8:63:63",
                    ipv4=ADDRESS,
                    ipv6=ipv6,
                    names=["web"],
                    ports=ports,
                    phase="live",
                )
            )
        self.host.hawse(code=START)

    def lead(self, ports: Sequence[PortRecord], ipv6: str) -> None:
        """Add the firewall elements that send packets for these ports to the port proxy, as the bridge driver does."""
        spec = EndpointSpec("e" * 64, "", IPv4Interface(ADDRESS), IPv6Interface(ipv6) if ipv6 else None)
        entries = elements.of_ports(network_spec(NETWORK), BridgeOptions("br0"), spec, port_bindings(ports))
        led = [e for e in entries if e.set in ("relayed", "relayed_any")]
        gone, self.led = [e for e in self.led if e not in led], led
        namespaces.run_in_netns(self.host.path, lambda: table.change(add=led, remove=gone))

    def serve(self, address: str, port: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
        sock = socket_in(self.there, socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
        sock.settimeout(8)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        if kind == socket.SOCK_STREAM:
            sock.listen()
        self.opened.append(sock)
        return sock

    def dial(
        self, address: str, port: int, kind: int = socket.SOCK_STREAM, *, outside: bool = False, wait: float = 8
    ) -> socket.socket:
        sock = socket_in(self.there if outside else self.here, socket.AF_INET6, kind)
        sock.settimeout(wait)
        self.opened.append(sock)
        sock.connect((address, port))
        return sock

    def close(self) -> None:
        for sock in self.opened:
            sock.close()
        os.close(self.here)
        os.close(self.there)


@pytest.fixture
def place(host) -> Iterator[Place]:
    made = Place(host)
    yield made
    made.close()


def tcp(host_ip: str, host_port: int, port: int, count: int = 1) -> PortRecord:
    return PortRecord("tcp", host_ip, host_port, host_port + count - 1, port, port + count - 1)


def read_all(sock: socket.socket) -> bytes:
    with sock.makefile("rb") as stream:
        return stream.read()


@pytest.mark.parametrize("client_address", ["::1", "fd99::11"])
def test_ipv6_client_reaches_an_ipv4_only_endpoint(place, client_address):
    server = place.serve("192.168.99.99", 80)
    place.publish(tcp("::", 8080, 80))
    asking = place.dial(client_address, 8080, outside=client_address != "::1")
    asking.sendall(b"question")
    asking.shutdown(socket.SHUT_WR)
    accepted, peer = server.accept()
    assert read_all(accepted) == b"question"
    accepted.sendall(b"answer")
    accepted.close()
    assert read_all(asking) == b"answer"
    assert peer[0] == "192.168.99.11"


def test_the_proxy_takes_only_loopback_connections_to_an_ipv6_endpoint(place):
    server = place.serve("fd99::99", 80)
    place.publish(tcp("::", 8080, 80), ipv6="fd99::99/64")
    place.dial("::1", 8080).sendall(b"x")
    assert server.accept()[0].recv(1) == b"x"
    with pytest.raises(TimeoutError):  # the held port drops packets that DNAT does not translate
        place.dial("fd99::11", 8080, wait=0.5)


def test_large_streams_pass_both_ways_unharmed(place):
    server = place.serve("192.168.99.99", 80)
    place.publish(tcp("::1", 8080, 80))
    payload = os.urandom(1 << 16) * 64
    asking = place.dial("::1", 8080)
    accepted, _ = server.accept()
    digests: dict[str, str] = {}

    def copy(name: str, sock: socket.socket) -> None:
        digests[name] = hashlib.sha256(read_all(sock)).hexdigest()

    readers = [threading.Thread(target=copy, args=item) for item in (("up", accepted), ("down", asking))]
    for reader in readers:
        reader.start()
    writers = [
        threading.Thread(target=lambda s=s: (s.sendall(payload), s.shutdown(socket.SHUT_WR)))
        for s in (asking, accepted)
    ]
    for thread in writers:
        thread.start()
    for thread in writers + readers:
        thread.join(20)
    assert digests == dict.fromkeys(("up", "down"), hashlib.sha256(payload).hexdigest())


def test_client_that_ends_its_side_first_still_gets_the_servers_data(place):
    server = place.serve("192.168.99.99", 80)
    place.publish(tcp("::1", 8080, 80))
    asking = place.dial("::1", 8080)
    asking.shutdown(socket.SHUT_WR)
    accepted, _ = server.accept()
    assert accepted.recv(1) == b""
    accepted.sendall(b"late")
    accepted.close()
    assert read_all(asking) == b"late"


def test_data_before_a_reset_still_arrives(place):
    server = place.serve("192.168.99.99", 80)
    place.publish(tcp("::1", 8080, 80))
    asking = place.dial("::1", 8080)
    asking.sendall(b"unread")
    accepted, _ = server.accept()
    time.sleep(0.1)
    accepted.sendall(b"last words")
    accepted.close()  # the client's data is unread, so this close sends a reset
    assert asking.recv(100) == b"last words"
    with suppress(ConnectionResetError):
        assert asking.recv(1) == b""


def test_a_connection_without_a_server_in_the_container_is_closed(place):
    place.publish(tcp("::1", 8080, 81))
    asking = place.dial("::1", 8080)
    with suppress(ConnectionResetError):
        assert asking.recv(1) == b""


@pytest.mark.parametrize(("address", "outside"), [("::1", False), ("fd99::11", True)])
def test_datagrams_and_their_answers(place, address, outside):
    server = place.serve("192.168.99.99", 53, socket.SOCK_DGRAM)
    place.publish(PortRecord("udp", "::", 5300, 5300, 53, 53))
    askers = [place.dial(address, 5300, socket.SOCK_DGRAM, outside=outside) for _ in range(3)]
    for number, asking in enumerate(askers):
        asking.send(b"%d" % number)
    for _ in askers:
        data, peer = server.recvfrom(100)
        server.sendto(b"re:" + data, peer)
    assert [asking.recv(100) for asking in askers] == [b"re:0", b"re:1", b"re:2"]


def test_one_client_port_may_write_to_several_published_ports(place):
    servers = {port: place.serve("192.168.99.99", port, socket.SOCK_DGRAM) for port in (7001, 7002)}
    place.publish(PortRecord("udp", "::", 7001, 7002, 7001, 7002))
    asking = socket_in(place.there, socket.AF_INET6, socket.SOCK_DGRAM)
    asking.settimeout(8)
    place.opened.append(asking)
    for port, server in servers.items():
        asking.sendto(b"%d" % port, ("fd99::11", port))
        data, peer = server.recvfrom(100)
        server.sendto(b"re:" + data, peer)
        assert asking.recvfrom(100)[:1] == (b"re:%d" % port,)
    asking.sendto(b"again", ("fd99::11", 7001))
    assert servers[7001].recv(100) == b"again"


def test_a_silent_client_port_may_send_to_another_published_port(place):
    """The kernel has deleted the conntrack entry of a silent UDP flow. The client then sends from the same port to
    another published port.

    The datagrams must not go to the target of the old flow.
    """
    servers = {port: place.serve("192.168.99.99", port, socket.SOCK_DGRAM) for port in (7001, 7002)}
    place.publish(PortRecord("udp", "::", 7001, 7002, 7001, 7002))
    asking = place.dial("::1", 7001, socket.SOCK_DGRAM)
    asking.send(b"one")
    assert servers[7001].recv(10) == b"one"
    held = port_bindings([PortRecord("udp", "::", 7001, 7001, 7001, 7001)])
    namespaces.run_in_netns(place.host.path, lambda: conntrack.forget_ports(held))
    time.sleep(TRUST_SECONDS + 0.1)
    asking.connect(("::1", 7002))
    asking.send(b"two")
    assert servers[7002].recv(10) == b"two"


def agents_sockets(place) -> dict[str, int]:
    return dict(namespaces.run_in_netns(place.host.path, proxy_redirect.sockets))


def test_clients_cannot_connect_to_the_proxys_socket_directly(place):
    server = place.serve("192.168.99.99", 80)
    place.publish(tcp("::", 8080, 80), PortRecord("udp", "::", 8080, 8080, 80, 80))
    inner = agents_sockets(place)["tcp"]
    for outside in (True, False):
        with pytest.raises(TimeoutError):
            place.dial("fd99::11", inner, outside=outside, wait=0.4)
        place.opened.pop().close()  # else the kernel would send the SYN again after the port is published
    place.publish(tcp("::", inner - 1, 79, 3))
    place.dial("fd99::11", inner, outside=True).sendall(b"published, whatever its number")
    assert server.accept()[0].recv(9) == b"published"


def test_killed_agent_is_replaced_and_leaves_nothing(place):
    server = place.serve("192.168.99.99", 80)
    place.publish(tcp("::1", 8080, 80))
    before = agents_sockets(place)
    os.kill(json.loads(client.ask(place.host.run_dir, "status", 5))["pid"], signal.SIGKILL)
    place.publish(tcp("::1", 8080, 80))
    place.dial("::1", 8080).sendall(b"x")
    assert server.accept()[0].recv(1) == b"x"
    assert len(agents_sockets(place)) == 1
    assert agents_sockets(place) != before
    place.publish()
    assert namespaces.run_in_netns(place.host.path, table.elements) == []


def test_a_datagram_client_reaches_the_next_agent_too(place):
    server = place.serve("192.168.99.99", 53, socket.SOCK_DGRAM)
    published = PortRecord("udp", "::", 5300, 5300, 53, 53)
    place.publish(published)
    asking = place.dial("fd99::11", 5300, socket.SOCK_DGRAM, outside=True)
    asking.send(b"one")
    assert server.recv(10) == b"one"
    os.kill(json.loads(client.ask(place.host.run_dir, "status", 5))["pid"], signal.SIGKILL)
    place.publish(published)
    asking.send(b"two")
    assert server.recv(10) == b"two"


def test_packets_reach_the_agent_again_after_the_firewall_was_flushed(place):
    server = place.serve("192.168.99.99", 80)
    place.publish(tcp("::1", 8080, 80))
    place.host.run("nft", "flush", "ruleset")
    place.publish(tcp("::1", 8080, 80))
    place.dial("::1", 8080).sendall(b"x")
    assert server.accept()[0].recv(1) == b"x"


def test_ten_thousand_ports_need_one_socket(place):
    place.publish(tcp("::", 20000, 20000))
    pid = json.loads(client.ask(place.host.run_dir, "status", 5))["pid"]
    descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    place.publish(tcp("::", 20000, 20000, 10_001))
    time.sleep(2 * CLOSE_DELAY_SECONDS)
    assert len(os.listdir(f"/proc/{pid}/fd")) <= descriptors  # the status query may use one descriptor
    server = place.serve("192.168.99.99", 30000)
    place.dial("::1", 30000).sendall(b"x")
    assert server.accept()[0].recv(1) == b"x"


def test_range_is_forwarded_port_by_port_until_it_is_unpublished(place):
    server = place.serve("192.168.99.99", 9005)
    place.publish(tcp("::1", 7000, 9000, 300))
    place.dial("::1", 7005).sendall(b"x")
    assert server.accept()[0].recv(1) == b"x"
    place.publish(tcp("::1", 7006, 9006))
    with pytest.raises(ConnectionRefusedError):
        place.dial("::1", 7005)
    place.publish()
    with pytest.raises(ConnectionRefusedError):
        place.dial("::1", 7006)
    assert client.ask(place.host.run_dir, "status", 5)
