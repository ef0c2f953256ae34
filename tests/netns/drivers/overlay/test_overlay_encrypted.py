"""The traffic of an encrypted overlay network is unreadable on the wire. No packet is sent without encryption."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from drivers.errors import BadOption, Missing, Unsupported
from drivers.linux import libnftables

pytestmark = pytest.mark.netns

SUBNET = "10.0.1.0/24"
PORT = 51820
KILLS = range(1, 2000, 45)
LOST_ROUTE = "missing: the default route through the encrypting interface"
PAST = "unexpected: a route to {} past the encrypting interface"


def wg(*argv: str, stdin: str = "") -> str:
    return subprocess.run(["wg", *argv], input=stdin, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def keys() -> list[tuple[str, str]]:
    pairs = []
    for _ in range(3):
        private = wg("genkey")
        pairs.append((private, wg("pubkey", stdin=private)))
    return pairs


@pytest.fixture
def encrypted(cluster, keys):
    """Return a function that creates an encrypted network between the hosts.

    The returned function has a parameter ``known``, a number of hosts. Each host gets the tunnel keys of the first
    ``known`` hosts only.
    """

    def make(name: str = "o1", underlay: int = 4, known: int = 2, hosts: int = 2):
        addresses = [h.address if underlay == 4 else h.address6 for h in cluster.some(hosts)]

        def options(host) -> dict[str, str]:
            index = host.index - 1
            peers = [
                {"public_key": keys[n][1], "endpoint": addresses[n], "address": f"10.255.0.{n + 1}"}
                for n in range(known)
                if n != index
            ]
            document = {"private_key": keys[index][0], "listen_port": PORT, "address": f"10.255.0.{index + 1}"}
            return {"encrypted": "", "com.hawse.overlay.wireguard": json.dumps({**document, "peers": peers})}

        return cluster.network(name, SUBNET, "fd00:1::/64", hosts=hosts, underlay=underlay, options=options)

    return make


@contextlib.contextmanager
def captured(where, interface: str = "br0"):
    """Capture an interface's packets, by default on the wire between the hosts.

    After the ``with`` block, the yielded function returns the capture as text.
    """
    argv = ["tcpdump", "-n", "-i", interface, "-X", "-s", "0", "-l", "--immediate-mode", "udp"]
    tcpdump = where.popen(*argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    tcpdump.stderr.readline()
    time.sleep(0.2)
    texts: list[str] = []
    try:
        yield lambda: texts[0]
    finally:
        time.sleep(0.3)
        tcpdump.terminate()
        texts.append(tcpdump.communicate(timeout=5)[0])


def process_of(host, program: str) -> int:
    """Return the pid of a program in a host's namespace."""
    pids = map(int, subprocess.run(["ip", "netns", "pids", host.name], capture_output=True, text=True).stdout.split())
    return next(pid for pid in pids if Path(f"/proc/{pid}/comm").read_text() == f"{program}\n")


@pytest.mark.parametrize("underlay", [4, 6])
def test_nothing_is_on_the_wire_in_clear(cluster, encrypted, underlay):
    o1 = encrypted(underlay=underlay)
    here, there = o1.container(0), o1.container(1)
    overhead = 60 if underlay == 4 else 80
    o1.members[0].inside("sysctl -qw net.bridge.bridge-nf-call-iptables=1")  # sets the sysctl on the first host only
    assert f"mtu {1500 - overhead - 50}" in here.sh("ip link show eth0")
    with captured(cluster.peer) as wire:
        assert here.pings(there.ipv4, wait=5)
        assert here.pings(there.ipv6)
        assert here.pings(there.ipv4, size=1500 - overhead - 50 - 28)
        here.sh(f"ping -c1 -p 736563726574 {there.ipv4}")
        here.sends_to_all("255.255.255.255", [there])
    assert f".{PORT}" in wire() or f".{PORT}: UDP" in wire()
    assert ".4789" not in wire()
    assert "secret" not in wire().replace("\n", "")
    assert "7365 6372 6574" not in wire()


