"""Another program damages the links of hawse's networks, on the host or inside a container.

The agent repairs the damage without a hawse command, and traffic continues. What the container's user did deliberately
stays.
"""

from __future__ import annotations

import json
import re
import socket
import statistics
import struct
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.conftest import Netns, until
from tests.netns.agent.conftest import Guarded, a_host
from tests.netns.publish.conftest import open_socket

pytestmark = pytest.mark.netns

HOST, PEER, WEB, DB, GATEWAY = "192.168.99.11", "192.168.99.99", "172.31.0.2", "172.31.0.3", "172.31.0.1"
BOUND = 3.0
"""Seconds within which traffic must continue on a busy machine. Usually this takes a tenth of a second."""
ON_HOST = {
    "the bridge is deleted": "ip link delete %(bridge)s",
    "the bridge is down": "ip link set %(bridge)s down",
    "the bridge's addresses are removed": "ip addr flush dev %(bridge)s",
    "the bridge's IPv6 address is removed": "ip -6 addr flush dev %(bridge)s",
    "a veth is deleted": "ip link delete %(veth)s",
    "a veth is down": "ip link set %(veth)s down",
    "a veth is out of the bridge": "ip link set %(veth)s nomaster",
    "a veth is in another bridge": "ip link add br9 type bridge; ip link set %(veth)s master br9",
    "forwarding is off": "sysctl -qw net.ipv4.ip_forward=0",
    "the bridge does not forward": "sysctl -qw net.ipv4.conf.%(bridge)s.forwarding=0",
    "IPv6 is off on the bridge": "sysctl -qw net.ipv6.conf.%(bridge)s.disable_ipv6=1",
    "route_localnet is off": "sysctl -qw net.ipv4.conf.%(bridge)s.route_localnet=0",
    "the routes to the bridge are removed": "ip route delete 172.31.0.0/16; ip -6 route delete fd31::/64",
    "everything at once": "ip link delete %(bridge)s; ip link delete %(veth)s; nft flush ruleset",
}
INSIDE = {
    "the interface is deleted": "ip link delete eth0",
    "the interface is down": "ip link set eth0 down",
    "the interface is renamed": "ip link set eth0 down; ip link set eth0 name lan0; ip link set lan0 up",
    "the addresses are removed": "ip addr flush dev eth0",
    "the default route is removed": "ip route delete default",
    "the routes to the subnets are removed": "ip route delete 172.31.0.0/16; ip -6 route delete fd31::/64",
    "IPv6 is off": "sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1",
    "the loopback link is down": "ip link set lo down",
    "all of nftables is flushed": "nft flush ruleset",
    "the resolver's table is deleted": "nft delete table ip hawse_resolver",
    "the resolver's rules are flushed": "nft flush table ip hawse_resolver",
}
TOOK: dict[str, float] = {}
QUERY = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + b"\x02db\0\0\x01\0\x01"  # the address of "db"


class Drifting(Guarded):
    """A host whose links the tests damage; ``links`` has the names of the network's bridge and of web's port."""

    links: dict[str, str]


class Traffic:
    """Questions that need every link of the network "app"; the answers show whether traffic flows."""

    def __init__(self, world: Guarded) -> None:
        web, db, peer, host = world.paths_of["web"], world.paths_of["db"], world.peer.path, world.host.path
        self.ways = {
            "container to container": (db, WEB, 90, b"?"),
            "container to container, IPv6": (db, "fd31::2", 90, b"?"),
            "container to host": (web, GATEWAY, 92, b"?"),
            "container to outside": (web, PEER, 91, b"?"),
            "outside to published port": (peer, HOST, 8090, b"?"),
            "host to published port": (host, "127.0.0.1", 8090, b"?"),
            "names": (web, "127.0.0.11", 53, QUERY),
        }

    def stopped(self, patience: float = 0.15) -> list[str]:
        """Return the ways on which a question gets no answer within ``patience`` seconds."""
        asked = {}
        for way, (path, address, port, message) in self.ways.items():
            asked[way] = open_socket(path, address, "udp")
            with suppress(OSError):
                asked[way].connect((address, port))
                asked[way].send(message)
        deadline = time.monotonic() + patience
        silent = dict(asked)
        while silent and time.monotonic() < deadline:
            silent = {way: sock for way, sock in silent.items() if not _answered(sock)}
            time.sleep(0.002)
        for sock in asked.values():
            sock.close()
        return list(silent)

    def resumed(self) -> float:
        """Return the seconds until every question is answered again."""
        began = time.monotonic()
        while silent := self.stopped(0.05):
            assert time.monotonic() < began + 15, silent
        return time.monotonic() - began


