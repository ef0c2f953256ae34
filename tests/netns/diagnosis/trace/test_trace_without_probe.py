"""``hawse trace`` names the same culprit with a probe and without (``--dry``)."""

from __future__ import annotations

import json

import pytest

from tests.netns.diagnosis.trace.test_trace_more_faults import fault

pytestmark = pytest.mark.netns
ESTABLISHED = "-m conntrack --ctstate RELATED,ESTABLISHED"
FLUSH = "iptables-nft -F; iptables-nft -X; nft delete table ip filter"
CASES = {
    "a default route via another address": (
        "web", "ip route replace default via 172.31.0.99", "ip route replace default via 172.31.0.1",
        "outside", "published:8080", "wrong-route", "default route of web"),
    "an IPv6 default route via another address": (
        "web", "ip -6 route replace default via fd31::99", "ip -6 route replace default via fd31::1",
        "outside", "[fd99::11]:8080", "wrong-route", "default route of web"),
    "isolated bridge ports": (
        "host", "for port in {web} {db}; do bridge link set dev $port isolated on; done",
        "for port in {web} {db}; do bridge link set dev $port isolated off; done",
        "db", "172.31.0.2:80", "not-in-bridge", "bridge port {db} of db (isolated on)"),
    "the host's address is lost": (
        "host", "ip addr del 192.168.99.11/24 dev ext0",
        "ip addr add 192.168.99.11/24 dev ext0; ip route replace default via 192.168.99.99",
        "outside", "published:8080", "wrong-address", "address of interface ext0 of host"),
    "the host has the container's address": (
        "host", "ip addr add 172.31.0.2/32 dev lo", "ip addr del 172.31.0.2/32 dev lo",
        "outside", "published:8080", "duplicate-address", "address 172.31.0.2 of web"),
    "a target that ignores pings": (
        "web", "sysctl -qw net.ipv6.icmp.echo_ignore_all=1", "sysctl -qw net.ipv6.icmp.echo_ignore_all=0",
        "db", "fd31::2", "container-firewall", "sysctl net.ipv6.icmp.echo_ignore_all of web"),
    "a chain of fail2ban": (
        "host", "iptables-nft -N f2b; iptables-nft -A INPUT -p tcp -m multiport --dports 92,93 -j f2b; "
        "iptables-nft -A f2b -s 192.168.99.0/24 -j REJECT; iptables-nft -A f2b -j RETURN", FLUSH,
        "outside", "192.168.99.11:92", "foreign-firewall", "table ip filter chain f2b"),
    "the chain DOCKER-USER": (
        "host", f"iptables-nft -N DOCKER-USER; iptables-nft -A FORWARD -j DOCKER-USER; "
        f"iptables-nft -A DOCKER-USER -i ext0 {ESTABLISHED} -j RETURN; iptables-nft -A DOCKER-USER -i ext0 -j DROP",
        FLUSH, "outside", "published:8080", "foreign-firewall", "table ip filter chain DOCKER-USER"),
    "the policy of ufw": (
        "host", f"iptables-nft -P FORWARD DROP; iptables-nft -A FORWARD {ESTABLISHED} -j ACCEPT",
        "iptables-nft -P FORWARD ACCEPT; " + FLUSH,
        "far", "published:8080", "foreign-firewall", "table ip filter chain FORWARD"),
}  # fmt: skip


@pytest.fixture(scope="module")
def ports(lab):
    """The bridge ports of the containers web and db. They replace {web} and {db} in the scripts of the cases."""
    return {"web": lab.port("web"), "db": lab.port("db")}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_fault_is_found_with_a_probe_and_without(lab, ports, case):
    place, inject, undo, source, target, kind, what = (text.format(**ports) for text in case)
    lab.at(place, inject)
    try:
        for flags in ((), ("--dry",)):
            assert fault(lab, source, target, *flags) == (kind, what), flags
    finally:
        lab.at(place, undo)
    assert lab.trace("outside", "published:8080")["reachable"] is True


