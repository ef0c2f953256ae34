"""``hawse trace`` on networks of all kinds: gateway modes, IPv6 only, macvlan, host mode, several networks of one
container, link-local addresses. Each trace runs with a probe and without.
"""

from __future__ import annotations

import sys

import pytest

from tests.conftest import until
from tests.netns.diagnosis.trace.test_trace_more_faults import fault

pytestmark = pytest.mark.netns
WIRE = ("-o", "parent=ext0", "--subnet", "192.168.99.0/24", "--ip-range", "192.168.99.64/28")
NFT = (
    "nft 'add table {0} foreign; add chain {0} foreign c {{ type filter hook {1} priority {2}; }}; "
    "add rule {0} foreign c {3}'"
)


@pytest.fixture(scope="module")
def wide(lab):
    """The lab, with one container on a network of each further kind."""
    routed = "com.docker.network.bridge.gateway_mode_ipv4=routed"
    lab.networks(
        routed=["--subnet", "172.37.0.0/16", "-o", routed],
        six=["--ipv4=false", "--ipv6", "--subnet", "fd38::/64"],
        wire=["-d", "macvlan", *WIRE],
    )
    paths = lab.containers(
        rt=["--network", "routed", "--ip", "172.37.0.2", "-p", "8037:80"],
        six1=["--network", "six", "--ip6", "fd38::2", "-p", "8038:80"],
        shut=["--network", "inside", "--ip", "172.33.0.9", "-p", "8039:80"],
        multi=["--network", "name=other,ip=172.32.0.20", "--network", "name=app,ip=172.31.0.20"],
        ll=["--network", "app", "--ip", "172.31.0.31", "--link-local-ip", "169.254.7.7"],
        m1=["--network", "wire", "--ip", "192.168.99.65"],
    )
    for name in ("rt", "six1", "multi", "m1"):
        lab.serve(paths[name], 80)
    for name, mode in (("hosty", "host"), ("nowhere", "none")):
        lab.hawse("run", "-d", "--name", name, "--network", mode, "hostfs", "sleep", "inf")
    return lab


@pytest.mark.parametrize(
    ("source", "target"),
    [("outside", "published:8038"), ("outside", "six1:80"), ("host", "published:8038"), ("outside", "hosty:92"),
     ("hosty", "multi:80"), ("hosty", "published:8080"), ("web", "published:8080"), ("ll", "169.254.7.7"),
     ("outside", "rt:80"), ("host", "ll"), ("db", "web.app.:80"),
     ("outside", "172.31.0.2:80"), ("safe", "172.33.0.1:92")],
)  # fmt: skip
def test_networks_of_other_kinds_are_reachable(wide, source, target):
    for flags in ((), ("--dry",)):
        traced = wide.trace(*flags, source, target)
        assert (traced["reachable"], traced["culprit"], traced["code"]) == (True, None, 0), (flags, traced)


@pytest.mark.parametrize(
    ("source", "target", "expected", "remedy"),
    [
        ("host", "nowhere", ("not-same-network", "container nowhere"), "hawse network connect"),
        ("outside", "published:8037", ("not-published", "port 8037/tcp of rt"), "own address: 172.37.0.2:80"),
        ("host", "192.168.99.11:8037", ("not-published", "port 8037/tcp of rt"), "own address: 172.37.0.2:80"),
        ("host", "published:8039", ("not-published", "port 8039/tcp of shut"), "hawse network connect NETWORK shut"),
        ("outside", "127.0.0.1:8081", ("published-elsewhere", "port 8081/tcp on 127.0.0.1:8081"), "every address"),
        ("outside", "[fd99::11]:8081", ("published-elsewhere", "port 8081/tcp on 127.0.0.1:8081"), "every address"),
        ("outside", "localhost:92", ("no-such-endpoint", "address 127.0.0.1"), "ask from host"),
        ("db", "far.other:80", ("not-same-network", "container far"), "hawse network connect other db"),
        ("host", "127.0.0.1:8038", ("published-elsewhere", "port 8038/tcp on [::]:8038"), "use [::1]:8038"),
        ("db", "192.168.99.65:80", ("not-same-network", "container m1"), "a bridge network"),
        ("hosty", "m1:80", ("not-same-network", "container m1"), "a bridge network"),
        ("m1", "192.168.99.11:92", ("not-same-network", "container m1"), "a bridge network"),
        ("m1", "published:8080", ("not-same-network", "container m1"), "a bridge network"),
        ("db", "172.32.0.20:80", ("not-same-network", "container multi"), "172.31.0.20 (on app)"),
        ("db", "172.33.0.2", ("not-same-network", "container safe"), "hawse network connect inside db"),
        ("db", "172.37.0.2:80", ("not-same-network", "container rt"), "hawse network connect routed db"),
        ("db", "172.37.0.2", ("not-same-network", "container rt"), "hawse network connect routed db"),
        ("db", "169.254.7.7", ("no-route", "route to 169.254.7.7 of db"), "ip route add 169.254.7.7 dev eth0"),
        ("host", "169.254.7.7", ("no-route", "route to 169.254.7.7 of the host"), "ip route add 169.254.7.7 dev br-"),
    ],
)  # fmt: skip
def test_networks_of_other_kinds_keep_packets_out(wide, source, target, expected, remedy):
    for flags in ((), ("--dry",)):
        traced = wide.trace(*flags, source, target)
        assert (traced["reachable"], traced["code"]) == (False, 1), (flags, traced)
        assert (traced["culprit"]["kind"], traced["culprit"]["object"]) == expected, (flags, traced)
        assert remedy in traced["culprit"]["fix"]


