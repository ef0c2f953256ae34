"""A neighbour (another machine on the wire) or a container tries to reach ports that are not published.

The neighbour routes the host's loopback addresses and all containers' subnets to the host. Containers add the routes
that their attacks need. A port counts as reached when a datagram arrives at the port, even if the sender gets no
answer.
"""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress
from ipaddress import ip_address

import pytest

from drivers.linux import netns as namespaces

pytestmark = pytest.mark.netns
HOST, HOST6, PEER, PEER6 = "192.168.99.11", "fd99::11", "192.168.99.99", "fd99::99"
GUARD, NO_ICC = "com.hawse.bridge.spoof_guard=true", "com.docker.network.bridge.enable_icc=false"
NUMBERS = {"app": 30, "other": 31, "enclosed": 32, "apart": 33, "guarded": 34}
ARP_LOCK = 1.1  # seconds in which Linux ignores a second ARP reply (sysctl locktime)
PROTOCOLS = ("tcp", "udp")
BOTH = {"bridged packets filtered": True, "bridged packets not filtered": False}


def subnets(network: str, *options: str) -> list[str]:
    number = NUMBERS[network]
    return ["--ipv6", "--subnet", f"172.{number}.0.0/16", "--subnet", f"fd00:{number}::/64", *options]


def member(network: str, host_part: int, *options: str) -> list[str]:
    number = NUMBERS[network]
    addresses = ["--ip", f"172.{number}.0.{host_part}", "--ip6", f"fd00:{number}::{host_part}"]
    return ["--network", network, *addresses, *options]


def publishing(*specs: str) -> list[str]:
    return [word for spec in specs for protocol in PROTOCOLS for word in ("-p", f"{spec}/{protocol}")]


class Scenario:
    """A host with bridge networks of many types. All containers run servers on the ports 80 and 90."""

    def __init__(self, world) -> None:
        self.world, self.peer = world, world.peer.path
        world.networks(
            app=subnets("app"),
            other=subnets("other"),
            enclosed=subnets("enclosed", "--internal"),
            apart=subnets("apart", "-o", NO_ICC),
            guarded=subnets("guarded", "-o", GUARD),
            old=["--subnet", "172.35.0.0/16"],
        )
        private = publishing("127.0.0.1:8001:80", "[::1]:8001:80")
        self.paths = world.containers(
            web=member("app", 2, *publishing("8002:80")),
            private=member("app", 3, *private),
            stranger=member("other", 2),
            hidden=member("enclosed", 2),
            left=member("apart", 2),
            right=member("apart", 3),
            mallory=member("guarded", 2),
            eve=member("guarded", 4, "--label", "hawse.heal=false"),  # the agent would restore the MAC that eve changes
            alice=member("guarded", 3),
            veteran=["--network", "old", *publishing("8003:80")],
        )
        for path in self.paths.values():
            world.serve(path, 80)
            world.serve(path, 90)
        world.serve(self.peer, 90, addresses=(PEER, PEER6))
        self.route_everything(world)

    def route_everything(self, world) -> None:
        ways = "".join(
            f"ip route add 172.{n}.0.0/16 via {HOST}; ip -6 route add fd00:{n}::/64 via {HOST6};"
            for n in NUMBERS.values()
        )
        world.inside(self.peer, ways + self.loopback_by(HOST, HOST6, "br0"))
        world.inside(self.paths["stranger"], self.loopback_by("172.31.0.1", "fd00:31::1", "eth0"))
        world.inside(
            self.paths["hidden"],
            "ip route add default via 172.32.0.1; ip -6 route replace default via fd00:32::1",
        )

    @staticmethod
    def loopback_by(gateway: str, gateway6: str, interface: str) -> str:
        """Return a script that routes the loopback addresses to a gateway.

        The script also removes the local routes to the loopback addresses. With these routes, the namespace would
        deliver the packets to its own ``lo``.
        """
        return (
            "ip route del local 127.0.0.0/8 dev lo table local; ip route del local 127.0.0.1 dev lo table local; "
            f"cd /proc/sys/net/ipv4/conf; echo 1 | tee all/route_localnet {interface}/route_localnet; "
            f"ip route add 127.0.0.0/8 via {gateway} dev {interface}; "
            "ip -6 route del local ::1 dev lo table local; ip -6 route del ::1 dev lo 2>/dev/null || true; "
            f"ip -6 route add ::1/128 via {gateway6} dev {interface}"
        )

    def questions(self, client: str, port: int, *addresses: str) -> list:
        path = self.paths.get(client, self.peer)
        return [self.world.question(path, a, port, p) for a in addresses for p in PROTOCOLS]

    def answered(self, client: str, port: int, *addresses: str) -> bool:
        """Return whether the port answers the client at all of these addresses."""
        return all(self.world.ask(dict.fromkeys(self.questions(client, port, *addresses), "?")).values())

    def silent(self, client: str, port: int, *addresses: str) -> bool:
        """Return whether the port answers the client at none of these addresses, and no datagram arrives at
        the port.
        """
        return self.world.silent(*self.questions(client, port, *addresses))