def _answered(sock: socket.socket) -> bool:
    try:
        return bool(sock.recv(500))
    except OSError:
        return False


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drifting]:
    """A host with two containers, "web" with a published port and "db", on a network with IPv4 and IPv6."""
    made = a_host("d", tmp_path_factory.mktemp("drift"), Drifting)
    made.networks(app=["--subnet", "172.31.0.0/16", "--ipv6", "--subnet", "fd31::/64"])
    made.paths_of = made.containers(
        web=["--network", "app", "--ip", WEB, "--ip6", "fd31::2", "-p", "8090:90/udp"],
        db=["--network", "app", "--ip", DB, "--ip6", "fd31::3"],
    )
    members = json.loads(made.hawse("network", "inspect", "app"))[0]["Containers"]
    endpoint = next(m["EndpointID"] for m in members.values() if m["Name"] == "web")
    made.links = {"bridge": made.bridge("app"), "veth": f"veth{endpoint[:7]}"}
    made.serve(made.paths_of["web"], 90)
    made.serve(made.peer.path, 91)
    made.serve(made.host.path, 92)
    yield made
    made.close()


@pytest.fixture
def traffic(world: Guarded) -> Traffic:
    """Traffic on an undamaged host, whose agent has repaired little and so repairs at once."""
    if world.damaged > 4:
        world.calm_down()
    world.damaged += 1
    made = Traffic(world)
    until(lambda: not made.stopped())
    return made


@pytest.mark.parametrize("fault", ON_HOST.values(), ids=ON_HOST)
def test_damage_on_the_host_is_repaired_without_any_command(world, traffic, fault, request):
    log = world.log()
    world.host.sh(fault % world.links)
    TOOK[request.node.callspec.id] = took = traffic.resumed()
    assert took < BOUND
    assert re.search(r"repaired in \d+ ms", world.logged(log))
    world.host.sh("ip link delete br9", check=False)


@pytest.mark.parametrize("fault", INSIDE.values(), ids=INSIDE)
def test_damage_inside_a_container_is_repaired_without_any_command(world, traffic, fault, request):
    log = world.log()
    world.inside(world.paths_of["web"], fault)
    TOOK[request.node.callspec.id] = took = traffic.resumed()
    assert took < BOUND
    assert re.search(r"container web: .*repaired in \d+ ms", world.logged(log))


def test_repairs_take_a_tenth_of_a_second(world, capsys):
    with capsys.disabled():
        for name, took in TOOK.items():
            print(f"\n  {took * 1000:6.0f} ms  {name}", end="")
        print(f"\n  {statistics.median(TOOK.values()) * 1000:6.0f} ms  median", end=" ")
    assert statistics.median(TOOK.values()) < 1.0


def test_what_the_containers_user_did_stays(world, traffic):
    web = world.paths_of["web"]
    world.inside(
        web,
        "nft add table ip mine; nft add chain ip mine c; ip addr add 10.9.9.9/24 dev eth0; "
        "ip link add own0 type bridge; ip link set own0 up; ip route add 10.8.0.0/16 dev own0; "
        "ip route add default dev own0 metric 500; sysctl -qw net.ipv4.conf.eth0.log_martians=1",
    )
    world.inside(web, f"ip addr delete {WEB}/16 dev eth0; nft delete table ip hawse_resolver")
    assert traffic.resumed() < BOUND
    time.sleep(0.3)
    assert "table ip mine" in world.inside(web, "nft list tables")
    assert "10.9.9.9/24" in world.inside(web, "ip addr show eth0")
    routes = world.inside(web, "ip route")
    assert "10.8.0.0/16 dev own0" in routes
    assert "default dev own0 scope link metric 500" in routes
    assert f"default via {GATEWAY} dev eth0" in routes
    world.inside(web, "ip link delete own0; ip addr delete 10.9.9.9/24 dev eth0; nft delete table ip mine")
    time.sleep(0.5)
    assert "own0" not in world.inside(web, "ip route")


