"""``hawse trace`` across hosts reports healthy targets as reachable, and names faults on both hosts of the path.

Nothing repairs the two hosts, so a fault stays until it is undone.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys

import pytest

from drivers.overlay.wireguard import interface_name
from engine.cluster import keys
from engine.cluster import membership as memberships
from tests.cluster.conftest import LEASE, eventually
from tests.cluster.far_host import FarHost, inside, trace, was_answered

pytestmark = pytest.mark.netns
HOSTNAME = socket.gethostname()
SERVER = """
import socket, time
TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
kept = []
for kind, address, port in (TCP, "::", 80), (TCP, "127.0.0.1", 81), (UDP, "::", 90), (UDP, "127.0.0.1", 91):
    one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    one.bind((address, port))
    if kind == TCP:
        one.listen()
    kept.append(one)
time.sleep(1e6)
"""
DROP = (
    "nft 'add table inet foreign; add chain inet foreign c {{{{ type filter hook {} priority 0; }}}}; "
    "add rule inet foreign c {} drop'"
)
NO_DROP = "nft delete table inet foreign"
ELEMENTS = "inet hawse tunnel_peers4 '{{ {box} . 4789 . {vni:#x} }}'"


def culprit(host, *argv):
    traced = trace(host, *argv)
    assert traced["reachable"] is False, traced
    assert traced["culprit"] is not None, traced
    return traced["culprit"]


@pytest.fixture(scope="module")
def pair(cluster, tmp_path_factory):
    config = tmp_path_factory.mktemp("pair") / "daemon.json"
    config.write_text('{"heal": false}')
    a, b = (cluster.add_host() for _ in range(2))
    for host in (a, b):
        host.settings = {**host.settings, "HAWSE_CONFIG": str(config)}
    a.hawse("swarm", "init", "--advertise-addr", a.underlay)
    b.hawse("swarm", "join", "--token", cluster.token(), f"{a.underlay}:2377")
    a.hawse("network", "create", "-d", "overlay", "--attachable",
            "--ipv6", "--subnet", "10.77.0.0/24", "--subnet", "fd77::/64", "app")  # fmt: skip
    server = (sys.executable, "-c", SERVER)
    a.start("web", "app", "--ip", "10.77.0.10", "--ip6", "fd77::10", "-p", "8080:80", command=server)
    b.start("box", "app", "--ip", "10.77.0.20", "--ip6", "fd77::20")
    a.start("near", "app", "--ip", "10.77.0.11")
    eventually(lambda: b.reaches("box", "web"))
    return a, b


@pytest.mark.parametrize(
    "target", ["web:80", "web", "10.77.0.10:80", "10.77.0.10", "[fd77::10]:80", "fd77::10", "http://web/"]
)
def test_the_other_host_is_reachable(pair, target):
    traced = trace(pair[1], "box", target)
    assert (traced["reachable"], traced["culprit"]) == (True, None), traced


def test_the_same_host_is_reachable(pair):
    traced = trace(pair[0], "near", "web:80")
    assert (traced["reachable"], traced["culprit"]) == (True, None), traced


@pytest.mark.parametrize("source", ["host", "outside"])
def test_a_published_port_of_an_overlay(pair, source):
    traced = trace(pair[0], source, "published:8080")
    assert (traced["reachable"], traced["culprit"]) == (True, None), traced


def test_faults_on_one_host(pair):
    a, _ = pair
    port = (
        f"veth{json.loads(a.hawse('inspect', 'web').stdout)[0]['NetworkSettings']['Networks']['app']['EndpointID'][:7]}"
    )
    inside(a, f"ip link set {port} down")
    try:
        named = culprit(a, "near", "10.77.0.10:80")
        assert (named["kind"], port in named["object"]) == ("interface-down", True), named
    finally:
        inside(a, f"ip link set {port} up")
    inside(a, "ip link set br0 down")
    try:
        named = culprit(a, "near", "10.77.0.10:80")
        assert (named["kind"], "br0" in named["object"]) == ("bridge-down", True), named
    finally:
        inside(a, "ip link set br0 up")
        a.verify("app", "--fix")


def test_a_closed_port_and_an_unknown_address(pair):
    assert culprit(pair[1], "box", "web:4444")["kind"] == "port-not-listening"
    assert culprit(pair[1], "box", "10.77.0.99:80")["kind"] == "no-such-endpoint"


def test_a_container_on_another_overlay(pair):
    """The containers of two overlays share only the gateway bridge, which does not let them reach each other."""
    a, b = pair
    a.hawse("network", "create", "-d", "overlay", "--attachable", "apart")
    a.start("aside", "apart")
    b.start("away", "apart")
    a.hawse("run", "-d", "--name", "plain", "hostfs", "sleep", "infinity")
    try:
        for source, on in (("near", "app"), ("plain", "bridge")):
            for target, place in (("aside", ""), ("away", f" (on host {HOSTNAME})")):
                named = eventually(lambda s=source, t=target: culprit(a, s, f"{t}:80"))
                assert named["kind"] == "not-same-network", named
                assert named["detail"] == f"{source} is on {on}; {target}{place} is on apart"
                assert named["fix"].endswith(f"hawse network connect apart {source}")
        assert culprit(a, "host", "away:80")["kind"] == "not-same-network"
    finally:
        a.hawse("rm", "-f", "aside", "plain")
        b.hawse("rm", "-f", "away")
        a.hawse("network", "rm", "apart")


def test_a_stale_peer_table(pair):
    _, b = pair
    mac = json.loads(pair[0].hawse("inspect", "web").stdout)[0]["NetworkSettings"]["Networks"]["app"]["MacAddress"]
    inside(b, f"bridge fdb del {mac} dev vxlan0 dst {pair[0].underlay} self")
    try:
        traced = trace(b, "box", "web:80")  # the frames still arrive, because they are flooded
        assert (traced["reachable"], traced["culprit"]["kind"]) == (True, "peer-table-stale"), traced
        inside(b, f"bridge fdb replace {mac} dev vxlan0 dst 192.168.99.77 self")
        named = culprit(b, "box", "web:80")
        assert (named["kind"], "app" in named["object"]) == ("peer-table-stale", True), named
    finally:
        b.verify("app", "--fix")
    assert trace(b, "box", "web:80")["reachable"] is True


@pytest.mark.parametrize("direction", ["output", "input"])
def test_vxlan_is_blocked_here(pair, direction):
    _, b = pair
    b.sh(DROP.format(direction, "udp dport 4789").format())
    try:
        for flags in ((), ("--dry",)):
            named = culprit(b, *flags, "box", "web:80")
            assert (named["kind"], "inet foreign" in named["object"]) == ("vxlan-blocked", True), named
            assert named["where"].startswith("host, "), named
    finally:
        b.sh(NO_DROP)


@pytest.mark.parametrize(("direction", "port"), [("output", "dport"), ("input", "sport")])
def test_a_firewall_in_the_source(pair, direction, port):
    _, b = pair
    pid = b.hawse("inspect", "-f", "{{.State.Pid}}", "box").stdout.strip()
    b.run("nsenter", "-t", pid, "-n", "sh", "-c", DROP.format(direction, f"tcp {port} 80").format())
    try:
        for flags in ((), ("--dry",)):
            named = culprit(b, *flags, "box", "web:80")
            assert (named["kind"], named["where"]) == ("container-firewall", "container box"), named
    finally:
        b.run("nsenter", "-t", pid, "-n", "sh", "-c", NO_DROP)


def test_the_vxlan_device_is_down(pair):
    _, b = pair
    inside(b, "ip link set vxlan0 down")
    try:
        named = culprit(b, "box", "web:80")
        assert (named["kind"], "vxlan0" in named["object"]) == ("interface-down", True), named
    finally:
        inside(b, "ip link set vxlan0 up")
        b.verify("app", "--fix")


def test_the_mtu_of_the_underlay_interface_is_too_small(pair):
    _, b = pair
    b.sh("ip link set ext0 mtu 1300")
    try:
        assert culprit(b, "box", "web")["kind"] == "mtu"
    finally:
        b.sh("ip link set ext0 mtu 1500")


def test_the_mtu_between_the_hosts_is_too_small(pair):
    a, b = pair
    a.peer.run("ip", "link", "set", f"v{a.index}", "mtu", "1400")
    try:
        named = culprit(b, "box", "web:80")
        assert (named["kind"], named["where"]) == ("mtu", "network between the hosts"), named
    finally:
        a.peer.run("ip", "link", "set", f"v{a.index}", "mtu", "1500")


@pytest.mark.slow
def test_a_broken_tunnel_of_an_encrypted_network_is_the_culprit(pair):
    a, b = pair
    a.hawse("network", "create", "-d", "overlay", "--attachable", "-o", "encrypted", "dark")
    a.start("hidden", "dark", command=(sys.executable, "-c", SERVER))
    b.start("seeker", "dark")
    eventually(lambda: trace(b, "seeker", "hidden:80")["reachable"])
    name = interface_name(b.run_dir, b.hawse("network", "inspect", "-f", "{{.Id}}", "dark").stdout.strip())
    inside(b, f"ip link set {name} down", "dark")
    assert culprit(b, "seeker", "hidden:80")["kind"] == "encryption-down"
    inside(b, f"ip link del {name}", "dark")
    assert culprit(b, "seeker", "hidden:80")["kind"] == "encryption-down"
    b.hawse("rm", "-f", "seeker")
    a.hawse("rm", "-f", "hidden")


@pytest.mark.slow
def test_a_rule_drops_the_wireguard_packets_of_an_encrypted_network(pair):
    """The trace cannot evaluate the rule, so only a dropped packet shows that the rule is the culprit."""
    a, b = pair
    a.hawse("network", "create", "-d", "overlay", "--attachable", "-o", "encrypted", "veil")
    a.start("veiled", "veil", command=(sys.executable, "-c", SERVER))
    for direction in ("output", "input"):  # at the first rule, the tunnel has no session yet
        b.sh(DROP.format(direction, "udp dport 51820-60011 ip ttl < 255").format())
        if direction == "output":
            b.start("looker", "veil")
        try:
            named = culprit(b, "looker", "veiled:80")
        finally:
            b.sh(NO_DROP)
        assert (named["kind"], named["where"]) == ("encryption-down", "host, table inet foreign chain c"), named
        assert "drops the WireGuard packets (UDP 5" in named["detail"], named
        eventually(lambda: trace(b, "looker", "veiled:80")["reachable"], 20)
    b.hawse("rm", "-f", "looker")
    a.hawse("rm", "-f", "veiled")


def test_the_store_is_down(pair):
    a, b = pair
    pid = a.pid_of("etcd")
    a.sh(f"kill -STOP {pid}")
    try:
        traced = trace(b, "box", "web:80")
        assert (traced["reachable"], traced["culprit"]["kind"]) == (True, "store-down"), traced
    finally:
        a.sh(f"kill -CONT {pid}")
    eventually(lambda: trace(b, "box", "web:80")["culprit"] is None)


def test_the_other_host_is_cut_off(pair):
    a, b = pair
    b.cut()
    try:
        eventually(lambda: culprit(a, "web", "10.77.0.20:80")["kind"] == "peer-unreachable", LEASE * 4)
    finally:
        b.repair()


# ------------------------------------------------------------------------------------- faults on the other host


@pytest.fixture(scope="module")
def far(pair):
    eventually(lambda: was_answered(trace(pair[1], "box", "web:80")))  # the tests before this cut the hosts off
    return FarHost(*pair)


@pytest.mark.parametrize(
    "argv",
    [["web:80"], ["fd77::10"], ["web:90/udp"], ["--dry", "[fd77::10]:80"], ["--dry", "web:90/udp"]],
    ids=" ".join,
)
def test_a_healthy_path_has_hops_on_both_hosts(far, argv):
    traced = far.trace(*argv[:-1], "box", argv[-1])
    assert (traced["reachable"], traced["culprit"], was_answered(traced)) == (True, None, True), traced
    assert any(far.names(hop) and hop["what"] == "interface eth0" for hop in traced["hops"]), traced
    assert all(hop["ok"] for hop in traced["hops"])


SERVICES = {
    "web:82": ("port-not-listening", "port 82/tcp of web"),
    "web:81": ("listening-on-loopback-only", "port 81/tcp of web"),
    "[fd77::10]:92/udp": ("port-not-listening", "port 92/udp of web"),
    "web:91/udp": ("listening-on-loopback-only", "port 91/udp of web"),
}


@pytest.mark.parametrize("target", SERVICES)
def test_the_service_on_the_other_host_is_the_culprit(far, target):
    traced = far.trace("box", target)
    assert (traced["reachable"], was_answered(traced)) == (False, True), traced
    assert (traced["culprit"]["kind"], traced["culprit"]["object"]) == SERVICES[target]
    assert far.names(traced["culprit"]) and traced["culprit"]["fix"].startswith("on ")


FAULTS = [
    ("interface-down", "{port}", "net", "ip link set {port} down", "ip link set {port} up", "web:80"),
    ("not-in-bridge", "{port}", "net", "ip link set {port} nomaster", "ip link set {port} master br0", "web:80"),
    ("wrong-address", "10.77.0.10/24", "web", "ip addr del 10.77.0.10/24 dev eth0",
     "ip addr add 10.77.0.10/24 dev eth0", "10.77.0.10:80"),
    ("wrong-route", "fd77::20", "web", "ip route add blackhole fd77::20", "ip route del blackhole fd77::20",
     "[fd77::10]:80"),
    ("stale-neighbour", "10.77.0.20", "web", "ip neigh replace 10.77.0.20 lladdr 02:00:00:00:00:99 dev eth0",
     "ip neigh del 10.77.0.20 dev eth0", "web:80"),
    ("container-firewall", "inet foreign", "web", DROP.format("input", "tcp dport 80"), NO_DROP, "web:80"),
    ("container-firewall", "inet foreign", "web", DROP.format("output", "udp sport >= 90"), NO_DROP, "web:90/udp"),
    ("container-firewall", "ip filter", "web", "iptables -A INPUT -p tcp --dport 80 -j REJECT", "iptables -F",
     "web:80"),
    ("container-firewall", "iptables-legacy table filter chain INPUT", "web",
     "iptables-legacy -A INPUT -p tcp --dport 80 -j DROP", "iptables-legacy -F", "web:80"),
    ("vxlan-blocked", "iptables-legacy table filter chain INPUT", "host",
     "iptables-legacy -I INPUT -p udp --dport 4789 -j DROP", "iptables-legacy -F", "web:80"),
    ("foreign-firewall", "iptables-legacy table filter chain FORWARD", "net",
     "sysctl -qw net.bridge.bridge-nf-call-iptables=1; iptables-legacy -P FORWARD DROP",
     "sysctl -qw net.bridge.bridge-nf-call-iptables=0; iptables-legacy -P FORWARD ACCEPT", "web:80"),
    ("vxlan-blocked", "inet foreign", "host", DROP.format("input", "udp dport 4789"), NO_DROP, "web:80"),
    ("vxlan-blocked", "inet foreign", "host", DROP.format("output", "udp dport 4789"), NO_DROP, "web"),
    ("peer-table-stale", "10.77.0.20", "net", "bridge fdb del {mac} dev vxlan0 self; "
     "bridge fdb add {mac} dev vxlan0 dst 192.168.99.77 self", "bridge fdb replace {mac} dev vxlan0 dst {box} self",
     "web:80"),
    ("own-firewall-damaged", "tunnel_peers4", "host", f"nft delete element {ELEMENTS}", f"nft add element {ELEMENTS}",
     "web:80"),
    ("wrong-address", "MAC ", "web", "ip link set eth0 address 02:00:00:00:00:77",
     "ip link set eth0 address {own}", "web:80"),
    ("stale-neighbour", "{own}", "net", "bridge fdb replace {own} dev vxlan0 master static",
     "bridge fdb replace {own} dev {port} master static", "web:80"),
    ("foreign-firewall", "bridge foreign", "net", DROP.format("forward", "tcp dport 80").replace("inet", "bridge"),
     NO_DROP.replace("inet", "bridge"), "web:80"),
    ("bridge-down", "br0", "net", "ip link set br0 down", "ip link set br0 up", "web:80"),
    ("mtu", "ext0", "host", "ip link set ext0 mtu 1300", "ip link set ext0 mtu 1500", "web"),
]  # fmt: skip
PROBED = ("not-in-bridge", "container-firewall", "vxlan-blocked", "peer-table-stale", "own-firewall-damaged", "mtu")
"""Kinds of faults that the tests trace twice: with ``--dry``, and with probes (test packets).