@pytest.fixture(scope="module")
def scenario(world) -> Scenario:
    return Scenario(world)


@pytest.fixture(params=BOTH.values(), ids=BOTH)
def filtered(scenario, request) -> None:
    scenario.world.filter_bridged(request.param)


@pytest.mark.parametrize("attacker", ["neighbour", "stranger"])
def test_loopback_ports_stay_on_the_host(scenario, attacker):
    local = [
        scenario.world.question(scenario.world.host.path, a, 8001, p) for a in ("127.0.0.1", "::1") for p in PROTOCOLS
    ]
    assert all(scenario.world.ask(dict.fromkeys(local, "?")).values()), "the host itself is served"
    addresses = {"neighbour": (PEER, PEER6), "stranger": ("172.31.0.2", "fd00:31::2")}[attacker]
    path = scenario.paths.get(attacker, scenario.peer)
    tried = [
        scenario.world.question(path, address, 8001, protocol, source)
        for address, source in (("127.0.0.1", addresses[0]), ("127.0.0.2", addresses[0]), ("::1", addresses[1]))
        for protocol in PROTOCOLS
    ]
    assert scenario.world.silent(*tried)
    assert scenario.silent(attacker, 8001, HOST, HOST6)
    assert scenario.silent(attacker, 80, "172.30.0.3", "fd00:30::3"), "nor by the container's own address"


def test_neighbour_that_routes_to_a_container_finds_published_ports_only(scenario, filtered):
    assert scenario.answered("neighbour", 80, "172.30.0.2", "fd00:30::2"), "the routes are good"
    assert scenario.silent("neighbour", 90, "172.30.0.2", "fd00:30::2")
    assert scenario.silent("neighbour", 90, HOST, HOST6)
    assert scenario.silent("neighbour", 80, "172.31.0.2", "fd00:31::2", "172.33.0.2", "172.32.0.2", "fd00:32::2")


def test_networks_reach_each_other_through_published_ports_only(scenario, filtered):
    assert scenario.answered("stranger", 8002, HOST, HOST6)
    assert scenario.silent("stranger", 80, "172.30.0.2", "fd00:30::2", "172.33.0.2", "172.32.0.2", "fd00:32::2")


def test_internal_network_gets_nowhere(scenario, filtered):
    assert scenario.silent("hidden", 90, PEER, PEER6)
    assert scenario.silent("hidden", 80, "172.30.0.2", "fd00:30::2")
    assert scenario.silent("hidden", 8002, HOST, HOST6), "not even to published ports of others"
    assert scenario.answered("neighbour", 8003, HOST6)
    assert scenario.silent("hidden", 8003, "fd00:32::1"), "nor by way of the agent"


def test_containers_kept_apart_do_not_talk(scenario, filtered):
    ways = "ip route replace {0}/32 via 172.33.0.1; ip -6 route replace {1}/128 via fd00:33::1"
    assert scenario.silent("left", 80, "172.33.0.3", "fd00:33::3")
    scenario.world.inside(scenario.paths["left"], ways.format("172.33.0.3", "fd00:33::3"))
    assert scenario.silent("left", 80, "172.33.0.3", "fd00:33::3"), "nor by way of the gateway"


def test_guarded_container_sends_under_its_own_addresses_only(scenario, filtered):
    path = scenario.paths["mallory"]
    assert scenario.answered("mallory", 80, "172.34.0.3", "fd00:34::3")
    scenario.world.inside(path, "ip addr add 172.34.0.66/16 dev eth0; ip -6 addr add fd00:34::66/64 dev eth0 nodad")
    forged = [
        scenario.world.question(path, address, 80, protocol, source)
        for address, source in (("172.34.0.3", "172.34.0.66"), ("fd00:34::3", "fd00:34::66"))
        for protocol in PROTOCOLS
    ]
    assert scenario.world.silent(*forged)
    scenario.world.inside(path, "ip addr del 172.34.0.66/16 dev eth0; ip -6 addr del fd00:34::66/64 dev eth0")


