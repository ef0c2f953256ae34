"""Published ports: the tests try every combination of host address, protocol, client and target address.

The tests check which clients get an answer, and which client address the server sees. The server sees the true client
address, with four exceptions:

- a true hairpin: a network that reaches itself through the host
- a client on another network of the server's container
- a client on the host's loopback
- an IPv6 client of a container without IPv6

In these cases the server sees the gateway of the network that publishes its ports.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import ip_address
from typing import NamedTuple

import pytest

from drivers.linux import netns as namespaces

pytestmark = pytest.mark.netns
HOST, SECOND, PEER = "192.168.99.11", "192.168.99.77", "192.168.99.99"
HOST6, SECOND6, PEER6 = "fd99::11", "fd99::77", "fd99::99"
STRANGER, STRANGER6 = "172.32.0.50", "fd00:32::50"
LOOPBACK = ("127.0.0.1", "::1")
BINDINGS = ("0.0.0.0", "::", HOST, HOST6, *LOOPBACK)
SERVERS = {"only4": 8000, "dual": 9000}
"""The first host port of each server, by the name of the server's network."""
GATEWAYS = {"only4": ("172.30.0.1", ""), "dual": ("172.31.0.1", "fd00:31::1")}


class Cell(NamedTuple):
    server: str
    binding: str
    protocol: str
    client: str
    address: str


def host_port(server: str, binding: str) -> int:
    return SERVERS[server] + BINDINGS.index(binding)


def publishing(server: str) -> list[str]:
    options = []
    for binding in BINDINGS:
        shown = f"[{binding}]" if ":" in binding else binding
        for protocol in ("tcp", "udp"):
            options += ["-p", f"{shown}:{host_port(server, binding)}:80/{protocol}"]
    return options


class Matrix:
    """A host with two servers, and with clients that try every published port of the servers.

    The servers' ports are published on each address in `BINDINGS`, by TCP and by UDP. The clients are outside the host,
    on the host, on another network, on the server's network, and in the server's container.
    """

    def __init__(self, world) -> None:
        self.world = world
        world.networks(
            only4=["--subnet", "172.30.0.0/16"],
            dual=["--ipv6", "--subnet", "172.31.0.0/16", "--subnet", "fd00:31::/64"],
            elsewhere=["--ipv6", "--subnet", "172.32.0.0/16", "--subnet", "fd00:32::/64"],
        )
        paths = world.containers(
            stranger=["--network", "elsewhere", "--ip", STRANGER, "--ip6", STRANGER6],
            **{f"web-{network}": ["--network", network, *publishing(network)] for network in SERVERS},
            **{f"friend-{network}": ["--network", network] for network in SERVERS},
        )
        self.places = {"outside": world.peer.path, "host": world.host.path, "stranger": paths["stranger"]}
        for network in SERVERS:
            self.places[f"neighbour {network}"] = paths[f"friend-{network}"]
            self.places[f"self {network}"] = paths[f"web-{network}"]
            world.serve(paths[f"web-{network}"], 80)

    def cells(self) -> Iterator[Cell]:
        for server in SERVERS:
            targets = {"outside": (HOST, HOST6), "host": (HOST, SECOND, HOST6, SECOND6, *LOOPBACK)}
            both = (HOST, HOST6) if server == "dual" else (HOST,)  # no IPv6 clients for a network without IPv6
            targets |= {f"neighbour {server}": both, f"self {server}": both, "stranger": (HOST, HOST6)}
            for binding in BINDINGS:
                for protocol in ("tcp", "udp"):
                    for client, addresses in targets.items():
                        for address in addresses:
                            yield Cell(server, binding, protocol, client, address)

    def seen(self, cell: Cell) -> str:
        """Return the client address that the server must see for a cell: a combination of server, published address,
        protocol, client and target address.

        Return "" if the server must not get the client's message.
        """
        version = ip_address(cell.address).version
        wildcard = "0.0.0.0" if version == 4 else "::"
        if cell.binding not in (wildcard, cell.address):
            return ""
        gateway4, gateway6 = GATEWAYS[cell.server]
        if version == 6 and not gateway6:
            return gateway4
        if cell.address in LOOPBACK or cell.client.startswith(("self", "neighbour")):
            return gateway4 if version == 4 else gateway6
        # The client "host" sends IPv4 packets from the host's first address, even to another of the host's addresses.
        sources = {"outside": (PEER, PEER6), "host": (HOST, cell.address), "stranger": (STRANGER, STRANGER6)}
        return sources[cell.client][version == 6]

    def ask(self, server: str = "") -> dict[Cell, str]:
        questions = {
            cell: self.world.question(
                self.places[cell.client], cell.address, host_port(cell.server, cell.binding), cell.protocol
            )
            for cell in self.cells()
            if server in ("", cell.server)
        }
        answers = self.world.ask({question: self.seen(cell) for cell, question in questions.items()})
        return {cell: answers[question] for cell, question in questions.items()}


