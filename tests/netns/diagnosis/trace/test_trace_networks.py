"""``hawse trace`` on networks of all kinds: gateway modes, IPv6 only, macvlan, host mode, several networks of one
container, link-local addresses. Each trace runs with a probe and without.
"""

from __future__ import annotations

import sys

import pytest

from tests.conftest import until
from tests.netns.diagnosis.trace.test_trace_more_faults import fault
from tests.netns.drivers.firewall.test_rule_reading import DOCKER

pytestmark = pytest.mark.netns
WIRE = ("-o", "parent=ext0", "--subnet", "192.168.99.0/24", "--ip-range", "192.168.99.64/28")
NFT = (
    "nft 'add table {0} foreign; add chain {0} foreign c {{ type filter hook {1} priority {2}; }}; "
    "add rule {0} foreign c {3}'"
)


@pytest.fixture(scope="module")
def wide(lab):
    """The lab with networks of more kinds, and with containers on these networks."""
    bridge = "com.docker.network.bridge."
    lab.networks(
        routed=["--subnet", "172.37.0.0/16", "-o", f"{bridge}gateway_mode_ipv4=routed"],
        trusty=["--subnet", "172.39.0.0/16", "-o", f"{bridge}trusted_host_interfaces=ext0"],
        sealed=["--internal", "--subnet", "172.40.0.0/16", "-o", f"{bridge}gateway_mode_ipv4=isolated"],
        six=["--ipv4=false", "--ipv6", "--subnet", "fd38::/64"],
        wire=["-d", "macvlan", *WIRE],
        guarded=["--subnet", "172.41.0.0/16", "-o", "com.hawse.bridge.spoof_guard=true"],
    )
    paths = lab.containers(
        rt=["--network", "routed", "--ip", "172.37.0.2", "-p", "8037:80"],
        six1=["--network", "six", "--ip6", "fd38::2", "-p", "8038:80"],
        shut=["--network", "inside", "--ip", "172.33.0.9", "-p", "8039:80"],
        multi=["--network", "name=other,ip=172.32.0.20", "--network", "name=app,ip=172.31.0.20"],
        ll=["--network", "app", "--ip", "172.31.0.31", "--link-local-ip", "169.254.7.7"],
        m1=["--network", "wire", "--ip", "192.168.99.65"],
        tr=["--network", "trusty", "--ip", "172.39.0.2", "-p", "192.168.99.11:8040:80", "-p", "127.0.0.1:8041:53"],
        is1=["--network", "sealed", "--ip", "172.40.0.2"],
        is2=["--network", "sealed", "--ip", "172.40.0.3"],
        gu1=["--network", "guarded", "--ip", "172.41.0.2"],
        gu2=["--network", "guarded", "--ip", "172.41.0.3"],
    )
    for name in ("rt", "six1", "multi", "m1", "tr", "is1", "gu1"):
        lab.serve(paths[name], 80)
    for name in ("rt", "tr"):
        lab.serve(paths[name], 53)
    for name, mode in (("hosty", "host"), ("nowhere", "none")):
        lab.hawse("run", "-d", "--name", name, "--network", mode, "hostfs", "sleep", "inf")
    return lab