def test_what_commands_do_is_no_damage(world, traffic):
    log = world.log()
    world.hawse("network", "create", "--subnet", "172.35.0.0/16", "brief")
    world.containers(quiet=["--network", "brief", "-p", "9200:80"])
    world.hawse("network", "connect", "app", "quiet")
    world.hawse("network", "disconnect", "brief", "quiet")
    world.hawse("network", "connect", "brief", "quiet")
    world.hawse("rm", "-f", "quiet")
    world.hawse("network", "rm", "brief")
    time.sleep(1.5)
    assert world.log() == log


def test_isolated_ports_stay_isolated(world, traffic):
    world.hawse("network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "closed")
    world.containers(alone=["--network", "closed"])
    members = json.loads(world.hawse("network", "inspect", "closed"))[0]["Containers"].values()
    port = f"veth{next(iter(members))['EndpointID'][:7]}"
    world.host.sh(f"ip link set {port} type bridge_slave isolated off")
    until(lambda: "isolated on" in world.host.sh(f"ip -d link show {port}"), BOUND)
    world.hawse("rm", "-f", "alone")
    world.hawse("network", "rm", "closed")


def test_a_fight_is_noticed_and_ends(world, traffic):
    log, web = world.log(), world.paths_of["web"]
    world.damaged = 5
    for _ in range(200):
        world.inside(web, f"ip addr delete {WEB}/16 dev eth0 2>/dev/null || :")
        if "keeps undoing" in world.log().removeprefix(log):
            break
        time.sleep(0.05)
    assert "keeps undoing the repair" in world.logged(log, "keeps undoing")
    assert 10 <= world.log().removeprefix(log).count("missing address") < 15
    assert "keeps changing the links of container web" in world.host.hawse("info").stderr
    assert traffic.resumed() < 10


def test_an_idle_agent_costs_no_processor_time(world, traffic):
    world.calm_down()
    time.sleep(3)
    used, began = world.cpu(), time.monotonic()
    time.sleep(6)
    share = (world.cpu() - used) / (time.monotonic() - began)
    assert share < 0.001, f"{share:.3%}"


def test_an_adopted_namespace_is_repaired(world, traffic):
    guest = Netns(f"{world.host.name}g")
    try:
        world.hawse("network", "connect", "--ip", "172.31.0.7", "app", f"netns:{guest.name}")
        guest.sh("ip link add own0 type bridge; ip addr add 10.7.0.1/24 dev own0; ip link set own0 up")
        for fault in (
            "ip link delete eth0",
            "ip addr flush dev eth0",
            "ip route delete default",
            "ip link set eth0 down",
        ):
            world.damaged += 1
            guest.sh(fault)
            until(lambda: guest.run("ping", "-c1", "-W1", PEER, check=False).returncode == 0, BOUND)
        assert "10.7.0.1/24" in guest.sh("ip addr show own0")
        world.hawse("network", "disconnect", "app", f"netns:{guest.name}")
        time.sleep(0.3)
        assert "eth0" not in guest.sh("ip link")
    finally:
        guest.delete()


@pytest.mark.parametrize("kind", ["network", "container", "daemon.json"])
def test_nothing_is_repaired_where_the_user_says_so(world, traffic, kind, tmp_path, monkeypatch):
    if kind == "daemon.json":
        (tmp_path / "daemon.json").write_text('{"heal": false}')
        monkeypatch.setenv("HAWSE_CONFIG", str(tmp_path / "daemon.json"))
        world.damaged = 1
        world.calm_down()
    world.hawse("network", "create", *(["-o", "hawse.heal=false"] if kind == "network" else []), "loose")
    label = ["--label", "hawse.heal=false"] if kind == "container" else []
    path = world.containers(free=["--network", "loose", *label])["free"]
    world.inside(path, "ip addr flush dev eth0")
    time.sleep(1)
    assert "inet " not in world.inside(path, "ip addr show eth0")
    world.hawse("rm", "-f", "free")
    world.hawse("network", "rm", "loose")
    world.damaged = 5  # so the next test starts another agent, without this daemon.json