def test_the_capture_shows_packets_of_a_network_without_encryption(cluster):
    o1 = cluster.network("o1", SUBNET)
    here, there = o1.container(0), o1.container(1)
    with captured(cluster.peer) as wire:
        here.sh(f"ping -c1 -p 736563726574 {there.ipv4}")
    assert ".4789" in wire()
    assert "7365 6372 6574" in wire()


def test_no_packet_leaves_in_clear_by_a_link_that_somebody_adds(cluster, encrypted):
    o1 = encrypted()
    here, there = o1.container(0), o1.container(1)
    member = o1.members[0]
    assert here.pings(there.ipv4, wait=5)
    fd = os.open(member.place.sandbox.path, os.O_RDONLY)
    with contextlib.closing(os.fdopen(fd)):
        command = ["ip", "-n", member.host.name, "link", "add", "leak0", "type", "veth", "peer", "name", "leak1"]
        subprocess.run([*command, "netns", f"/proc/{os.getpid()}/fd/{fd}"], check=True)
    member.host.sh("ip addr add 10.254.0.1/24 dev leak0; ip link set leak0 up")
    member.inside("ip addr add 10.254.0.2/24 dev leak1; ip link set leak1 up; ip route replace default via 10.254.0.1")
    with captured(member.host, "leak0") as leaked:
        assert not here.pings(there.ipv4, wait=0.3)
    assert ".4789" not in leaked()
    member.inside("nft flush ruleset")
    with captured(member.host, "leak0") as leaked:
        assert not here.pings(there.ipv4, wait=0.3)
    assert ".4789" in leaked()  # no firewall rule blocks these packets after the flush


def test_without_keys_or_programs_it_does_not_come_up(cluster, encrypted, monkeypatch):
    with pytest.raises(Unsupported, match=r"^network o1 is encrypted, and this host was given no keys for it"):
        cluster.network("o1", SUBNET, options={"encrypted": ""})
    os.symlink("/usr/bin/sleep", cluster.directory / "sleep")
    with monkeypatch.context() as changed:
        changed.setenv("PATH", str(cluster.directory))
        with pytest.raises(Unsupported, match=r"^network o2 is encrypted and can't come up: .* program is missing"):
            encrypted("o2")
    assert not cluster.members[-1].place.file.exists()


def test_without_the_rules_it_does_not_come_up(cluster, encrypted, monkeypatch):
    run = libnftables.run
    monkeypatch.setattr(libnftables, "run", lambda script: run(re.sub("(?m)^.*oifname.*$", "", script)))
    with pytest.raises(Unsupported, match="can't come up: the kernel does not hold the rules"):
        encrypted("o1")
    assert not cluster.members[-1].place.file.exists()


def test_verify_mends_a_dead_tunnel_and_lost_rules(cluster, encrypted):
    o1 = encrypted()
    here, there = o1.container(0), o1.container(1)
    member = o1.members[0]
    member.inside(f"ip link set {member.place.tunnel.name} down")
    assert member.verify(fix=True) == ["changed: the encrypting interface is down"]
    assert member.verify() == []
    member.inside(f"ip link del {member.place.tunnel.name}; nft flush ruleset")
    differences = ["missing: the encrypting interface", "missing: the rules against packets in clear"]
    assert member.verify() == differences
    assert not here.pings(there.ipv4, wait=0.3)
    member.verify(fix=True)
    assert member.verify() == []
    assert here.pings(there.ipv4, wait=5)


