"""The doctor names each fault of a cluster's host, and ``--fix`` repairs hawse's own objects on this host."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.cluster.conftest import eventually, shifted_clock
from tests.cluster.far_host import inside
from tests.commands import COLD

pytestmark = pytest.mark.netns

EXPIRE_IN_12_HOURS = """
import os, sys
from pathlib import Path
os.environ["HAWSE_CERTIFICATE_LIFETIME"] = "43200"
from engine.swarm import certificates
root = Path(sys.argv[1])
authority, key = certificates.authority(root), certificates.authority_key(root)
for name, text in certificates.issue_own(authority, key, "node", "192.168.99.11").items():
    (root / "cluster" / name).write_text(text)
"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory, request):
    """A manager and a worker with a container each on the overlay network "app"; the agents repair no links."""
    config = tmp_path_factory.mktemp("config") / "daemon.json"
    config.write_text('{"heal": false}')
    os.environ["HAWSE_CONFIG"] = str(config)
    try:
        cluster = request.getfixturevalue("cluster")
        manager, worker = cluster.grow(2)
        manager.hawse("network", "create", "-d", "overlay", "--attachable", "app")
        manager.start("web", "app")
        worker.start("db", "app")
        eventually(lambda: manager.reaches("web", "db"))
        eventually(lambda: not findings(manager) and not findings(worker), 20)
        yield manager, worker
    finally:
        del os.environ["HAWSE_CONFIG"]


def findings(host, *flags) -> list[dict[str, str]]:
    """Return the checks of the doctor that are not ok.

    Because the test's network has no upstream DNS server, checks of upstream DNS servers are left out.
    """
    checks = json.loads(host.hawse("doctor", "--format", "json", *flags, check=False).stdout)["checks"]
    return [check for check in checks if check["status"] != "ok" and check["object"] != "upstream DNS"]


def named(checks, name) -> str:
    return "\n".join(f"{check['status']} {check['what']}" for check in checks if check["object"] == name)


def test_a_healthy_certificate_says_that_the_agent_renews_it(pair):
    checks = json.loads(pair[1].hawse("doctor", "--format", "json", check=False).stdout)["checks"]
    valid = {check["object"]: check["what"] for check in checks if check["object"].startswith("certificate")}
    assert valid["certificate of this node"].endswith("; the agent renews it")
    assert "renews" not in valid["certificate of the cluster's authority"]


def test_damaged_overlay_devices_and_tables(pair):
    manager, _ = pair
    manager.tool("app", "forget")
    assert "missing: " in named(findings(manager), "network app"), "the peer's table entries"
    inside(manager, "ip link set vxlan0 down")
    assert "changed: vxlan0 is down" in named(findings(manager), "network app")
    assert manager.verify("app").returncode == 1
    findings(manager, "--fix")
    assert findings(manager) == []
    assert manager.verify("app").stdout == "ok\n"
    eventually(lambda: manager.reaches("web", "db"))


def test_a_foreign_firewall_drops_tunnel_packets(pair):
    manager, worker = pair
    chain = "chain inet other c { type filter hook input priority 0; policy drop; }"
    rules = ("tcp dport { 22, 2377, 2380 } accept", "ct state established accept", "iif lo accept")
    added = "; ".join(f"add rule inet other c {rule}" for rule in rules)
    manager.run("nft", f"add table inet other; add {chain}; {added}")
    what = f"the chain 'inet other c' {{}} tunnel packets of {os.uname().nodename} (UDP port 4789)"
    assert f"warning {what.format('may drop')}" in named(findings(manager), "foreign firewall")
    manager.run("nft", "add chain inet other forwarded { udp dport 4789 drop; }")
    manager.run("nft", f"add rule inet other c ip saddr {worker.underlay} accept")
    assert named(findings(manager), "foreign firewall") == "", "no chain calls the chain that drops"
    manager.run("nft", "insert rule inet other c udp dport 4789 drop")
    assert f"fault {what.format('drops')}" in named(findings(manager), "foreign firewall")
    manager.run("nft", "insert rule inet other c limit rate 1000/second accept")
    assert named(findings(manager), "foreign firewall") == "", "the first rule may accept the packets"
    manager.run("nft", "delete table inet other")
    eventually(lambda: findings(manager) == [])


def test_a_stopped_etcd_is_named_and_continued(pair):
    manager, worker = pair
    os.kill(manager.pid_of("etcd"), signal.SIGSTOP)
    checks = findings(manager)
    assert "fault is stopped by a signal" in named(checks, "etcd")
    assert "fault does not answer" in named(checks, "cluster store")
    assert "fault does not answer" in named(findings(worker), "cluster store")
    findings(manager, "--fix")
    eventually(lambda: findings(manager) == [] == findings(worker), 20)