def test_answers_pass_a_rule_for_established_connections(lab):
    """Only this rule accepts the answers, so the trace must know its condition."""
    lab.at("host", f"iptables-nft -P FORWARD DROP; iptables-nft -A FORWARD {ESTABLISHED} -j ACCEPT; "
                   "iptables-nft -A FORWARD -i ext0 -p tcp -m multiport --dports 80,443 -j ACCEPT")  # fmt: skip
    try:
        for flags in ((), ("--dry",)):
            assert lab.trace(*flags, "outside", "published:8080")["reachable"] is True
    finally:
        lab.at("host", "iptables-nft -P FORWARD ACCEPT; " + FLUSH)


def test_differences_that_stop_no_packets(lab, ports):
    """A container needs the flag hairpin only to reach its own published port. Machines learn a new MAC by ARP.

    An isolated port gets no packets of other isolated ports.
    """
    # While the host had web's address in an earlier case, db may have learnt the host's MAC for it.
    lab.at("db", "ip neigh flush dev eth0; sysctl -qw net.ipv4.neigh.eth0.locktime=0")
    port, mac = ports["web"], json.loads(lab.at("web", "ip -j link show eth0"))[0]["address"]
    for place, inject, undo in (
        ("host", f"bridge link set dev {port} hairpin off", f"bridge link set dev {port} hairpin on"),
        ("host", f"bridge link set dev {port} isolated on", f"bridge link set dev {port} isolated off"),
        ("web", "ip link set eth0 address 02:00:00:00:00:77", f"ip link set eth0 address {mac}"),
    ):
        lab.at(place, inject)
        try:
            assert lab.trace("--dry", "db", "172.31.0.2:80")["reachable"] is True
            if "hairpin" in inject:
                assert fault(lab, "web", "published:8080", "--dry")[0] == "not-in-bridge"
        finally:
            lab.at(place, undo)


def test_a_resolver_of_which_the_trace_knows_nothing(lab):
    lab.hawse("exec", "third", "cp", "/etc/resolv.conf", "/etc/resolv.conf.old")
    lab.hawse("exec", "third", "sh", "-c", "echo nameserver 192.168.99.50 > /etc/resolv.conf")
    try:
        traced = lab.trace("--dry", "third", "web:80")
        assert (traced["reachable"], traced["culprit"]["kind"]) == (None, "name-unknown")
        assert "/etc/resolv.conf of third names 192.168.99.50" in traced["culprit"]["detail"]
        assert fault(lab, "third", "web:80") == ("resolver-down", "resolver 192.168.99.50")
    finally:
        lab.hawse("exec", "third", "sh", "-c", "cat /etc/resolv.conf.old > /etc/resolv.conf")


def test_an_ipsec_policy_of_the_host(lab):
    lab.at("host", "ip xfrm policy add dst 172.31.0.2 dir out action block")
    try:
        assert fault(lab, "host", "172.31.0.2:80") == ("foreign-firewall", "IPsec policy of host")
    finally:
        lab.at("host", "ip xfrm policy flush")


def test_a_macvlan_network_with_private_mode_and_a_silent_gateway(lab):
    lab.at("host", "ip link add wire0 type veth peer name wire1; ip link set wire0 up; ip link set wire1 up")
    lab.networks(
        private=["-d", "macvlan", "-o", "parent=wire0", "-o", "macvlan_mode=private", "--subnet", "10.70.0.0/24"],
        enclosed=["-d", "macvlan", "--internal", "-o", "parent=wire1", "--subnet", "10.71.0.0/24"],
    )
    lab.containers(p1=["--network", "private"], p2=["--network", "private", "--ip", "10.70.0.9"],
                   e1=["--network", "enclosed"], e2=["--network", "enclosed", "--ip", "10.71.0.9"])  # fmt: skip
    try:
        for flags in ((), ("--dry",)):
            assert fault(lab, "p1", "10.70.0.9", *flags) == ("icc-disabled", "network private")
            assert lab.trace(*flags, "e1", "10.71.0.9")["reachable"] is True
        assert fault(lab, "p1", "203.0.113.7:80") == (
            "peer-unreachable", "machine 10.70.0.1 (gateway to 203.0.113.7)")  # fmt: skip
    finally:
        lab.hawse("rm", "-f", "p1", "p2", "e1", "e2")
        lab.hawse("network", "rm", "private", "enclosed")
        lab.at("host", "ip link del wire0")
