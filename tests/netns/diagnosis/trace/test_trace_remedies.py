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
        lab.host.sh(culprit["fix"])
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
    finally:
        lab.host.sh("nft delete table ip foreign; sysctl -qw net.ipv4.ip_forward=1")
        lab.hawse("rm", "-f", "mac")
        lab.hawse("network", "rm", "wire")


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


def test_a_routing_rule_that_leads_to_a_silent_router(lab):
    """Another program sends the packets of the network by a router that does not exist."""
    lab.host.sh("ip route add default via 192.168.99.98 table 77; ip rule add from 172.31.0.0/16 lookup 77")
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
