"""hawse reads the IPsec policies of the kernel, and finds the policy that stops a given packet."""

from ipaddress import ip_address

import pytest

from drivers.firewall.ipsec_policies import DIRECTIONS, IN, OUT, stopping
from drivers.firewall.packets import Packet
from drivers.linux import netns as namespaces

pytestmark = pytest.mark.netns
PACKET = Packet("tcp", ip_address("172.31.0.3"), ip_address("172.31.0.2"), 80)
PING6 = Packet("icmp", ip_address("fd31::3"), ip_address("fd31::2"), 0)
BLOCK = "dst 172.31.0.2 dir out priority 5 action block"
TUNNEL = "tmpl src 192.0.2.1 dst 192.0.2.2 proto esp mode tunnel"
STOPS = {
    BLOCK: "src 0.0.0.0/0 dst 172.31.0.2/32 action block",
    f"src 172.31.0.0/16 dir out {TUNNEL}": "src 172.31.0.0/16 dst 0.0.0.0/0, which requires IPsec",
    "src 172.31.0.0/16 proto tcp dport 80 dir fwd action block": "src 172.31.0.0/16 dst 0.0.0.0/0 action block",
    f"{BLOCK}; dst 172.31.0.0/24 dir in priority 1": "src 0.0.0.0/0 dst 172.31.0.2/32 action block",
    f"{BLOCK}; dst 172.31.0.0/24 dir out priority 6": "src 0.0.0.0/0 dst 172.31.0.2/32 action block",
    f"{BLOCK}; dst 172.31.0.0/24 dir out priority 5": "src 0.0.0.0/0 dst 172.31.0.2/32 action block",
    f"{BLOCK}; dst 172.31.0.0/24 proto udp dir out priority 1": "src 0.0.0.0/0 dst 172.31.0.2/32 action block",
    f"{BLOCK}; proto tcp dport 81 src 0.0.0.0/0 dir out": "src 0.0.0.0/0 dst 172.31.0.2/32 action block",
}
PASSES = [
    "src 172.31.0.0/16 dir out",
    "dst 172.31.0.4 dir out action block",
    "src 172.31.0.0/16 proto udp dport 1701 dir out action block",
    "src 172.31.0.0/16 proto tcp dport 81 dir out action block",
    "src 172.31.0.0/16 proto tcp sport 81 dir out action block",
    "src 172.31.0.0/16 dir out mark 7 action block",
    f"{BLOCK}; dst 172.31.0.0/24 dir out priority 4",
    f"dst 172.31.0.0/24 dir out priority 5; {BLOCK}",
    f"{BLOCK}; dst 172.31.0.0/24 dir out priority 4 mark 7",
    f"{BLOCK}; src 172.31.0.0/16 proto tcp dport 80 dir out",
]


def found(netns, policies, packet=PACKET, directions=DIRECTIONS):
    netns.sh("; ".join(["ip xfrm policy flush", *(f"ip xfrm policy add {words}" for words in policies.split("; "))]))
    return namespaces.run_in_netns(netns.path, lambda: stopping(packet, directions))


def test_the_policy_that_decides_is_named(netns):
    for policies, text in STOPS.items():
        assert found(netns, policies) == text, policies


def test_no_policy_is_named_if_another_decides_or_may_decide(netns):
    for policies in PASSES:
        assert found(netns, policies) == "", policies


def test_a_policy_counts_only_in_its_direction_and_ip_version(netns):
    assert found(netns, BLOCK, directions=[OUT])
    assert not found(netns, BLOCK, directions=[IN])
    assert not found(netns, BLOCK, PING6)
    assert found(netns, "src fd31::/64 proto ipv6-icmp dir out action block", PING6)
