"""hawse finds chains of other programs that drop the forwarded packets of its networks."""

import shutil
from ipaddress import ip_network

import pytest

from drivers.firewall import foreign_drops
from drivers.linux import netns as namespaces

pytestmark = pytest.mark.netns

KNOWN = {"br-x": [ip_network("172.18.0.0/16"), ip_network("fd18::/64")]}
ACCEPTING = [
    "accept",
    "ip saddr 172.16.0.0/12 accept",
    "ip daddr 172.0.0.0/8 accept",
    "ip saddr 172.18.0.0/16 accept",
    "ip daddr 172.18.0.2 tcp dport 80 accept",
    "ip6 daddr fc00::/7 accept",
    "ip6 daddr fd00::/8 accept",
    'iifname "br-x" accept',
    'oifname "br-*" accept',
    'iifname "eth0" ip saddr 192.168.1.0/24 ip daddr 172.18.0.0/16 accept',
]
NOT_ACCEPTING = [
    "ip saddr 10.0.0.0/8 accept",
    "ip saddr 172.0.0.0/12 accept",
    "ip saddr != 172.18.0.0/16 accept",
    "ip ttl 172 accept",
    "tcp dport 80 accept",
    'iifname "br-" accept',
    'iifname "br-x1" accept',
    'iifname "br-x" drop',
    'iifname "eth0" ip saddr 172.18.0.0/16 ip daddr 10.0.0.0/8 accept',
    "ip daddr 172.18.0.0/16 counter reject",
]


def affected(netns, rule):
    """Return the chains that `find_dropping_chains` reports for a chain with this rule and the policy drop."""
    netns.run("nft", f"table inet other {{ chain c {{ type filter hook forward priority 0; policy drop; {rule}; }}; }}")
    try:
        return namespaces.run_in_netns(netns.path, lambda: foreign_drops.find_dropping_chains(KNOWN))
    finally:
        netns.run("nft", "delete table inet other")


def test_a_rule_for_the_addresses_or_the_bridge_of_a_network_accepts_its_packets(netns):
    assert {rule: affected(netns, rule) for rule in ACCEPTING} == {rule: {} for rule in ACCEPTING}
    expected = {"inet other c": ["br-x"]}
    assert {rule: affected(netns, rule) for rule in NOT_ACCEPTING} == dict.fromkeys(NOT_ACCEPTING, expected)


@pytest.mark.parametrize(("family", "version"), [("ip", 4), ("ip6", 6)])
def test_a_chain_affects_the_networks_that_have_subnets_of_its_ip_version(netns, family, version):
    netns.run("nft", f"table {family} other {{ chain c {{ type filter hook forward priority 0; policy drop; }}; }}")
    known = {f"br-{subnet.version}": [subnet] for subnet in KNOWN["br-x"]}
    find = foreign_drops.find_dropping_chains
    assert namespaces.run_in_netns(netns.path, lambda: find(known)) == {f"{family} other c": [f"br-{version}"]}


@pytest.mark.skipif(not shutil.which("iptables-nft"), reason="iptables is not installed")
@pytest.mark.parametrize("accepting", ["-s 172.16.0.0/12", "-d 172.0.0.0/8", "-i br-x", "-o br+", ""])
def test_rules_of_iptables_are_read_as_those_of_nft(netns, accepting):
    netns.sh("iptables-nft -P FORWARD DROP; iptables-nft -A FORWARD -s 10.0.0.0/8 -j ACCEPT")
    find = foreign_drops.find_dropping_chains
    assert namespaces.run_in_netns(netns.path, lambda: find(KNOWN)) == {"ip filter FORWARD": ["br-x"]}
    netns.sh(f"iptables-nft -A FORWARD {accepting} -j ACCEPT")
    assert namespaces.run_in_netns(netns.path, lambda: find(KNOWN)) == {}
