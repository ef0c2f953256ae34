"""``hawse trace`` finds faults that the kernel's nftables trace does not report.

Examples are XDP programs, queues and flags of interfaces, routing rules, and rules that change packets.
"""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from contextlib import ExitStack, closing, contextmanager

import pytest

from tests.commands import COLD
from tests.conftest import Netns, until
from tests.netns.diagnosis.trace.test_trace_more_faults import fault
from tests.netns.publish.conftest import open_socket

pytestmark = pytest.mark.netns
RULE = "nft 'add table ip foreign; add chain ip foreign c {{ type {} hook {} priority {}; }}; add rule ip foreign c {}'"
FLUSH = "nft delete table ip foreign"
XDP = f"{sys.executable} -m tests.netns.diagnosis.trace.xdp"
CASES = {
    "a queueing discipline that drops": (
        "host", "tc qdisc add dev WEB root tbf rate 8bit burst 1 limit 1", "tc qdisc del dev WEB root",
        "db", "web:80", "foreign-firewall", "queueing discipline of WEB"),
    "a queueing discipline in a container": (
        "db", "tc qdisc add dev eth0 root blackhole", "tc qdisc del dev eth0 root",
        "db", "172.31.0.2:80", "container-firewall", "queueing discipline of eth0 of db"),
    "an XDP program": (
        "host", f"{XDP} WEB on", f"{XDP} WEB off", "db", "web:80", "foreign-firewall", "XDP program on WEB"),
    "an XDP program in a container": (
        "web", f"{XDP} eth0 on", f"{XDP} eth0 off", "db", "web:80", "container-firewall", "XDP program on eth0 of web"),
    "ARP is off at the target": (
        "web", "ip link set eth0 arp off", "ip link set eth0 arp on; ip neigh flush dev eth0",
        "db", "172.31.0.2:80", "stale-neighbour", "interface eth0 of web (arp off)"),
    "ARP is off at the bridge": (
        "host", "ip link set BRIDGE arp off; ip neigh flush dev BRIDGE", "ip link set BRIDGE arp on",
        "host", "web:80", "stale-neighbour", "bridge BRIDGE of network app (arp off)"),
    "a routing rule by the interface": (
        "host", "ip rule add iif BRIDGE unreachable pref 50", "ip rule del pref 50",
        "outside", "published:8080", "wrong-route", "route to 192.168.99."),
    "a routing rule by the source": (
        "host", "ip rule add from 172.31.0.0/16 blackhole pref 50", "ip rule del pref 50",
        "db", "192.168.99.99:91", "wrong-route", "route to 192.168.99.99"),
    "a routing rule for the host's packets": (
        "host", "ip rule add from 172.31.0.1 blackhole pref 50", "ip rule del pref 50",
        "host", "web:80", "wrong-route", "route to 172.31.0.2"),
    "a wrong source address": (
        "db", "ip addr add 10.9.9.9/32 dev eth0; ip route replace 172.31.0.0/16 dev eth0 src 10.9.9.9",
        "ip addr del 10.9.9.9/32 dev eth0; ip route replace 172.31.0.0/16 dev eth0 src 172.31.0.3; "
        "ip route replace default via 172.31.0.1", "db", "web:80", "wrong-route", "route to 172.31.0.2 of db"),
    "the gateway's address in a container": (
        "far", "ip addr add 172.32.0.1/32 dev lo", "ip addr del 172.32.0.1/32 dev lo",
        "host", "far:80", "wrong-route", "route to 172.32.0.1 of far"),
    "packets without connection tracking": (
        "host", RULE.format("filter", "prerouting", -310, "tcp dport 8080 notrack"), FLUSH,
        "outside", "published:8080", "foreign-firewall", "table ip foreign chain c"),
    "answers in another zone of connection tracking": (
        "host", RULE.format("filter", "prerouting", -310, "iifname BRIDGE ct zone set 5"), FLUSH,
        "outside", "published:8080", "foreign-firewall", "table ip foreign chain c"),
    "answers from outside in another zone": (
        "host", RULE.format("filter", "prerouting", -310, "iifname BRIDGE ct zone set 5"), FLUSH,
        "db", "192.168.99.99:91", "foreign-firewall", "table ip foreign chain c"),
    "a rule at the container's interface": (
        "web", "nft 'add table netdev foreign; add chain netdev foreign c { type filter hook ingress device eth0 "
        "priority 0; }; add rule netdev foreign c tcp dport 80 drop'", "nft delete table netdev foreign",
        "db", "web:80", "container-firewall", "table netdev foreign chain c of web"),
    "an IPsec policy": (
        "web", "ip xfrm policy add src 0.0.0.0/0 dst 172.31.0.2 dir in action block", "ip xfrm policy flush",
        "db", "172.31.0.2:80", "container-firewall", "IPsec policy of web"),
    "a short lifetime": (
        "db", "sysctl -qw net.ipv4.ip_default_ttl=1", "sysctl -qw net.ipv4.ip_default_ttl=64",
        "db", "192.168.99.99:91", "container-firewall", "ip_default_ttl of db"),
    "a lifetime that ends": (
        "host", RULE.format("filter", "prerouting", -290, "tcp dport 8080 ip ttl set 1"), FLUSH,
        "outside", "published:8080", "foreign-firewall", "table ip foreign chain c"),
    "a wrong source by another program": (
        "host", RULE.format("nat", "postrouting", 90, "oifname ext0 snat to 203.0.113.99"), FLUSH,
        "db", "192.168.99.99:91", "foreign-firewall", "table ip foreign chain c"),
    "the host's interface is down": (
        "host", "ip link set ext0 down", "ip link set ext0 up; ip -6 addr replace fd99::11/64 dev ext0 nodad; "
        "ip route replace default via 192.168.99.99", "db", "192.168.99.99:91", "interface-down", "interface ext0"),
    "the host's wire is cut": (
        "peer", "ip link set v1 down", "ip link set v1 up",
        "outside", "published:8080", "interface-down", "interface ext0"),
    "a gateway that does not exist": (
        "host", "ip route replace default via 192.168.99.77", "ip route replace default via 192.168.99.99",
        "db", "203.0.113.7:80", "peer-unreachable", "machine 192.168.99.77 (gateway to 203.0.113.7)"),
    "a wrong MAC of a machine outside": (
        "host", "ip neigh replace 192.168.99.99 lladdr 02:00:00:00:00:55 dev ext0 nud permanent",
        "ip neigh del 192.168.99.99 dev ext0",
        "outside", "published:8080", "stale-neighbour", "neighbour 192.168.99.99 on ext0"),
    "loopback of the host is down": (
        "host", "ip link set lo down", "ip link set lo up", "host", "localhost:92", "interface-down", "lo of host"),
}  # fmt: skip