@pytest.fixture(scope="module")
def matrix(world) -> Matrix:
    return Matrix(world)


@pytest.fixture(scope="module", params=[True, False], ids=["bridged packets filtered", "bridged packets not filtered"])
def answers(matrix, request) -> dict[Cell, str]:
    matrix.world.filter_bridged(request.param)
    return matrix.ask()


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("binding", BINDINGS)
@pytest.mark.parametrize("server", SERVERS)
def test_a_published_port_answers_exactly_the_expected_clients(matrix, answers, server, binding, protocol):
    cells = [cell for cell in answers if cell[:3] == (server, binding, protocol)]
    assert cells
    seen = {(cell.client, cell.address): answers[cell] for cell in cells}
    assert seen == {(cell.client, cell.address): matrix.seen(cell) for cell in cells}


@pytest.mark.parametrize("filtered", [True, False], ids=["bridged packets filtered", "bridged packets not filtered"])
def test_a_server_on_two_networks_answers_clients_on_both(matrix, filtered):
    """The server's answer must not go directly to a client on the network that does not publish the ports."""
    world = matrix.world
    world.filter_bridged(filtered)
    world.hawse(
        "create",
        "--name",
        "both",
        "--network",
        "elsewhere",
        "-p",
        "7000:80",
        "-p",
        "7000:80/udp",
        "hostfs",
        "sleep",
        "1d",
    )
    world.hawse("network", "connect", "--gw-priority", "1", "dual", "both")
    world.hawse("start", "both")
    try:
        world.serve(world.paths("both")["both"], 80)
        questions = {
            world.question(matrix.places[client], address, 7000, protocol): gateway
            for client in ("stranger", "neighbour dual")
            for address, gateway in zip((HOST, HOST6), GATEWAYS["dual"], strict=True)
            for protocol in ("tcp", "udp")
        }
        assert world.ask(questions) == questions
    finally:
        world.hawse("rm", "-f", "both")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("server", SERVERS)
def test_link_local_address_serves_what_is_published_everywhere(matrix, server, protocol):
    """A port published on all addresses answers on a link-local address too.

    Linux does not route packets with a link-local address. Therefore no firewall rule can rewrite these packets, and
    the agent's port proxy must serve them.
    """
    link_local = matrix.world.inside(matrix.world.host.path, "ip -br -6 addr show dev ext0 scope link").split()[2]
    wire = namespaces.run_in_netns(matrix.world.peer.path, lambda: socket.if_nametoindex("br0"))
    address = f"{link_local.partition('/')[0]}%{wire}"
    questions = {
        matrix.world.question(matrix.world.peer.path, address, host_port(server, binding), protocol): binding
        for binding in BINDINGS
    }
    gateway4, gateway6 = GATEWAYS[server]
    expected = {question: (gateway6 or gateway4) if b == "::" else "" for question, b in questions.items()}
    assert matrix.world.ask(expected) == expected


def test_restarted_container_has_all_its_ports_again(matrix):
    """A restarted container can publish all its ports again. No listening socket of hawse keeps a port in use."""
    matrix.world.hawse("restart", "-t", "0", "web-only4")
    matrix.places["self only4"] = matrix.world.paths("web-only4")["web-only4"]
    matrix.world.serve(matrix.places["self only4"], 80)
    served = matrix.ask(server="only4")
    assert served == {cell: matrix.seen(cell) for cell in served}
