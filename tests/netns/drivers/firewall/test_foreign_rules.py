"""hawse finds single rules of other programs that drop packets of its networks."""

from ipaddress import ip_network

import pytest

from drivers.firewall import foreign_rules
from drivers.linux import netns as namespaces

pytestmark = pytest.mark.netns

CHAIN = "inet other c"
OF_PORTS = ["tcp dport 80 drop", "udp sport 53 drop", "udp sport 53 udp dport 53 drop", "th dport 80 reject"]
NOT_OF_PORTS = [
    "tcp flags & (fin | syn) == fin | syn drop",
    "icmp type redirect drop",
    "icmp type echo-request icmp code 0 drop",
    "icmpv6 type 137 drop",
    "udp length 8 drop",
    "esp spi 100 drop",
    "tcp dport 80 tcp flags syn drop",
]


OF_NETWORK = [
    "ip saddr 172.16.0.0/12 drop",
    'iifname "br-x" ip saddr 172.16.0.0/12 drop',
    'oifname "eth0" ip saddr 172.16.0.0/12 drop',
    'iifname "eth0" ip daddr 172.16.0.0/12 drop',
    'iifname "eth0" ip saddr 192.168.1.0/24 ip daddr 172.18.0.0/16 drop',
    'iifname "eth0" ip saddr 192.168.1.2 ip daddr 172.18.0.2 drop',
    'iifname != "br-y" ip saddr 172.18.0.0/16 drop',
    'iifname != "eth*" ip saddr 172.18.0.0/16 drop',
    'iifname != "br-x" ip daddr 172.18.0.0/16 drop',
    'oifname != "br-x" ip saddr 172.18.0.0/16 drop',
    "iif br-x ip saddr 172.18.0.0/16 drop",
    "oif br-x tcp dport 80 drop",
    "iif != eth0 ip saddr 172.18.0.0/16 drop",
]
NOT_OF_NETWORK = [
    'iifname "eth0" ip saddr 172.16.0.0/12 drop',
    'iifname "eth0" ip saddr 172.16.0.0/12 ip daddr 10.0.0.0/8 drop',
    'iifname != "br-x" ip saddr 172.18.0.0/16 drop',
    'iifname != "br-*" ip saddr 172.18.0.0/16 drop',
    "ip saddr 172.16.0.0/16 drop",
    "iif eth0 ip saddr 172.0.0.0/8 drop",
    "iif != br-x ip saddr 172.18.0.0/16 drop",
    "iif 77 ip saddr 172.18.0.0/16 drop",
]


def dropping(netns, rule):
    """Return the rules that `find_dropping_rules` reports for a rule, if hawse has the network 172.18.0.0/16."""
    netns.run("nft", f"table inet other {{ chain c {{ type filter hook forward priority 0; {rule}; }}; }}")
    known = {"br-x": [ip_network("172.18.0.0/16")]}
    try:
        return namespaces.run_in_netns(netns.path, lambda: foreign_rules.find_dropping_rules(known))
    finally:
        netns.run("nft", "delete table inet other")


def test_only_rules_that_compare_ports_drop_packets_of_some_ports(netns):
    assert {rule: dropping(netns, rule) for rule in OF_PORTS} == {rule: [(CHAIN, [])] for rule in OF_PORTS}
    assert {rule: dropping(netns, rule) for rule in NOT_OF_PORTS} == {rule: [] for rule in NOT_OF_PORTS}


def test_rules_against_forged_packets_drop_no_packets_of_a_network(netns):
    netns.run_ip("link add br-x type bridge", "link add eth0 type bridge")  # rules with `iif` need the interfaces
    assert {rule: dropping(netns, rule) for rule in OF_NETWORK} == {rule: [(CHAIN, ["br-x"])] for rule in OF_NETWORK}
    assert {rule: dropping(netns, rule) for rule in NOT_OF_NETWORK} == {rule: [] for rule in NOT_OF_NETWORK}