@pytest.mark.parametrize(("place", "inject", "undo", "source", "target", "kind", "words"), CASES.values(), ids=CASES)
def test_a_fault_that_nftables_does_not_report(lab, place, inject, undo, source, target, kind, words):
    names = {"WEB": lab.port("web"), "BRIDGE": lab.bridge("app")}
    inject, undo, words = (re.sub("WEB|BRIDGE", lambda match: names[match[0]], text) for text in (inject, undo, words))
    lab.at(place, inject)
    try:
        culprit = fault(lab, source, target)
    finally:
        lab.at(place, undo)
    assert culprit[0] == kind
    assert words in culprit[1]


@pytest.mark.parametrize(
    ("place", "inject", "undo", "target", "kind", "words"),
    [
        ("web", "sysctl -qw net.ipv4.conf.all.arp_ignore=8", "sysctl -qw net.ipv4.conf.all.arp_ignore=0",
         "172.31.0.2:80", "container-firewall", "arp_ignore of web"),
        ("host", "bridge link set dev WEB flood off bcast_flood off mcast_flood off",
         "bridge link set dev WEB flood on bcast_flood on mcast_flood on",
         "[fd31::2]:80", "not-in-bridge", "bridge port WEB of web (flood off"),
    ],
)  # fmt: skip
def test_what_stops_the_search_for_a_neighbour(lab, place, inject, undo, target, kind, words):
    port = lab.port("web")
    lab.at(place, inject.replace("WEB", port))
    lab.at("third", "ip neigh flush dev eth0")
    try:
        culprit = fault(lab, "third", target)
    finally:
        lab.at(place, undo.replace("WEB", port))
    assert culprit[0] == kind
    assert words.replace("WEB", port) in culprit[1]


def test_a_process_that_accepts_no_connection(lab):
    path = lab.paths_of["web"]
    with closing(open_socket(path, "172.31.0.2", "tcp")) as server, ExitStack() as stack:
        server.bind(("172.31.0.2", 7777))
        server.listen(0)
        for _ in range(4):
            client = stack.enter_context(closing(open_socket(path, "172.31.0.2", "tcp")))
            client.connect_ex(("172.31.0.2", 7777))
        assert fault(lab, "db", "172.31.0.2:7777") == ("port-not-listening", "port 7777/tcp of web")


def has_carrier(lab, name):
    return "LOWER_UP" in lab.hawse("exec", name, "ip", "link", "show", "eth0")