def test_guarded_container_sends_under_its_own_mac_only(scenario, filtered):
    path = scenario.paths["eve"]
    mac = scenario.world.inside(path, "ip -br link show eth0").split()[2]
    scenario.world.inside(path, "ip link set eth0 address 02:42:66:66:66:66")
    try:
        assert scenario.silent("eve", 80, "172.34.0.3", "fd00:34::3")
    finally:
        scenario.world.inside(path, f"ip link set eth0 address {mac}; ip neigh flush all")
    assert scenario.answered("eve", 80, "172.34.0.3", "fd00:34::3")


def claim_by_arp(path: str, victim: str, address: str) -> None:
    """Claim to the victim, by unsolicited ARP replies, that ``address`` has the attacker's MAC."""
    sock = namespaces.run_in_netns(path, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0))
    with sock:
        sock.bind(("eth0", 0x0806))
        mac = sock.getsockname()[4]
        sender, target = mac + ip_address(address).packed, mac + ip_address(victim).packed
        reply = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2) + sender + target
        for _ in range(3):
            sock.sendto(reply, ("eth0", 0x0806, 0, 0, b"\xff" * 6))


def claim_by_nd(path: str, victim: str, address: str) -> None:
    """Claim to the victim, by a neighbour advertisement, that ``address`` (IPv6) has the attacker's MAC.

    The advertisement has the override flag, so the victim replaces a MAC that it knows already.
    """
    sock = namespaces.run_in_netns(path, lambda: socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6))
    with sock:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 255)
        mac = bytes.fromhex("024266666666")
        message = struct.pack("!BBHI", 136, 0, 0, 0x60000000) + ip_address(address).packed + b"\x02\x01" + mac
        for _ in range(3):
            sock.sendto(message, (victim, 0))


def neighbour_entry(scenario, path: str, address: str) -> str:
    words = scenario.world.inside(path, f"ip neigh show {address}").split()
    return words[words.index("lladdr") + 1] if "lladdr" in words else ""


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(("network", "attacker", "victim", "poisoned"), [
    ("guarded", "mallory", "alice", False), ("app", "web", "private", True),
])  # fmt: skip
def test_spoof_guard_protects_the_gateway_of_other_containers(scenario, network, attacker, victim, poisoned, version):
    """An attacker claims to other containers on its network that the gateway's address has the attacker's MAC.

    The spoof guard stops the attack. Without the spoof guard the attack succeeds, which proves that the test sends a
    real attack.
    """
    number, target = NUMBERS[network], scenario.paths[victim]
    gateway = f"172.{number}.0.1" if version == 4 else f"fd00:{number}::1"
    address = f"172.{number}.0.3" if version == 4 else f"fd00:{number}::3"
    scenario.world.inside(target, f"ip neigh flush all; ping -c1 -W2 {gateway}")
    before = neighbour_entry(scenario, target, gateway)
    time.sleep(ARP_LOCK)
    (claim_by_arp if version == 4 else claim_by_nd)(scenario.paths[attacker], address, gateway)
    time.sleep(0.2)
    after = neighbour_entry(scenario, target, gateway)
    for path in (target, scenario.paths[attacker]):  # the attacker may get its own broadcast
        scenario.world.inside(path, "ip neigh flush all")
    assert before
    assert (after != before) is poisoned


class Talk:
    """One UDP and one TCP connection from the neighbour (another machine) to a published port.

    The TCP connection is opened immediately. The UDP flow begins with the first message.
    """

    def __init__(self, scenario, container: str, inner: int, address: str, port: int) -> None:
        server = scenario.paths[container]
        self.sockets: list[socket.socket] = []
        listener = self.open(server, "::" if ":" in address else "0.0.0.0", inner, socket.SOCK_STREAM)
        self.datagrams = self.open(server, "::" if ":" in address else "0.0.0.0", inner, socket.SOCK_DGRAM)
        self.client = self.open(scenario.peer, address, port, socket.SOCK_STREAM, connect=True)
        self.sender = self.open(scenario.peer, address, port, socket.SOCK_DGRAM, connect=True)
        self.channel, _ = listener.accept()
        self.sockets.append(self.channel)

    def open(self, path: str, address: str, port: int, kind: int, *, connect: bool = False) -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = namespaces.run_in_netns(path, lambda: socket.socket(family, kind))
        self.sockets.append(sock)
        sock.settimeout(3)
        if connect:
            sock.connect((address, port))
            return sock
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        if kind == socket.SOCK_STREAM:
            sock.listen()
        return sock

    def passes(self, patience: float = 3) -> dict[str, bool]:
        """Return, for the UDP and the TCP connection, whether a message still passes from the client to the server."""
        results = {}
        for name, sender, receiver in (
            ("tcp", self.client, self.channel),
            ("udp", self.sender, self.datagrams),
        ):
            receiver.settimeout(patience)
            results[name] = False
            with suppress(OSError):
                sender.send(b"word")
                results[name] = receiver.recv(100) == b"word"
        return results

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()


