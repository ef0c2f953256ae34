"""``hawse trace`` across hosts: healthy targets are reachable, and faults on the path to the other host are named."""

from __future__ import annotations

import json

import pytest

from drivers.linux import persistent_netns
from drivers.overlay.wireguard import interface_name
from tests.cluster.conftest import LEASE, eventually

pytestmark = pytest.mark.netns
SERVER = ("busybox", "httpd", "-f", "-p", "80", "-h", "/etc")


def trace(host, *argv):
    done = host.hawse("trace", "--format", "json", *argv, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def culprit(host, *argv):
    found = trace(host, *argv)
    assert found["reachable"] is False, found
    assert found["culprit"] is not None, found
    return found["culprit"]


@pytest.fixture(scope="module")
def pair(cluster):
    a, b = cluster.grow(2)
    a.hawse("network", "create", "-d", "overlay", "--attachable", "-o", "hawse.heal=false",
            "--ipv6", "--subnet", "10.77.0.0/24", "--subnet", "fd77::/64", "app")  # fmt: skip
    a.start("web", "app", "--ip", "10.77.0.10", "--ip6", "fd77::10", "-p", "8080:80", command=SERVER)
    b.start("box", "app", "--ip", "10.77.0.20", "--ip6", "fd77::20")
    a.start("near", "app", "--ip", "10.77.0.11")
    eventually(lambda: b.reaches("box", "web"))
    return a, b


def inside(host, script, name="app"):
    """Run a script in the namespace of an overlay network on a host."""
    network = host.hawse("network", "inspect", "-f", "{{slice .Id 0 12}}", name).stdout.strip()
    path = persistent_netns.netns_path(host.run_dir / "overlay" / network)
    return host.run("nsenter", f"--net={path}", "sh", "-ec", script)


@pytest.mark.parametrize(
    "target", ["web:80", "web", "10.77.0.10:80", "10.77.0.10", "[fd77::10]:80", "fd77::10", "http://web/"]
)
def test_the_other_host_is_reachable(pair, target):
    found = trace(pair[1], "box", target)
    assert (found["reachable"], found["culprit"]) == (True, None), found


def test_the_same_host_is_reachable(pair):
    found = trace(pair[0], "near", "web:80")
    assert (found["reachable"], found["culprit"]) == (True, None), found


@pytest.mark.parametrize("source", ["host", "outside"])
def test_a_published_port_of_an_overlay(pair, source):
    found = trace(pair[0], source, "published:8080")
    assert (found["reachable"], found["culprit"]) == (True, None), found


def test_faults_on_one_host(pair):
    a, _ = pair
    port = (
        f"veth{json.loads(a.hawse('inspect', 'web').stdout)[0]['NetworkSettings']['Networks']['app']['EndpointID'][:7]}"
    )
    inside(a, f"ip link set {port} down")
    try:
        found = culprit(a, "near", "10.77.0.10:80")
        assert (found["kind"], port in found["object"]) == ("interface-down", True), found
    finally:
        inside(a, f"ip link set {port} up")
    inside(a, "ip link set br0 down")
    try:
        found = culprit(a, "near", "10.77.0.10:80")
        assert (found["kind"], "br0" in found["object"]) == ("bridge-down", True), found
    finally:
        inside(a, "ip link set br0 up")
        a.verify("app", "--fix")


def test_a_closed_port_and_an_unknown_address(pair):
    assert culprit(pair[1], "box", "web:4444")["kind"] == "port-not-listening"
    assert culprit(pair[1], "box", "10.77.0.99:80")["kind"] == "no-such-endpoint"


def test_a_stale_peer_table(pair):
    _, b = pair
    mac = json.loads(pair[0].hawse("inspect", "web").stdout)[0]["NetworkSettings"]["Networks"]["app"]["MacAddress"]
    inside(b, f"bridge fdb del {mac} dev vxlan0 dst {pair[0].underlay} self")
    try:
        found = trace(b, "box", "web:80")  # the frames still arrive, because they are flooded
        assert (found["reachable"], found["culprit"]["kind"]) == (True, "peer-table-stale"), found
        inside(b, f"bridge fdb replace {mac} dev vxlan0 dst 192.168.99.77 self")
        found = culprit(b, "box", "web:80")
        assert (found["kind"], "app" in found["object"]) == ("peer-table-stale", True), found
    finally:
        b.verify("app", "--fix")
    assert trace(b, "box", "web:80")["reachable"] is True


@pytest.mark.parametrize("direction", ["output", "input"])
def test_vxlan_is_blocked_here(pair, direction):
    _, b = pair
    b.sh(f"nft 'add table inet foreign; add chain inet foreign c {{ type filter hook {direction} priority 0; }}; "
         "add rule inet foreign c udp dport 4789 drop'")  # fmt: skip
    try:
        found = culprit(b, "box", "web:80")
        assert (found["kind"], "inet foreign" in found["object"]) == ("vxlan-blocked", True), found
    finally:
        b.sh("nft delete table inet foreign")


def test_vxlan_is_blocked_on_the_other_host(pair):
    a, b = pair
    a.sh("nft 'add table inet foreign; add chain inet foreign c { type filter hook input priority 0; }; "
         "add rule inet foreign c udp dport 4789 drop'")  # fmt: skip
    try:
        assert culprit(b, "box", "web:80")["kind"] == "vxlan-blocked"
    finally:
        a.sh("nft delete table inet foreign")


def test_the_vxlan_device_is_down(pair):
    _, b = pair
    inside(b, "ip link set vxlan0 down")
    try:
        found = culprit(b, "box", "web:80")
        assert (found["kind"], "vxlan0" in found["object"]) == ("interface-down", True), found
    finally:
        inside(b, "ip link set vxlan0 up")
        b.verify("app", "--fix")


def test_the_underlay_is_too_small(pair):
    _, b = pair
    b.sh("ip link set ext0 mtu 1300")
    try:
        assert culprit(b, "box", "web")["kind"] == "mtu"
    finally:
        b.sh("ip link set ext0 mtu 1500")


@pytest.mark.slow
def test_an_encrypted_network(pair):
    a, b = pair
    a.hawse("network", "create", "-d", "overlay", "--attachable", "-o", "encrypted", "-o", "hawse.heal=false", "dark")
    a.start("hidden", "dark", command=SERVER)
    b.start("seeker", "dark")
    eventually(lambda: trace(b, "seeker", "hidden:80")["reachable"])
    name = interface_name(b.run_dir, b.hawse("network", "inspect", "-f", "{{.Id}}", "dark").stdout.strip())
    inside(b, f"ip link set {name} down", "dark")
    assert culprit(b, "seeker", "hidden:80")["kind"] == "encryption-down"
    inside(b, f"ip link del {name}", "dark")
    assert culprit(b, "seeker", "hidden:80")["kind"] == "encryption-down"
    b.hawse("rm", "-f", "seeker")
    a.hawse("rm", "-f", "hidden")


def test_the_store_is_down(pair):
    a, b = pair
    pid = a.pid_of("etcd")
    a.sh(f"kill -STOP {pid}")
    try:
        found = trace(b, "box", "web:80")
        assert (found["reachable"], found["culprit"]["kind"]) == (True, "store-down"), found
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