def test_clocks_that_differ_are_named_with_their_difference(pair):
    """All hosts of a test share one clock. Therefore the test shifts only the time that the doctor's process sees."""
    _, worker = pair
    for ahead, status, direction in ((400, "fault", "behind"), (-30, "warning", "ahead")):
        words = [*COLD, "doctor", "--format", "json"]
        done = worker.run(*words, check=False, env=worker.env(**shifted_clock(f"{ahead:+d}s")))
        node = next(c for c in json.loads(done.stdout)["checks"] if "its clock is" in c["what"])
        assert (node["object"].partition(" ")[0], node["status"]) == ("node", status), node
        assert abs(int(node["what"].split()[3]) - abs(ahead)) <= 2, node
        assert node["what"].endswith(direction), node
    assert findings(worker) == []


def test_a_refused_connection_is_named_in_words(pair):
    manager, worker = pair
    rule = f"ip daddr {manager.underlay} tcp dport 2377 reject with tcp reset"
    worker.run("nft", f"add table inet other; add chain inet other c {{ type filter hook output priority 0; }}; "
               f"add rule inet other c {rule}")  # fmt: skip
    checks = findings(worker)
    worker.run("nft", "delete table inet other")
    causes = {check["what"].partition(" at ")[0]: check["cause"] for check in checks}
    assert causes["its manager's server does not answer"] == "connection refused"
    assert "Errno" not in json.dumps(checks)
    eventually(lambda: findings(worker) == [])


def test_expired_certificates_are_named_and_renewed(pair):
    """The test shifts the time that the doctor's process sees. The agent, with the real time, renews nothing."""
    manager, _ = pair
    subprocess.run([sys.executable, "-c", EXPIRE_IN_12_HOURS, manager.root], env=manager.env(), check=True)
    words, environment = [*COLD, "doctor", "--format", "json"], manager.env(**shifted_clock("+20h"))
    checks = json.loads(manager.run(*words, check=False, env=environment).stdout)["checks"]
    assert "fault has expired" in named(checks, "certificate of this node"), checks
    assert "fault has expired" in named(checks, "certificate of this manager"), checks
    manager.run(*words, "--fix", check=False, env=environment)
    eventually(lambda: findings(manager) == [], 20)
    checks = json.loads(manager.run(*words, check=False, env=environment).stdout)["checks"]
    assert "fault" not in named(checks, "certificate of this node") + named(checks, "certificate of this manager")


def test_a_lost_underlay_address_and_a_peer_without_pings(pair):
    manager, worker = pair
    worker.sh(f"ip addr del {worker.underlay}/24 dev ext0")
    checks = findings(worker)
    assert "fault this host no longer has its address" in named(checks, "underlay")
    assert "MTU" not in named(checks, "network app")
    worker.sh(f"ip addr add {worker.underlay}/24 dev ext0; ip route replace default via 192.168.99.99")
    # Because the worker's lease must not expire, only pings are dropped. The doctor would report an expired lease. The
    # lease may have expired above, while the address was missing. Therefore the test waits until it is renewed.
    unanswered = f"does not answer a ping at {worker.underlay}"
    with worker.dropping("input", "icmp type echo-request"):
        eventually(lambda: unanswered in named(findings(manager), f"node {os.uname().nodename}"), 20)
    eventually(lambda: findings(manager) == [] == findings(worker), 20)


@pytest.mark.slow
def test_a_host_that_is_down(pair):
    manager, worker = pair
    worker.cut()
    hostname = os.uname().nodename
    eventually(lambda: "warning is down: its lease has expired" in named(findings(manager), f"node {hostname}"), 20)
    assert "fault does not answer" in named(findings(worker), "cluster store")
    worker.repair()
    eventually(lambda: findings(manager) == [], 20)


def test_the_map_shows_the_hosts(pair):
    manager, worker = pair
    document = json.loads(manager.hawse("network", "map", "--format", "json", "app").stdout)
    (network,) = document["Networks"]
    assert {host["Address"]: host["Here"] for host in network["Hosts"]} == {
        manager.underlay: True,
        worker.underlay: False,
    }
    addresses = {"": manager.underlay} | {h["Id"]: h["Address"] for h in network["Hosts"] if not h["Here"]}
    hosts_of_containers = {c["Name"]: addresses[c["HostId"]] for c in network["Containers"]}
    assert hosts_of_containers == {"web": manager.underlay, "db": worker.underlay}
    assert {c["Name"]: c["IPv4Address"].partition("/")[0] for c in network["Containers"]} == {
        "web": manager.ip("web", "app"),
        "db": worker.ip("db", "app"),
    }
    tree = manager.hawse("network", "map", "app").stdout
    assert f"({worker.underlay})" in tree
    svg = manager.hawse("network", "map", "--format", "svg", "app").stdout
    assert f"({manager.underlay}, this host)" in svg
