"""Changes of links that the agent does not repair: changes by the container's user and by hawse's own commands.

The agent also reports another program that undoes each repair.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from drivers.linux import netns as namespaces
from tests import packets
from tests.conftest import Netns, until
from tests.netns.agent.conftest import BOUND, GATEWAY, PEER, WEB

pytestmark = pytest.mark.netns


class Repeated:
    """A context in which a thread repeats a call without a pause; errors of the system are ignored."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call, self._ended = call, threading.Event()
        self._thread = threading.Thread(target=self._repeat)

    def _repeat(self) -> None:
        while not self._ended.is_set():
            with suppress(OSError):
                self._call()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def test_changes_by_the_containers_user_stay(world, traffic):
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
    log = world.log()
    world.inside(web, "ip rule add priority 10 to 172.31.255.254 blackhole; ip route delete 10.8.0.0/16")
    time.sleep(0.3)
    assert "missing route" not in world.log().removeprefix(log)
    world.inside(web, "ip rule delete priority 10")
    world.inside(web, "ip link delete own0; ip addr delete 10.9.9.9/24 dev eth0; nft delete table ip mine")
    time.sleep(0.5)
    assert "own0" not in world.inside(web, "ip route")


def test_an_interface_in_the_users_own_bridge_stays_there(world, traffic):
    world.calm_down()
    path, log = world.containers(router=["--network", "app", "--ip", "172.31.0.66"])["router"], world.log()
    time.sleep(1)
    world.inside(
        path,
        "ip link add own0 type bridge; ip link set eth0 master own0; ip addr flush dev eth0; ip link set own0 up; "
        "ip link set eth0 address 02:42:aa:bb:cc:dd; ip addr add 172.31.0.66/16 dev own0; "
        f"ip route replace default via {GATEWAY}",
    )
    endpoint = world.hawse("inspect", "-f", "{{.NetworkSettings.Networks.app.EndpointID}}", "router")
    port = f"veth{endpoint[:7]}"
    world.host.sh(f"ip link set {port} down")
    until(lambda: world.inside(path, f"ping -c1 -W1 {GATEWAY} >&2 && echo yes || :"), BOUND)
    time.sleep(1)
    assert "inet " not in world.inside(path, "ip addr show eth0")
    assert "02:42:aa:bb:cc:dd" in world.inside(path, "ip link show eth0")
    assert f"default via {GATEWAY} dev own0" in world.inside(path, "ip route")
    assert "keeps undoing" not in world.log().removeprefix(log)
    world.inside(path, "ip link delete own0")
    until(lambda: "inet 172.31.0.66" in world.inside(path, "ip addr show eth0"), 5)
    world.hawse("rm", "-f", "router")


def test_the_mode_of_a_macvlan_interface_is_restored(world, traffic):
    world.calm_down()
    world.hawse("network", "create", "-d", "macvlan", "-o", "parent=ext0", "--subnet", "172.36.0.0/16", "lan")
    path, log = world.containers(member=["--network", "lan"])["member"], world.log()
    time.sleep(1.5)
    world.inside(path, "ip link set eth0 type macvlan mode private")
    until(lambda: "mode bridge" in world.inside(path, "ip -d link show eth0"), BOUND)
    assert "eth0 has macvlan_mode private" in world.logged(log)
    world.hawse("rm", "-f", "member")
    world.hawse("network", "rm", "lan")


def test_changes_by_commands_are_not_repaired(world, traffic):
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