@pytest.mark.parametrize(
    ("damage", "differences"),
    [
        ("ip route del default", [LOST_ROUTE]),
        ("ip link set lo up; ip route replace default dev lo", [LOST_ROUTE, PAST.format("0.0.0.0/0")]),
        ("ip link set lo up; ip route prepend default dev lo", [PAST.format("0.0.0.0/0")]),
        ("ip link set lo up; ip route add 0.0.0.0/1 dev lo", [PAST.format("0.0.0.0/1")]),
        ("ip link set lo up; ip nexthop add id 7 dev lo; ip route add 0.0.0.0/1 nhid 7", [PAST.format("0.0.0.0/1")]),
        ("ip route add blackhole 10.0.0.0/8", [PAST.format("10.0.0.0/8")]),
        ("ip addr add 10.255.0.9/24 dev br0", [PAST.format("10.255.0.0/24")]),
        ("ip addr flush dev {tunnel}", ["missing: the encrypting interface's address 10.255.0.1", LOST_ROUTE]),
        ("ip link set {tunnel} mtu 1280", ["changed: the encrypting interface has the MTU 1280 instead of 1440"]),
    ],
)
def test_verify_mends_the_route_address_and_mtu_of_a_tunnel(cluster, encrypted, damage, differences):
    o1 = encrypted()
    here, there = o1.container(0), o1.container(1)
    member = o1.members[0]
    tunnel = member.place.tunnel.name
    assert member.verify() == []
    assert here.pings(there.ipv4, wait=5)
    member.inside(damage.format(tunnel=tunnel))
    assert member.verify() == differences
    assert here.pings(there.ipv4, wait=0.3) is ("mtu" in damage)
    member.program()
    assert member.verify() == []
    assert here.pings(there.ipv4, wait=5, size=1440 - 50 - 28)


def test_routes_that_take_no_packets_to_a_peer_are_left_alone(cluster, encrypted):
    o1 = encrypted()
    member = o1.members[0]
    member.inside("ip link set lo up; ip route add 128.0.0.0/1 dev lo; ip route add default dev lo metric 9")
    member.inside("ip -6 route add default dev lo; ip -6 route add ::/1 dev lo")
    member.inside(f"ip route add 10.255.0.2 dev {member.place.tunnel.name}; ip route add blackhole 10.255.0.3")
    assert member.verify() == []
    assert o1.container(0).pings(o1.container(1).ipv4, wait=5)


def test_a_killed_tunnel_is_repaired_when_peers_are_programmed(cluster, encrypted):
    o1 = encrypted()
    here, there = o1.container(0), o1.container(1)
    member = o1.members[0]
    assert here.pings(there.ipv4, wait=5)
    with captured(cluster.peer) as wire:
        os.kill(process_of(member.host, "wireguard-go"), signal.SIGKILL)
        assert not here.pings(there.ipv4, wait=0.3)
        member.program()
        assert here.pings(there.ipv4, wait=5)
    assert f".{PORT}" in wire()
    assert ".4789" not in wire()


def test_a_host_without_a_key_gets_nothing_and_the_others_do(cluster, encrypted):
    o1 = encrypted(known=2, hosts=3)
    here, there = o1.container(0), o1.container(1)
    with pytest.raises(
        Missing, match=r"^no WireGuard tunnel to 192\.168\.99\.13; refusing to send unencrypted traffic"
    ):
        o1.container(2)
    member = o1.members[0]
    stranger = member.peers[-1]
    with pytest.raises(Missing, match=r"^no WireGuard tunnel to"):
        member.add_peer(stranger)
    assert here.pings(there.ipv4, wait=5)
    assert member.verify() == ["missing: a tunnel to 192.168.99.13"]
    assert member.act("verify", member.peers, False, tunnels=False) == []


def test_a_creation_killed_anywhere_is_completed_by_the_next(cluster, encrypted):
    o1 = encrypted()
    member = o1.members[0]
    member.kill_throughout("create_network", KILLS)
    member.act("create_network")
    here, there = o1.container(0), o1.container(1)
    member.program()
    assert member.verify() == []
    assert here.pings(there.ipv4, wait=5)


def test_wrong_keys_are_refused_and_not_shown(cluster):
    secret = "c2VjcmV0"
    document = json.dumps({"private_key": secret, "listen_port": PORT, "address": "10.255.0.1"})
    options = {"encrypted": "", "com.hawse.overlay.wireguard": document}
    with pytest.raises(BadOption, match="a key is not 32 bytes in base64") as raised:
        cluster.network("o1", SUBNET, options=options)
    assert secret not in str(raised.value)


def test_the_tunnel_ends_with_its_network(cluster, encrypted):
    o1 = encrypted()
    member = o1.members[0]
    name = member.place.tunnel.name
    assert os.path.exists(f"/var/run/wireguard/{name}.sock")
    member.act("delete_network")
    member.act("create_network")
    member.act("delete_network")
    deadline = time.monotonic() + 3
    while os.path.exists(f"/var/run/wireguard/{name}.sock"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert name not in member.host.sh("ip link")