def test_an_address_of_a_macvlan_network_that_no_machine_has(wide):
    assert fault(wide, "m1", "192.168.99.70:80") == ("no-such-endpoint", "address 192.168.99.70")


def test_the_lost_address_of_an_adopted_namespace(wide, netns):
    """The name ``netns:NAME`` of an adopted namespace has a colon, as an IPv6 address has. The trace must keep it."""
    wide.hawse("network", "connect", "--ip", "172.31.0.40", "app", f"netns:{netns.name}")
    netns.sh("ip addr del 172.31.0.40/16 dev eth0")
    try:
        for flags in ((), ("--dry",)):
            kind, what = fault(wide, "db", "172.31.0.40:80", *flags)
            assert (kind, what) == ("wrong-address", f"address 172.31.0.40/16 of eth0 of netns:{netns.name}")
    finally:
        wide.hawse("network", "disconnect", "app", f"netns:{netns.name}")


def test_a_container_that_drops_neighbour_solicitations(wide):
    wide.at("web", "nft 'add table ip6 foreign; add chain ip6 foreign c { type filter hook input priority 0; "
                   "policy drop; }'")  # fmt: skip
    wide.at("db", "ip -6 neigh flush dev eth0")
    try:
        assert fault(wide, "db", "[fd31::2]:53/udp") == ("container-firewall", "table ip6 foreign chain c of web")
    finally:
        wide.at("web", "nft delete table ip6 foreign")


def test_a_bridge_port_that_learns_nothing_gets_its_frames(wide):
    port = wide.port("web")
    wide.at("host", f"bridge link set dev {port} learning off")
    try:
        for flags in ((), ("--dry",)):
            assert wide.trace(*flags, "db", "172.31.0.2:80")["reachable"] is True
    finally:
        wide.at("host", f"bridge link set dev {port} learning on")


@pytest.mark.parametrize(
    ("family", "hook", "priority", "rule", "source", "target"),
    [
        ("bridge", "input", 0, "ip protocol tcp drop", "db", "172.31.0.1:92"),
        ("bridge", "output", 0, "ip protocol tcp drop", "host", "172.31.0.2:80"),
        ("netdev", "ingress device ext0", 0, "tcp dport 8080 drop", "outside", "published:8080"),
        ("netdev", "egress device WEB", 0, "tcp dport 80 drop", "outside", "published:8080"),
        ("netdev", "egress device WEB", 0, "tcp dport 80 drop", "db", "172.31.0.2:80"),
        ("inet", "ingress device ext0", 0, "tcp dport 8080 drop", "outside", "published:8080"),
        ("inet", "prerouting", 0, "iifname ext0 tcp dport 80 drop", "outside", "published:8080"),
        ("inet", "postrouting", 200, "oifname ext0 tcp dport 91 drop", "db", "192.168.99.99:91"),
        ("inet", "postrouting", 200, "oifname ext0 tcp dport 91 drop", "host", "192.168.99.99:91"),
    ],
)
def test_foreign_rules_at_every_hook_are_found_without_a_probe(wide, family, hook, priority, rule, source, target):
    script = NFT.format(family, hook, priority, rule).replace("WEB", wide.port("web"))
    wide.at("host", script)
    try:
        for flags in ((), ("--dry",)):
            assert fault(wide, source, target, *flags) == ("foreign-firewall", f"table {family} foreign chain c")
    finally:
        wide.at("host", f"nft delete table {family} foreign")


@pytest.mark.parametrize(("hook", "source"), [("prerouting", "outside"), ("output", "host")])
def test_a_rule_for_the_published_port_after_dnat_drops_nothing(wide, hook, source):
    wide.at("host", NFT.format("inet", hook, 0, "tcp dport 8080 drop"))
    try:
        for flags in ((), ("--dry",)):
            assert wide.trace(*flags, source, "published:8080")["reachable"] is True
    finally:
        wide.at("host", "nft delete table inet foreign")


def test_a_service_of_the_host_on_a_port_that_a_container_publishes_elsewhere(wide):
    """The port 8081 is published on 127.0.0.1 only, and the port 8037 is one of a routed network."""
    server = wide.host.popen(sys.executable, "-m", "http.server", "-b", "192.168.99.11", "8081")
    other = wide.host.popen(sys.executable, "-m", "http.server", "-b", "0.0.0.0", "8037")
    try:
        for flags in ((), ("--dry",)):
            for target in ("192.168.99.11:8081", "127.0.0.1:8037"):
                until(lambda f=flags, t=target: wide.trace(*f, "host", t)["reachable"])
    finally:
        for process in (server, other):
            process.kill()
            process.wait()