def test_the_parent_of_a_macvlan_network_is_down(lab):
    flags = ("-o", "parent=ext0", "--subnet", "192.168.99.0/24", "--ip-range", "192.168.99.64/28")
    lab.hawse("network", "create", "-d", "macvlan", *flags, "wire")
    lab.containers(m1=["--network", "wire"], m2=["--network", "wire"])
    mend = "ip -6 addr replace fd99::11/64 dev ext0 nodad; ip route replace default via 192.168.99.99"
    try:
        assert lab.trace("m1", "m2")["reachable"]
        for place, link, afterwards in (("host", "ext0", mend), ("peer", "v1", ":")):
            lab.at(place, f"ip link set {link} down")
            try:
                until(lambda: not any(has_carrier(lab, name) for name in ("m1", "m2")))
                assert fault(lab, "m1", "m2") == ("interface-down", "interface ext0 of host")
            finally:
                lab.at(place, f"ip link set {link} up; {afterwards}")
    finally:
        lab.hawse("rm", "-f", "m1", "m2")
        lab.hawse("network", "rm", "wire")


@pytest.fixture(scope="module")
def distant(lab):
    """A machine behind the peer, with the address 10.99.0.2. The wire between peer and machine has an MTU of 1300."""
    machine, peer = Netns(f"{lab.peer.name}d"), lab.peer
    peer.sh(f"ip link add wan mtu 1300 type veth peer name eth0 netns {machine.name}; sysctl -qw net.ipv4.ip_forward=1")
    peer.sh("ip addr add 10.99.0.1/24 dev wan; ip link set wan up")
    machine.sh("ip addr add 10.99.0.2/24 dev eth0; ip link set eth0 up; ip route add default via 10.99.0.1")
    lab.serve(machine.path, 91, addresses=["10.99.0.2"])
    yield machine
    machine.delete()
    peer.sh("sysctl -qw net.ipv4.ip_forward=0")


@pytest.mark.parametrize(
    ("rule", "target", "expected"),
    [
        ("icmp type destination-unreachable drop", "10.99.0.2:91", (False, "mtu", "path to 10.99.0.2")),
        ("icmp type destination-unreachable drop", "10.99.0.2", (False, "mtu", "path to 10.99.0.2")),
        ("icmp type timestamp-request drop", "10.99.0.2:91", (True, None, None)),
        ("icmp type { echo-request, destination-unreachable } drop", "10.99.0.2:91", (True, None, None)),
    ],
)
def test_a_small_mtu_on_the_way(lab, distant, rule, target, expected):
    """A small MTU is a fault only if ICMP errors are lost. If pings are lost too, the trace names no fault."""
    for hook in ("output", "forward"):
        lab.peer.run("nft", f"add table ip w{hook}; add chain ip w{hook} c {{ type filter hook {hook} priority 0; }}; "
                            f"add rule ip w{hook} c {rule}")  # fmt: skip
    try:
        traced = lab.trace("db", target)
    finally:
        lab.peer.sh("nft delete table ip woutput; nft delete table ip wforward")
    culprit = traced["culprit"] or {"kind": None, "object": None}
    assert (traced["reachable"], culprit["kind"], culprit["object"]) == expected, traced
    assert culprit["kind"] is None or "packets above 1300 bytes" in culprit["detail"]


@pytest.mark.parametrize(("source", "target"), [("db", "192.168.99.99:91"), ("outside", "published:8080")])
def test_connection_tracking_is_full(lab, tmp_path, source, target):
    """Only the initial network namespace can set the sysctl, so the test mounts a file with a lower limit over it."""
    limit = tmp_path / "limit"
    limit.write_text("1\n")
    lab.trace("db", "192.168.99.99:91")  # the host tracks this flow
    script = f'mount --bind {limit} /proc/sys/net/netfilter/nf_conntrack_max; exec "$@"'
    trace = [*COLD, "trace", "--dry", "--format", "json", source, target]
    words = ["unshare", "-m", "sh", "-ec", script, "sh", *trace]
    done = lab.host.run(*words, check=False, timeout=30, env=lab.host.env(HAWSE_WARM="off"))
    culprit = json.loads(done.stdout)["culprit"]
    assert (culprit["kind"], culprit["object"]) == ("conntrack-full", "connection tracking of host"), done
    assert re.match(r"[1-9]\d* of 1 flows are in use", culprit["detail"])


@contextmanager
def two_connections(lab, protocol, address, port):
    """Open two connections from db to an address, and close them at the end."""
    with ExitStack() as stack:
        for _ in range(2):
            client = stack.enter_context(closing(open_socket(lab.paths_of["db"], address, protocol)))
            client.settimeout(3)
            client.connect((address, port))
        yield


@contextmanager
def two_ports(lab, low):
    """Limit the container db to two source ports, ``low`` and the next port, during the ``with`` block."""
    lab.at("db", f"sysctl -qw net.ipv4.ip_local_port_range='{low} {low + 1}'")
    try:
        yield
    finally:
        lab.at("db", "sysctl -qw net.ipv4.ip_local_port_range='32768 60999'")