@pytest.mark.parametrize(
    ("source", "target"),
    [("outside", "published:8038"), ("outside", "six1:80"), ("host", "published:8038"), ("outside", "hosty:92"),
     ("hosty", "multi:80"), ("hosty", "published:8080"), ("web", "published:8080"), ("ll", "169.254.7.7"),
     ("outside", "rt:80"), ("host", "ll"), ("db", "web.app.:80"),
     ("outside", "172.31.0.2:80"), ("safe", "172.33.0.1:92"), ("outside", "172.37.0.2:80"),
     ("outside", "172.39.0.2:80"), ("is2", "is1:80")],
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
        ("outside", "rt:53", ("not-published", "port 53/tcp of rt"), "hawse publish rt"),
        ("outside", "172.37.0.2:53", ("not-published", "port 53/tcp of rt"), "hawse publish rt"),
        ("outside", "172.39.0.2:53", ("not-published", "port 53/tcp of tr"), "hawse publish tr"),
        ("db", "172.39.0.2:80", ("not-same-network", "container tr"), "hawse network connect trusty db"),
        ("host", "is1:80", ("network-internal", "network sealed"), "a container on sealed"),
        ("is1", "192.168.99.11:92", ("network-internal", "network sealed"), "a container on sealed"),
        ("outside", "172.40.0.2:80", ("network-internal", "network sealed"), "a container on sealed"),
        ("db", "172.40.0.2:80", ("not-same-network", "container is1"), "hawse network connect sealed db"),
        ("db", "169.254.7.7", ("no-route", "route to 169.254.7.7 of db"), "ip route add 169.254.7.7 dev eth0"),
        ("host", "169.254.7.7", ("no-route", "route to 169.254.7.7 of the host"), "ip route add 169.254.7.7 dev br-"),
        ("rt", "[fd00:44::1]:80", ("no-route", "route to fd00:44::1 of rt"), "hawse network create --ipv6 NETWORK && "),
    ],
)  # fmt: skip
def test_networks_of_other_kinds_keep_packets_out(wide, source, target, expected, remedy):
    for flags in ((), ("--dry",)):
        traced = wide.trace(*flags, source, target)
        assert (traced["reachable"], traced["code"]) == (False, 1), (flags, traced)
        assert (traced["culprit"]["kind"], traced["culprit"]["object"]) == expected, (flags, traced)
        assert remedy in traced["culprit"]["fix"]


def test_the_host_reaches_a_macvlan_container_by_another_interface(wide):
    """A macvlan interface of the host on the same parent is the usual way around the kernel's restriction."""
    wide.at("host", "ip link add shim link ext0 type macvlan mode bridge; ip addr add 192.168.99.200/32 dev shim; "
                    "ip link set shim up; ip route add 192.168.99.64/28 dev shim")  # fmt: skip
    try:
        for flags in ((), ("--dry",)):
            assert wide.trace(*flags, "host", "m1:80")["reachable"] is True
            assert wide.trace(*flags, "m1", "192.168.99.200:92")["reachable"] is True
            assert fault(wide, "host", "m1:81", *flags) == ("port-not-listening", "port 81/tcp of m1")
    finally:
        wide.at("host", "ip link del shim")


def test_the_host_reaches_a_macvlan_container_by_a_router(wide):
    """The peer is the router. Without its help, the host and the container are cut off from each other."""
    wide.at("host", "ip route add 192.168.99.65 via 192.168.99.99")
    wide.at("peer", "sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.br0.send_redirects=0 "
                    "net.ipv4.conf.all.send_redirects=0")  # fmt: skip
    wide.inside(wide.paths("m1")["m1"], "ip route add 192.168.99.11 via 192.168.99.99")
    try:
        assert wide.trace("host", "m1:80")["reachable"] is True
        assert wide.trace("m1", "192.168.99.11:92")["reachable"] is True
        assert wide.trace("--dry", "host", "m1:80")["reachable"] is None
        assert fault(wide, "host", "m1:81") == ("port-not-listening", "port 81/tcp of m1")
        wide.at("peer", "sysctl -qw net.ipv4.ip_forward=0")
        assert fault(wide, "host", "m1:80") == ("not-same-network", "container m1")
    finally:
        wide.at("peer", "sysctl -qw net.ipv4.ip_forward=0")
        wide.at("host", "ip route del 192.168.99.65 via 192.168.99.99")
        wide.inside(wide.paths("m1")["m1"], "ip route del 192.168.99.11 via 192.168.99.99")


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


def test_an_adopted_namespace_with_a_network_of_its_own(wide, netns):
    wide.hawse("network", "connect", "app", f"netns:{netns.name}")
    netns.sh("ip link add own0 type veth peer name own1; ip link set own0 up; ip link set own1 up;"
             "ip addr add 10.50.0.1/24 dev own0")  # fmt: skip
    try:
        assert wide.trace("--dry", f"netns:{netns.name}", "10.50.0.2:80")["culprit"] is None
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


