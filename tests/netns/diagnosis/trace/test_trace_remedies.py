"""The remedy of ``hawse trace`` is typed as it is printed, and then the source reaches the target."""

from __future__ import annotations

import shlex

import pytest

from tests.netns.diagnosis.trace.test_trace_more_faults import fault

pytestmark = pytest.mark.netns
POLICY = "nft 'add table {0} foreign; add chain {0} foreign c {{ type filter hook forward priority 0; policy drop; }}'"


def type_remedy(lab, culprit, **names):
    """Run the commands after the colon of a remedy. ``names`` replace placeholders, such as NETWORK."""
    for command in culprit["fix"].rpartition(": ")[2].split(" && "):
        words = [names.get(word, word) for word in shlex.split(command)]
        (lab.hawse if words[0] == "hawse" else lab.host.run)(*(words[1:] if words[0] == "hawse" else words))


@pytest.mark.parametrize(
    ("family", "source", "target"),
    [
        ("ip", "outside", "published:8080"),
        ("ip6", "outside", "[fd99::11]:8080"),
        ("ip", "db", "192.168.99.99:91"),
        ("bridge", "db", "172.31.0.2:80"),
        ("bridge", "db", "[fd31::2]:80"),
    ],
)
@pytest.mark.parametrize("flags", [(), ("--dry",)])
def test_a_policy_that_drops_the_packets_and_the_answers(lab, family, source, target, flags):
    lab.at("db", "ip neigh flush dev eth0; ip -6 neigh flush dev eth0")
    lab.host.sh(POLICY.format(family))
    try:
        type_remedy(lab, lab.trace(*flags, source, target)["culprit"])
        assert lab.trace(source, target)["reachable"] is True
    finally:
        lab.host.sh(f"nft delete table {family} foreign")


def test_a_container_without_a_network(lab):
    """At first the container is on the network none. Afterwards it is on no network at all."""
    lab.containers(bare=["--network", "none"])
    cases = [("bare", "web:80", "app"), ("db", "bare", "app"), ("host", "bare", "app"),
             ("bare", "192.168.99.99:91", "fresh")]  # fmt: skip
    try:
        for source, target, network in cases:
            for _ in range(2):
                type_remedy(lab, lab.trace(source, target)["culprit"], NETWORK=network)
                assert lab.trace(source, target)["reachable"] is True
                lab.hawse("network", "disconnect", network, "bare")
                if network == "fresh":
                    lab.hawse("network", "rm", network)
            lab.hawse("network", "connect", "none", "bare")
    finally:
        lab.hawse("rm", "-f", "bare")


def test_no_remedy_joins_a_network_whose_containers_are_isolated_from_each_other(lab):
    assert lab.trace("lone2", "lone:80")["culprit"]["fix"].endswith(
        "hawse network create NETWORK && hawse network connect NETWORK lone2 && hawse network connect NETWORK lone"
    )
    type_remedy(lab, lab.trace("third", "lone:80")["culprit"])
    try:
        assert lab.trace("third", "lone:80")["reachable"] is True
    finally:
        lab.hawse("network", "disconnect", "app", "lone")


def test_a_published_port_of_a_neighbour_on_a_network_with_isolated_containers(lab):
    """With br_netfilter, the kernel translates the packets within the bridge and drops them at an isolated port."""
    lab.containers(shown=["--network", "strict", "-p", "8034:80"])
    lab.serve(lab.paths("shown")["shown"], 80)
    lab.filter_bridged(True)
    try:
        for flags in ((), ("--dry",)):
            assert fault(lab, "lone2", "published:8034", *flags) == ("icc-disabled", "network strict")
        lab.host.sh(lab.trace("lone2", "published:8034")["culprit"]["fix"])
        assert lab.trace("lone2", "published:8034")["reachable"] is True
    finally:
        lab.filter_bridged(True)
        lab.hawse("rm", "-f", "shown")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_service_that_listens_for_ipv6_only(lab, protocol):
    lab.serve(lab.paths_of["web"], 82 if protocol == "tcp" else 83, addresses=["::"])
    target = f"172.31.0.2:{82 if protocol == 'tcp' else 83}/{protocol}"
    for flags in ((), ("--dry",)):
        culprit = lab.trace(*flags, "db", target)["culprit"]
        assert (culprit["kind"], "IPV6_V6ONLY" in culprit["detail"]) == ("port-not-listening", True), culprit
        assert lab.trace(*flags, "db", target.replace("172.31.0.2", "[fd31::2]"))["reachable"] is True


@pytest.mark.parametrize("address", ["192.168.99.98", "10.9.9.9"])
def test_an_address_that_is_not_on_this_host(lab, address):
    for flags in ((), ("--dry",)):
        culprit = lab.trace(*flags, "outside", f"{address}:80")["culprit"]
        assert (culprit["kind"], culprit["object"]) == ("no-such-endpoint", f"address {address}"), culprit
        assert "publish" not in culprit["fix"]


