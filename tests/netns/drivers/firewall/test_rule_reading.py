"""hawse reads other programs' rules from the kernel, and finds the rule that drops a given packet."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from drivers.firewall import rule_reading
from drivers.firewall.packet_trace import rule_text
from drivers.firewall.packets import Packet
from drivers.firewall.rule_reading import Drop, find_drops
from drivers.linux import libnftables
from drivers.linux import netns as namespaces

pytestmark = pytest.mark.netns
PACKET = Packet("tcp", ip_address("172.31.0.3"), ip_address("172.31.0.2"), 80, "br-a", "br-b")
ANSWER = Packet("tcp", ip_address("172.31.0.2"), ip_address("172.31.0.3"), 0, state="established", source_port=80)
CHAIN = """table inet t {{
{sets}
chain deep {{ {deep}
}}
chain c {{
type filter hook forward priority 0
{rules}
}}
}}"""
DROPS = [
    "policy drop;",
    "tcp dport 80 drop",
    "ip daddr 172.31.0.0/16 drop",
    "ip saddr 172.31.0.3 ip daddr 172.31.0.2 tcp dport { 22, 80 } reject",
    "tcp dport 70-90 counter log drop",
    'iifname "br-*" drop',
    "meta l4proto tcp drop",
    "ct state new drop",
    "ct state established,related accept; drop",
    "tcp dport @ports drop",
    "ip daddr . tcp dport { 172.31.0.2 . 80 } drop",
    "tcp dport vmap { 80 : drop, 81 : accept }",
    "jump deep",
    "tcp dport != 22 drop",
    "tcp dport >= 80 tcp dport < 81 drop",
]
PASSES = [
    "",
    "policy drop; tcp dport 80 accept",
    "tcp dport 81 drop",
    "udp dport 80 drop",
    "ip6 daddr fd00::2 drop",
    "ip6 daddr != fd00::2 drop",
    "udp dport != 22 drop",
    "ip daddr 172.32.0.0/16 drop",
    "ct state established drop",
    "meta mark 7 drop",
    "tcp dport @others drop",
    "tcp flags syn limit rate over 1/second drop",
    "tcp dport > 80 drop",
    "goto deep; ",
]
UNCERTAIN = [
    "policy drop; tcp dport 90 accept",
    "meta mark 7 accept; drop",
    "tcp sport 5 jump deep; drop",
    "tcp dport vmap { 81 : accept }; drop",
    "limit rate 1/second accept; drop",
    "meta mark != 7 drop",
    f"ip daddr {{ 172.31.0.2, {', '.join(f'10.9.{n // 200}.{n % 200}' for n in range(300))} }} drop",
]
CERTAIN = [
    "limit rate 1/second log; tcp dport 90 drop; drop",
    "ip saddr 10.0.0.0/8 accept; drop",
    "jump deep",
]
SETS = "".join(f"set {n} {{\ntype inet_service\nelements = {{ {p} }}\n}}\n" for n, p in (("ports", 80), ("others", 81)))


def read(path, rules, deep, packet=PACKET, *, strict=False):
    def act():
        made = CHAIN.format(sets=SETS, deep=deep, rules=rules.replace("; ", "\n"))
        libnftables.run(f"add table inet t\ndelete table inet t\n{made}")
        return next((drop for _, drop in find_drops(rule_reading.read(), [("forward", packet)], strict=strict)), None)

    return namespaces.run_in_netns(path, act)


@pytest.mark.parametrize("rules", DROPS)
def test_a_drop_is_found(netns, rules):
    drop = read(netns.path, rules, "drop")
    assert isinstance(drop, Drop)
    assert drop.table == "inet t"


@pytest.mark.parametrize("rules", PASSES)
def test_no_drop_is_found_in_rules_that_may_accept_the_packet(netns, rules):
    assert read(netns.path, rules, "accept") is None


def test_ports_and_connection_state_of_an_answer_count(netns):
    assert read(netns.path, "tcp sport 80 drop", "", ANSWER) is not None
    assert read(netns.path, "tcp dport 80 drop", "", ANSWER) is None
    assert read(netns.path, "ct state established accept; drop", "", ANSWER) is None


def test_a_strict_reading_proves_nothing_after_a_rule_that_may_let_the_packet_pass(netns):
    packet = replace(PACKET, port=0)
    for rules in UNCERTAIN:
        assert read(netns.path, rules, "accept", packet, strict=True) is None, rules
    for rules in CERTAIN:
        assert read(netns.path, rules, "drop", packet, strict=True) is not None, rules


def test_a_hostile_table_name_is_not_run_as_a_command(netns):
    def act():
        libnftables.run("add table ip x\nadd chain ip x c\nadd rule ip x c drop")
        hostile = "ip x c; add table ip added; list chain ip x"
        return rule_text("ip x", "c", 2), rule_text(hostile, "c", 2), rule_text("ip x", "c; add table ip added", 2)

    assert namespaces.run_in_netns(netns.path, act) == ("drop", "", "")
    assert netns.run("nft", "list", "tables").stdout == "table ip x\n"
