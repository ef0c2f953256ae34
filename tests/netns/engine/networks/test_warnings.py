"""Firewalls of other programs that drop the packets of hawse's networks.

hawse prints a warning about such a firewall, and never changes it.
"""

from __future__ import annotations

import json
import shutil

import pytest

pytestmark = pytest.mark.netns

POLICY = """
table ip filter {
    chain FORWARD { type filter hook forward priority filter; policy drop; jump theirs; }
    chain theirs { iifname "docker0" counter accept; ip saddr 10.0.0.0/8 tcp dport 80 accept; counter return; }
}
"""
UFW = """
table ip filter {
    chain FORWARD { type filter hook forward priority filter; policy drop; jump user; jump track; }
    chain user { iifname "other0" accept; }
    chain track { }
    chain limit_accept { accept; }
}
table ip6 filter {
    chain FORWARD { type filter hook forward priority filter; policy drop; }
}
"""
"""These rules drop forwarded IPv4 packets: no rule jumps to the chain that accepts everything.

The IPv6 rules cause no warning, because the test's network has only IPv4.
"""
FIREWALLD = """
table inet firewalld {
    chain filter_FORWARD {
        type filter hook forward priority filter + 10; policy accept;
        ct state established,related accept
        ct status dnat accept
        iifname "lo" accept
        reject with icmpx admin-prohibited
    }
}
"""
HARMLESS = """
table inet other {
    chain forward { type filter hook forward priority filter; policy accept; ip daddr 192.0.2.1 drop; }
    chain input { type filter hook input priority filter; policy drop; accept; }
}
table bridge other { chain forward { type filter hook forward priority filter; policy drop; accept; }; }
"""
APP = ["network", "create", "-o", "com.docker.network.bridge.name=app0", "--subnet", "172.30.0.0/16", "app"]


def load(host, rules: str) -> None:
    host.run("nft", "-f", "-", stdin=None, input=rules)


@pytest.mark.parametrize(
    ("rules", "chain"),
    [(POLICY, "ip filter FORWARD"), (UFW, "ip filter FORWARD"), (FIREWALLD, "inet firewalld filter_FORWARD")],
)
def test_new_network_gives_a_warning_if_another_program_drops_its_packets(host, rules, chain):
    load(host, rules)
    before = host.sh("nft list table ip filter 2>/dev/null; nft list table inet firewalld 2>/dev/null", check=False)
    warning = host.hawse(*APP).stderr
    assert warning == (
        f"WARNING: the chain '{chain}' drops forwarded packets: "
        "it has to let through what comes in or goes out by app0\n"
    )
    info = host.hawse("info")
    assert warning == info.stderr
    assert json.loads(host.hawse("info", "-f", "json").stdout)["Warnings"] == [warning.strip()]
    assert before == host.sh(
        "nft list table ip filter 2>/dev/null; nft list table inet firewalld 2>/dev/null", check=False
    )


@pytest.mark.parametrize(
    "accepting",
    [
        'iifname "app0" accept', 'oifname "app*" accept', "ip saddr 172.30.0.0/16 accept", "counter accept",
    ],
)  # fmt: skip
def test_chain_that_accepts_the_networks_packets_gives_no_warning(host, accepting):
    load(host, POLICY + f"add rule ip filter theirs {accepting}\n")
    assert host.hawse(*APP).stderr == ""


def test_chains_that_drop_no_packets_of_hawse_give_no_warning(host):
    load(host, HARMLESS)
    assert host.hawse(*APP).stderr == ""
    assert host.hawse("info").stderr == ""


def test_internal_network_gives_no_warning(host):
    load(host, POLICY)
    assert host.hawse("network", "create", "--internal", "inside").stderr == ""


def test_first_use_of_the_default_bridge_gives_a_warning(host):
    load(host, POLICY.replace("docker0", "virbr0"))
    assert "goes out by docker0" in host.hawse("run", "--rm", "hostfs", "true").stderr
    assert host.hawse("run", "--rm", "hostfs", "true").stderr == ""


@pytest.mark.skipif(not shutil.which("iptables-nft"), reason="iptables is not installed")
def test_rules_of_iptables_that_drop_packets_give_a_warning(host):
    host.sh("iptables-nft -P FORWARD DROP")
    assert "ip filter FORWARD" in host.hawse(*APP).stderr
    host.hawse("network", "rm", "app")
    host.sh("iptables-nft -P FORWARD ACCEPT; iptables-nft -A FORWARD -j REJECT")
    assert "ip filter FORWARD" in host.hawse(*APP).stderr
    host.hawse("network", "rm", "app")
    host.sh("iptables-nft -I FORWARD -i app+ -j ACCEPT")
    assert host.hawse(*APP).stderr == ""