def test_a_bridge_with_the_spanning_tree_protocol(lab):
    bridge, port = lab.bridge("app"), lab.port("web")
    lab.host.sh(f"ip link set {bridge} type bridge stp_state 1; ip link set {port} nomaster; "
                f"ip link set {port} master {bridge}")  # fmt: skip
    try:
        culprit = lab.trace("db", "172.31.0.2:80")["culprit"]
        assert culprit["kind"] == "not-in-bridge", culprit
        type_remedy(lab, culprit)
        assert lab.trace("db", "172.31.0.2:80")["reachable"] is True
    finally:
        lab.host.sh(f"ip link set {bridge} type bridge stp_state 0")
        lab.host.hawse("doctor", "--fix", check=False)


def test_packets_to_a_macvlan_container_do_not_pass_the_host(lab):
    flags = ("-o", "parent=ext0", "--subnet", "192.168.99.0/24", "--ip-range", "192.168.99.64/28")
    lab.hawse("network", "create", "-d", "macvlan", *flags, "wire")
    paths = lab.containers(mac=["--network", "wire", "--ip", "192.168.99.65"])
    lab.serve(paths["mac"], 80, addresses=["0.0.0.0"])
    lab.host.sh(f"{POLICY.format('ip')}; sysctl -qw net.ipv4.ip_forward=0")
    try:
        for words in (("outside", "mac:80"), ("mac", "192.168.99.99:91")):
            assert lab.trace(*words)["reachable"] is True
            assert lab.trace("--dry", *words)["culprit"] is None
        lab.host.sh("ip route add blackhole 192.168.99.99; ip addr del 192.168.99.11/24 dev ext0")
        assert lab.trace("mac", "192.168.99.99:91")["reachable"] is True
        assert lab.trace("--dry", "mac", "192.168.99.99:91")["culprit"] is None
        assert lab.trace("outside", "192.168.99.65:80")["culprit"] is None
    finally:
        lab.host.sh("ip route del blackhole 192.168.99.99 2> /dev/null || true; "
                    "ip addr replace 192.168.99.11/24 dev ext0; ip route replace default via 192.168.99.99; "
                    "nft delete table ip foreign; sysctl -qw net.ipv4.ip_forward=1")  # fmt: skip
        lab.hawse("rm", "-f", "mac")
        lab.hawse("network", "rm", "wire")


@pytest.mark.parametrize("flags", [(), ("--dry",)])
def test_a_firewall_of_the_source_that_drops_everything(lab, flags):
    """The first remedy is for the queries to the resolver, and the second for the packets to the target."""
    chains = "; ".join(f"add chain inet foreign {hook} {{ type filter hook {hook} priority 0; policy drop; }}"
                       for hook in ("input", "output"))  # fmt: skip
    lab.at("db", f"nft 'add table inet foreign; {chains}; add rule inet foreign input meta l4proto icmpv6 accept; "
                 "add rule inet foreign output meta l4proto icmpv6 accept'")  # fmt: skip
    try:
        for _ in range(2):
            culprit = lab.trace(*flags, "db", "web:80")["culprit"]
            assert culprit["kind"] == "container-firewall", culprit
            type_remedy(lab, culprit)
        assert lab.trace("db", "web:80")["reachable"] is True
    finally:
        lab.at("db", "nft delete table inet foreign")


@pytest.mark.parametrize(
    ("place", "script", "undo", "source", "target"),
    [
        ("db", "ip route add blackhole 172.31.0.2/32", "ip route del blackhole 172.31.0.2/32", "db", "web:80"),
        ("db", "ip addr add 172.31.0.2/32 dev eth0", "ip addr del 172.31.0.2/32 dev eth0", "db", "172.31.0.2:80"),
        ("db", "ip route add local 172.31.0.2 dev lo", "ip route del local 172.31.0.2 dev lo", "db", "172.31.0.2:80"),
        ("db", "ip -6 route add prohibit fd31::2/128", "ip -6 route del prohibit fd31::2/128", "db", "[fd31::2]:80"),
        ("db", "ip route add 172.31.0.2/32 via 172.31.0.4", "ip route del 172.31.0.2/32", "db", "web:80"),
        ("host", "ip route add 172.31.0.0/24 via 192.168.99.99", "ip route del 172.31.0.0/24", "host", "web:80"),
        ("host", "ip route add 172.31.0.0/24 via 192.168.99.99", "ip route del 172.31.0.0/24", "outside",
         "published:8080"),
        ("host", "ip route add 172.31.0.2/32 via 192.168.99.99 table 77; ip rule add to 172.31.0.2 lookup 77",
         "ip rule del to 172.31.0.2 lookup 77; ip rule del to 172.31.0.2; ip route flush table 77", "host", "web:80"),
    ],
)  # fmt: skip
def test_a_wrong_route(lab, place, script, undo, source, target):
    lab.at(place, script)
    try:
        culprit = lab.trace(source, target)["culprit"]
        assert culprit["kind"] == "wrong-route", culprit
        type_remedy(lab, culprit)
        assert lab.trace(source, target)["reachable"] is True
    finally:
        lab.at(place, f"({undo}) 2> /dev/null || true")