def test_a_port_that_is_put_back_is_isolated_from_its_first_frame(world, traffic):
    """A container sends frames to its neighbour all the time; while their ports are put back, none arrives."""
    world.calm_down()
    filtered = "net.bridge.bridge-nf-call-iptables"  # with this sysctl on, the firewall drops these frames too
    world.host.sh(f"sysctl -qew {filtered}=0")
    world.hawse("network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "closed")
    paths = world.containers(near=["--network", "closed"], far=["--network", "closed"])
    members = json.loads(world.hawse("network", "inspect", "closed"))[0]["Containers"].values()
    near, far = sorted(members, key=lambda member: member["Name"], reverse=True)
    ports = [f"veth{member['EndpointID'][:7]}" for member in members]
    (source, target) = (member["IPv4Address"].partition("/")[0] for member in (near, far))
    receiver = namespaces.run_in_netns(paths["far"], lambda: socket.socket(type=socket.SOCK_DGRAM))
    receiver.bind((target, 5555))
    sender = namespaces.run_in_netns(paths["near"], lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
    sender.bind(("eth0", 0))
    frame = packets.ethernet(far["MacAddress"], near["MacAddress"], packets.udp(source, 1, target, 5555))
    with receiver, sender, Repeated(lambda: sender.send(frame)):
        for _ in range(3):
            world.damaged += 1
            for port in ports:
                world.host.sh(f"ip link set {port} nomaster")
            for port in ports:
                until(lambda port=port: "isolated on" in world.host.sh(f"ip -d link show {port}"), BOUND)
            time.sleep(0.2)
        receiver.setblocking(False)
        with pytest.raises(BlockingIOError):
            receiver.recv(100)
    world.host.sh(f"sysctl -qew {filtered}=1")
    world.hawse("rm", "-f", "near", "far")
    world.hawse("network", "rm", "closed")


def test_a_conflict_is_reported_and_ends(world, traffic):
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


def test_a_repair_keeps_the_sysctls_that_the_user_chose(world, traffic):
    world.calm_down()
    chosen = ["--sysctl", "net.ipv6.conf.eth0.accept_ra=1", "--sysctl", "net.ipv4.conf.eth0.log_martians=1"]
    path = world.containers(chooser=["--network", "app", *chosen])["chooser"]
    for fault in ("ip addr flush dev eth0", "ip link delete eth0"):
        world.damaged += 1
        world.inside(path, fault)
        until(lambda: "inet " in world.inside(path, "ip addr show eth0 2>&1 || :"))
        shown = "cat /proc/sys/net/ipv6/conf/eth0/accept_ra /proc/sys/net/ipv4/conf/eth0/log_martians"
        until(lambda shown=shown: world.inside(path, shown).split() == ["1", "1"])
        time.sleep(0.3)
        assert world.inside(path, shown).split() == ["1", "1"]
    world.hawse("rm", "-f", "chooser")


def test_an_idle_agent_costs_no_processor_time(world, traffic):
    """The agent becomes idle soon after a change: only single tasks, such as the backup after 5 s, cost time."""
    world.calm_down()
    until(lambda: world.share_of_processor(5) < 0.001, 30)


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
def test_nothing_is_repaired_until_the_user_allows_repairs(world, traffic, kind, tmp_path, monkeypatch):
    if kind == "daemon.json":
        (tmp_path / "daemon.json").write_text('{"heal": false}')
        monkeypatch.setenv("HAWSE_CONFIG", str(tmp_path / "daemon.json"))
        world.damaged = 1
        world.calm_down(heals=False)
    world.hawse("network", "create", *(["-o", "hawse.heal=false"] if kind == "network" else []), "loose")
    label = ["--label", "hawse.heal=false"] if kind == "container" else []
    path = world.containers(free=["--network", "loose", *label])["free"]
    world.inside(path, "ip addr flush dev eth0")
    time.sleep(1)
    assert "inet " not in world.inside(path, "ip addr show eth0")
    if kind == "daemon.json":
        for heal in (True, False, True):
            (tmp_path / "daemon.json").write_text(json.dumps({"heal": heal}))
            world.hawse("network", "create", f"other-{heal}")  # the agent reads the file after each command
            until(lambda expected=heal: world.repairs_links() == expected)
            world.hawse("network", "rm", f"other-{heal}")
        until(lambda: "inet " in world.inside(path, "ip addr show eth0"))
        time.sleep(1)
        world.inside(path, "ip addr flush dev eth0")
        until(lambda: "inet " in world.inside(path, "ip addr show eth0"), BOUND)
    world.hawse("rm", "-f", "free")
    world.hawse("network", "rm", "loose")
    world.damaged = 5  # a number above 4 makes the next test start a new agent, which does not use this daemon.json