The other kinds are traced only with ``--dry``, because each lost probe takes 1.3 seconds.
"""


@pytest.mark.parametrize(
    ("kind", "what", "place", "script", "undo", "target"), FAULTS, ids=[f"{f[0]} {f[1]} {f[5]}" for f in FAULTS]
)
def test_a_fault_on_the_other_host(far, kind, what, place, script, undo, target):
    with far.fault(place, script, undo):
        seen = [far.trace("--dry", "box", target)]
        if kind in PROBED:
            seen.append(far.trace("box", target))
    for traced in seen:
        assert (traced["reachable"], was_answered(traced)) == (False, True), traced
        assert traced["culprit"]["kind"] == kind, traced
        assert what.format(**far.known) in traced["culprit"]["object"] and far.names(traced["culprit"]), traced
        assert traced["seconds"] < 5, traced


def test_after_the_faults_the_path_is_healthy_and_nothing_is_left(far):
    traced = far.trace("box", "web:80")
    assert (traced["reachable"], traced["culprit"]) == (True, None), traced
    assert traced["seconds"] < 2
    client = memberships.open_client(far.host.root, memberships.load(far.host.root))
    try:
        assert [client.count(prefix) for prefix in (keys.QUESTIONS, keys.ANSWERS)] == [0, 0]
    finally:
        client.close()


def test_an_encrypted_network_on_the_other_host(far):
    far.host.hawse("network", "create", "-d", "overlay", "--attachable", "-o", "encrypted", "dusk")
    far.host.start("hidden", "dusk")
    far.near.start("seeker", "dusk")
    eventually(lambda: far.near.reaches("seeker", "hidden"))
    identity = far.host.hawse("network", "inspect", "-f", "{{.Id}}", "dusk").stdout.strip()
    name = interface_name(far.host.run_dir, identity)
    with far.fault("host", DROP.format("input", "udp dport 51820-52000"), NO_DROP):
        traced = far.trace("--dry", "seeker", "hidden")
        assert (traced["reachable"], traced["culprit"]["kind"]) == (False, "encryption-down"), traced
        assert "inet foreign" in traced["culprit"]["object"] and far.names(traced["culprit"])
    inside(far.host, f"ip link set {name} down", "dusk")
    traced = far.trace("--dry", "seeker", "hidden")
    assert (traced["reachable"], traced["culprit"]["kind"]) == (False, "encryption-down"), traced
    assert far.names(traced["culprit"])
    far.host.verify("dusk", "--fix")
    assert far.host.verify("dusk").stdout == "ok\n"
    far.near.sh("ip link set ext0 mtu 1480")
    try:
        named = culprit(far.near, "--dry", "seeker", "hidden")
    finally:
        far.near.sh("ip link set ext0 mtu 1500")
    assert (named["kind"], named["fix"]) == ("mtu", "raise it: ip link set ext0 mtu 1500"), named
    assert "packets of 1390 bytes and 110 bytes of VXLAN and WireGuard do not fit" in named["detail"]


def test_a_stopped_agent_on_the_other_host_does_not_delay_the_trace(far):
    os.kill(eventually(far.host.agent_pid), signal.SIGSTOP)
    traced = trace(far.near, "box", "web:80")
    assert (traced["reachable"], traced["culprit"], was_answered(traced)) == (True, None, False), traced
    assert traced["seconds"] < 2