@pytest.mark.parametrize(
    ("place", "family", "hook", "rule", "target"),
    [
        ("host", "bridge", "forward", "ether type arp drop", "172.31.0.2:80"),
        ("host", "bridge", "forward", "arp operation reply drop", "172.31.0.2:80"),
        ("host", "bridge", "forward", "icmpv6 type nd-neighbor-solicit drop", "[fd31::2]:80"),
        ("web", "arp", "input", "counter drop", "172.31.0.2:80"),
        ("web", "inet", "input", "icmpv6 type nd-neighbor-solicit drop", "[fd31::2]:80"),
        ("db", "ip", "output", "ip daddr 127.0.0.11 drop", "web:80"),
        ("db", "inet", "input", "iifname lo drop", "web:80"),
    ],
)
def test_rules_that_stop_the_search_for_a_neighbour_or_a_name(wide, place, family, hook, rule, target):
    """The trace names each rule, with a probe and with --dry."""
    wide.at(place, NFT.format(family, hook, 0, rule))
    kind = "foreign-firewall" if place == "host" else "container-firewall"
    what = f"table {family} foreign chain c" + ("" if place == "host" else f" of {place}")
    try:
        for flags in ((), ("--dry",)):
            for container in ("db", "web"):
                wide.at(container, "ip neigh flush dev eth0; ip -6 neigh flush dev eth0")
            trace = wide.trace(*flags, "db", target)
            culprit = trace["culprit"] or {}
            assert (trace["reachable"], culprit.get("kind"), culprit.get("object")) == (False, kind, what), trace
            assert "tcp dport" not in culprit["fix"]
    finally:
        wide.at(place, f"nft delete table {family} foreign")


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


def test_damage_to_the_own_firewall_is_the_culprit_only_of_paths_that_it_concerns(wide):
    bridge, other = wide.bridge("app"), wide.bridge("other")
    wide.at("host", f"sysctl -qw net.ipv4.conf.{bridge}.route_localnet=0; "
                    "nft delete element inet hawse any4 '{ udp . 8053 }'; "
                    f"nft delete element inet hawse masqueraded '{{ \"{other}\" . ipv4 }}'")  # fmt: skip
    try:
        for source, target in (("outside", "published:8080"), ("db", "192.168.99.99:91"), ("host", "[::1]:8080")):
            assert wide.trace(source, target)["reachable"] is True
            assert wide.trace("--dry", source, target)["reachable"] in (True, None)
        for source, target, what in (
            ("outside", "published:8053/udp", "table inet hawse any4"),
            ("far", "192.168.99.99:91", "table inet hawse masqueraded"),
            ("host", "127.0.0.1:8081", f"sysctl net.ipv4.conf.{bridge}.route_localnet"),
        ):
            for flags in ((), ("--dry",)):
                assert fault(wide, source, target, *flags) == ("own-firewall-damaged", what), flags
    finally:
        wide.host.hawse("doctor", "--fix", check=False)


def test_a_missing_address_of_the_spoof_guard_is_the_culprit_of_paths_from_its_container(wide):
    assert wide.trace("gu2", "gu1:80")["reachable"] is True
    wide.at("host", "nft flush set bridge hawse addresses4")
    try:
        for flags in ((), ("--dry",)):
            assert fault(wide, "gu2", "gu1:80", *flags) == ("own-firewall-damaged", "table bridge hawse addresses4")
            assert fault(wide, "outside", "published:8037", *flags)[:1] != ("own-firewall-damaged",)
    finally:
        wide.host.hawse("doctor", "--fix", check=False)
    assert wide.trace("gu2", "gu1:80")["reachable"] is True


def test_a_published_port_of_a_host_whose_loopback_interface_is_down(wide):
    """DNAT sends the packets to the container. They need lo only to reach processes of the host."""
    wide.at("host", "ip link set lo down")
    try:
        for flags in ((), ("--dry",)):
            assert wide.trace(*flags, "host", "127.0.0.1:8081")["reachable"] is True
            assert fault(wide, "host", "192.168.99.11:92", *flags) == ("interface-down", "interface lo of host")
    finally:
        wide.at("host", "ip link set lo up")