@pytest.mark.parametrize("route", ["default via 192.168.99.99", "unreachable default"])
def test_a_rule_that_sends_the_packets_by_a_route_for_others(lab, route):
    """Another program, such as a VPN, needs the default route of its table. No rule uses table 78."""
    lab.host.sh(f"ip route add {route} table 77; ip rule add from all lookup 77 priority 99;"
                "ip route add 172.31.0.2 via 192.168.99.99 table 78")  # fmt: skip
    try:
        culprit = lab.trace("host", "web:80")["culprit"]
        assert culprit["kind"] == "wrong-route", culprit
        type_remedy(lab, culprit)
        assert lab.trace("host", "web:80")["reachable"] is True
        assert lab.host.sh("ip route show table 77")
        assert lab.host.sh("ip route show table 78")
    finally:
        lab.host.sh("ip rule del priority 99; ip rule del to 172.31.0.2 || true;"
                    "ip route flush table 77; ip route flush table 78")  # fmt: skip


def test_another_default_route_in_a_container(lab):
    lab.at("db", "ip route replace default via 172.31.0.4")
    try:
        culprit = lab.trace("db", "192.168.99.99:91")["culprit"]
        assert (culprit["kind"], culprit["object"]) == ("wrong-route", "default route of db")
        type_remedy(lab, culprit)
        assert lab.trace("db", "192.168.99.99:91")["reachable"] is True
    finally:
        lab.at("db", "ip route replace default via 172.31.0.1")


def test_the_host_has_lost_the_address_of_a_published_port(lab):
    lab.host.sh("ip addr add 192.168.99.77/24 dev ext0")
    lab.containers(shown=["--network", "app", "-p", "192.168.99.77:8090:80"])
    lab.serve(lab.paths("shown")["shown"], 80)
    lab.host.sh("ip addr del 192.168.99.77/24 dev ext0")
    try:
        for target in ("published:8090", "192.168.99.77:8090"):
            for flags in ((), ("--dry",)):
                assert fault(lab, "outside", target, *flags) == ("wrong-address", "address 192.168.99.77 of host")
            type_remedy(lab, lab.trace("outside", target)["culprit"],
                        **{"192.168.99.77/LENGTH": "192.168.99.77/24", "INTERFACE": "ext0"})  # fmt: skip
            assert lab.trace("outside", target)["reachable"] is True
            lab.host.sh("ip addr del 192.168.99.77/24 dev ext0")
        lab.peer.sh("ip addr add 192.168.99.77/32 dev br0")
        lab.serve(lab.peer.path, 8090, addresses=["192.168.99.77"])
        assert lab.trace("db", "192.168.99.77:8090")["reachable"] is True
    finally:
        lab.peer.sh("ip addr del 192.168.99.77/32 dev br0 2> /dev/null || true")
        lab.hawse("rm", "-f", "shown")


def test_a_port_published_on_an_address_of_a_local_route(lab):
    """The container also publishes the port on an address that the host has lost."""
    lab.host.sh("ip route add local 10.77.0.0/24 dev lo; ip addr add 192.168.99.77/24 dev ext0")
    lab.containers(shown=["--network", "app", "-p", "192.168.99.77:8077:80", "-p", "10.77.0.5:8077:80"])
    lab.serve(lab.paths("shown")["shown"], 80)
    lab.host.sh("ip addr del 192.168.99.77/24 dev ext0")
    try:
        for source in ("outside", "host", "db"):
            for target in ("published:8077", "10.77.0.5:8077"):
                assert lab.trace(source, target)["reachable"] is True
                assert lab.trace("--dry", source, target)["culprit"] is None
    finally:
        lab.hawse("rm", "-f", "shown")
        lab.host.sh("ip route del local 10.77.0.0/24 dev lo")


def test_a_routing_rule_that_leads_to_a_silent_router(lab):
    """Another program sends the packets of the network by a router that does not exist."""
    lab.host.sh("ip route add default via 192.168.99.98 table 77; ip rule add from 172.31.0.0/16 lookup 77;"
                "ip neigh flush dev ext0")  # fmt: skip
    try:
        for source, target in (("outside", "published:8080"), ("db", "192.168.99.99:91")):
            culprit = fault(lab, source, target)
            assert culprit == ("peer-unreachable", "machine 192.168.99.98 (gateway to 192.168.99.99)")
    finally:
        lab.host.sh("ip rule del from 172.31.0.0/16; ip route flush table 77")


def test_the_answer_goes_to_another_mac(lab):
    lab.peer.sh("ip neigh replace 192.168.99.11 lladdr 02:00:00:00:00:05 dev br0 nud permanent")
    try:
        assert fault(lab, "db", "192.168.99.99:91") == ("peer-unreachable", "machine 192.168.99.99")
        assert "came back" in lab.trace("db", "192.168.99.99:91")["culprit"]["detail"]
    finally:
        lab.peer.sh("ip neigh del 192.168.99.11 dev br0")