def faults_of_doctor(lab, name):
    """Return the texts of the faults that the doctor finds in the object ``name``, joined by "; "."""
    checks = json.loads(lab.host.hawse("doctor", "--format", "json", check=False).stdout)["checks"]
    return "; ".join(check["what"] for check in checks if (check["status"], check["object"]) == ("fault", name))


def test_all_source_ports_of_a_container_are_in_use(lab):
    with two_ports(lab, 40000), two_connections(lab, "tcp", "172.31.0.2", 80):
        culprit = lab.trace("db", "172.31.0.2:80")["culprit"]
        assert (culprit["kind"], culprit["object"], culprit["where"]) == (
            "ports-exhausted", "TCP source ports of db", "container db")  # fmt: skip
        assert "ip_local_port_range (40000-40001)" in culprit["detail"]
        assert lab.trace("--dry", "db", "172.31.0.2:80")["culprit"] == culprit
        assert "2 TCP source ports of 2 are in use (TCP to 172.31.0.2:80)" in faults_of_doctor(lab, "container db")
        # Programs reach other targets, because TCP connections to different targets share a port.
        for target in ("192.168.99.99:91", "web:53/udp", "web"):
            assert lab.trace("db", target)["reachable"] is True
    with two_ports(lab, 40002), two_connections(lab, "tcp", "fd31::2", 80):
        for flags in ((), ("--dry",)):
            detail = lab.trace(*flags, "db", "[fd31::2]:80")["culprit"]["detail"]
            assert detail.startswith("db has no free TCP source port for [fd31::2]:80: ")
        assert "(TCP to [fd31::2]:80)" in faults_of_doctor(lab, "container db")
    with two_ports(lab, 40010), two_connections(lab, "udp", "172.31.0.2", 53):
        for target in ("172.31.0.2:53/udp", "web"):
            assert fault(lab, "db", target) == ("ports-exhausted", "UDP source ports of db")
        assert fault(lab, "db", "172.31.0.2:53/udp", "--dry") == ("ports-exhausted", "UDP source ports of db")
        assert "2 UDP and 0 TCP source ports of 2 are in use" in faults_of_doctor(lab, "container db")
        for flags in ((), ("--dry",)):
            assert lab.trace(*flags, "db", "172.31.0.2:80")["reachable"] is True
    assert faults_of_doctor(lab, "container db") == ""


@pytest.mark.parametrize(
    ("rule", "undo", "words"),
    [
        (RULE.format("nat", "postrouting", 90, "oifname ext0 meta l4proto tcp masquerade to :40020-40021"), FLUSH,
         "table ip foreign chain c"),
        ("iptables-legacy -t nat -A POSTROUTING -o ext0 -p tcp -j MASQUERADE --to-ports 40030-40031",
         "iptables-legacy -t nat -F POSTROUTING", "translated source ports of host"),
    ],
    ids=["nftables", "iptables-legacy"],
)  # fmt: skip
def test_all_ports_of_a_translation_are_in_use(lab, rule, undo, words):
    """The server keeps its connections open. If it closed them first, a repeated FIN would free their ports."""
    target, port = "192.168.99.99", 93
    with closing(open_socket(lab.peer.path, target, "tcp")) as server:
        server.bind((target, port))
        server.listen()
        lab.at("host", rule)
        try:
            with two_connections(lab, "tcp", target, port):
                for source in ("db", "host"):
                    assert fault(lab, source, f"{target}:{port}") == ("ports-exhausted", words)
                if words.startswith("table"):
                    assert fault(lab, "db", f"{target}:{port}", "--dry") == ("ports-exhausted", words)
        finally:
            lab.at("host", undo)
            lab.at("host", f"conntrack -D -p tcp --orig-dst {target} --orig-port-dst {port} || true")  # for a rerun
        assert lab.trace("db", f"{target}:{port}")["reachable"] is True
    assert lab.trace("--dry", "db", f"{target}:{port}")["reachable"] is None


def test_a_name_that_the_agent_knows_from_old_records(lab):
    """A record changes, and no command notifies the agent. The agent checks the records every five seconds."""
    place, other = "172.31.0.4/16", "172.31.0.44/16"
    change = "update endpoints set body = replace(body, ?, ?) where body like '%' || ? || '%'"
    culprits = []
    with closing(sqlite3.connect(lab.host.root / "hawse.db", isolation_level=None)) as store:
        while len(culprits) < 4 and "name-stale name third" not in culprits:
            assert store.execute(change, (place, other, place)).rowcount == 1
            culprits.append(" ".join(fault(lab, "db", "third:80")))
            assert store.execute(change, (other, place, other)).rowcount == 1
            lab.hawse("network", "create", "told")
            lab.hawse("network", "rm", "told")
    assert "name-stale name third" in culprits, culprits
    assert lab.trace("db", "third")["reachable"]