@pytest.mark.parametrize(
    ("kind", "hook", "rule", "source", "target"),
    [
        ("nat", "prerouting priority -110", "tcp dport 8080 dnat ip to 10.9.9.9", "outside", "published:8080"),
        ("nat", "prerouting priority -110", "tcp dport 8080 redirect to :9", "outside", "published:8080"),
        ("nat", "output priority -110", "tcp dport 8080 dnat ip to 127.0.0.1:9", "host", "published:8080"),
        ("filter", "prerouting priority -300", "tcp dport 8080 notrack", "outside", "published:8080"),
        ("filter", "prerouting priority -300", "tcp dport 91 notrack", "db", "192.168.99.99:91"),
    ],
)
def test_rules_that_change_the_destination_or_prevent_a_translation(wide, kind, hook, rule, source, target):
    """The probe leaves the host, or hawse's rules drop it. In both cases, another program's rule is the cause."""
    wide.at("host", f"nft 'add table inet foreign; add chain inet foreign c {{ type {kind} hook {hook}; }}; "
                    f"add rule inet foreign c {rule}'")  # fmt: skip
    try:
        for flags in ((), ("--dry",)):
            assert fault(wide, source, target, *flags) == ("foreign-firewall", "table inet foreign chain c"), flags
    finally:
        wide.at("host", "nft delete table inet foreign")


@pytest.mark.parametrize(
    ("program", "what", "reachable"),
    [("iptables-nft", "table ip nat chain DOCKER", False),
     ("iptables-legacy", "iptables-legacy table nat chain DOCKER", None)],
)  # fmt: skip
def test_rules_of_docker_for_the_same_published_port(wide, program, what, reachable):
    """Without a probe, the trace does not know whether hawse's rules or those of iptables-legacy come first."""
    wide.at("host", DOCKER.format(program))
    try:
        for source in ("outside", "far"):
            assert fault(wide, source, "published:8080") == ("foreign-firewall", what)
            traced = wide.trace("--dry", source, "published:8080")
            assert (traced["reachable"], traced["culprit"]["object"]) == (reachable, what)
        for flags in ((), ("--dry",)):
            assert wide.trace(*flags, "host", "127.0.0.1:8080")["reachable"] is True
            assert wide.trace(*flags, "outside", "published:8053/udp")["reachable"] is True
    finally:
        wide.at("host", f"{program} -t nat -F; {program} -t nat -X")


def test_a_later_rule_for_a_published_port_changes_nothing(wide):
    """hawse's own DNAT comes first, at priority -100."""
    wide.at("host", "nft 'add table inet foreign; add chain inet foreign c { type nat hook prerouting priority -90; }; "
                    "add rule inet foreign c tcp dport 8080 redirect to :9'")  # fmt: skip
    try:
        for flags in ((), ("--dry",)):
            assert wide.trace(*flags, "outside", "published:8080")["reachable"] is True
    finally:
        wide.at("host", "nft delete table inet foreign")


def test_the_interface_to_the_outside_is_down_or_filters_the_reverse_path(wide):
    wide.at("host", "sysctl -qw net.ipv4.conf.ext0.rp_filter=1; ip link add other type bridge; ip link set other up; "
                    "ip route add 192.168.99.99/32 dev other")  # fmt: skip
    expected = ("rp-filter", "sysctl net.ipv4.conf.ext0.rp_filter (ext0)")
    for flags in ((), ("--dry",)):
        assert fault(wide, "outside:ext0", "published:8080", *flags) == expected
    wide.at("host", "ip link del other; sysctl -qw net.ipv4.conf.ext0.rp_filter=0; ip link set ext0 down")
    try:
        for flags in ((), ("--dry",)):
            expected = ("interface-down", "interface ext0 of host")
            assert fault(wide, "outside:ext0", "published:8080", *flags) == expected
    finally:
        wide.at("host", "ip link set ext0 up; ip route add default via 192.168.99.99; "
                        "ip -6 addr add fd99::11/64 dev ext0 nodad")  # fmt: skip


def test_an_answer_to_arp_that_nobody_needs(wide):
    """The source knows the MAC already, so a target that answers no ARP request is reachable."""
    wide.trace("db", "172.31.0.2:80")
    wide.at("web", "sysctl -qw net.ipv4.conf.eth0.arp_ignore=8")
    try:
        assert wide.trace("--dry", "db", "172.31.0.2:80")["reachable"] is True
        # An ARP request of web would tell db the MAC of web.
        for container in ("web", "db"):
            wide.at(container, "ip neigh flush dev eth0")
        for flags in ((), ("--dry",)):
            culprit = fault(wide, "db", "172.31.0.2:80", *flags)
            assert culprit == ("container-firewall", "sysctl net.ipv4.conf.eth0.arp_ignore of web")
    finally:
        wide.at("web", "sysctl -qw net.ipv4.conf.eth0.arp_ignore=0")