def test_unpublished_port_closes_at_once_for_open_connections(scenario):
    world = scenario.world
    world.hawse("publish", "web", *publishing("8004:84"))
    talks = [Talk(scenario, "web", 84, address, 8004) for address in (HOST, HOST6)]
    assert [talk.passes() for talk in talks] == [{"tcp": True, "udp": True}] * 2
    for protocol in PROTOCOLS:
        world.hawse("unpublish", "web", f"84/{protocol}")
    assert [talk.passes(0.5) for talk in talks] == [{"tcp": False, "udp": False}] * 2
    assert scenario.silent("neighbour", 8004, HOST, HOST6)
    assert scenario.silent("neighbour", 84, "172.30.0.2", "fd00:30::2")
    assert scenario.answered("neighbour", 8002, HOST, HOST6), "other ports are untouched"
    for talk in talks:
        talk.close()


@pytest.mark.parametrize("address", [HOST, HOST6])
def test_client_that_never_pauses_follows_the_port(scenario, address):
    """A client sends UDP datagrams without a pause. Meanwhile its target port is published, moved to another container
    and unpublished.

    conntrack must never send the flow to an old target.
    """
    world, port = scenario.world, 8005
    path, family = scenario.peer, socket.AF_INET6 if ":" in address else socket.AF_INET
    client = namespaces.run_in_netns(path, lambda: socket.socket(family, socket.SOCK_DGRAM))
    client.settimeout(0.3)
    client.connect((address, port))

    def answered(patience: float) -> bool:
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            with suppress(OSError):
                client.send(b"?")
                return bool(client.recv(100))
        return False

    assert not answered(0.3)
    with client:
        for name in ("web", "private"):
            world.servers.heard.clear()
            world.hawse("publish", name, "-p", f"{port}:90/udp")
            assert answered(3), f"{name} is reached at once"
            world.hawse("unpublish", name, "90/udp")
            assert not answered(0.5)


def test_new_container_gets_no_packets_for_the_previous_owner_of_its_address(scenario):
    """A new container gets the address of a removed container. The new container must receive no packets of the removed
    container's flows.

    The flows pass through firewall rules, the agent's port proxy, plain routing, or another network. Each flow was
    allowed when it began.
    """
    world, place = scenario.world, ["--network", "old", "--ip", "172.35.0.77"]
    world.inside(scenario.peer, f"ip route replace 172.35.0.0/16 via {HOST}")
    victim = world.containers(victim=[*place, *publishing("8006:86")])["victim"]
    world.serve(victim, 86)
    stranger = scenario.paths["stranger"]
    ways = [(scenario.peer, HOST, 8006), (scenario.peer, HOST6, 8006), (scenario.peer, "172.35.0.77", 86)]
    ways += [(stranger, "172.31.0.1", 8006), (stranger, "fd00:31::1", 8006)]
    flows = [flow_to(*direction) for direction in ways]
    assert [carries(flow) for flow in flows] == [True] * len(flows)
    world.hawse("rm", "-f", "victim")
    heir = world.containers(heir=place)["heir"]
    world.serve(heir, 86)
    world.servers.heard.clear()
    assert [carries(flow, 0.3) for flow in flows] == [False] * len(flows)
    assert b"word" not in world.servers.heard
    for flow in flows:
        flow.close()


def flow_to(path: str, address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    flow = namespaces.run_in_netns(path, lambda: socket.socket(family, socket.SOCK_DGRAM))
    flow.connect((address, port))
    return flow


def carries(flow: socket.socket, patience: float = 3) -> bool:
    """Send a message on the flow ``flow``, and return whether an answer comes."""
    flow.settimeout(patience / 3)
    for _ in range(3):
        with suppress(OSError):
            flow.send(b"word")
            return bool(flow.recv(100))
    return False


def test_ports_of_a_stopped_container_are_closed(scenario):
    world = scenario.world
    assert scenario.answered("neighbour", 8002, HOST, HOST6)
    world.hawse("stop", "-t", "0", "web")
    assert scenario.silent("neighbour", 8002, HOST, HOST6)
    assert scenario.silent("neighbour", 80, "172.30.0.2", "fd00:30::2")
    assert "8002" not in world.host.sh("nft list table inet hawse")
