"""hawse reads other programs' rules from the kernel, and finds the rule that drops a given packet."""

import itertools
import time
from ipaddress import ip_address

import pytest
from msgspec.structs import replace

from drivers.firewall import legacy_rules, rule_reading, table_structure
from drivers.firewall.packet_trace import rule_text
from drivers.firewall.packets import Packet
from drivers.firewall.rule_reading import Drop, find_drops, find_statements
from drivers.linux import libnftables
from drivers.linux import netns as namespaces
from tests.conftest import loaded
from tests.netns.nftables_messages import NEW_CHAIN, NEW_TABLE, change_tables

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
    "tcp dport vmap { 80 : continue }; drop",
    "jump deep",
    "tcp dport != 22 drop",
    "tcp dport >= 80 tcp dport < 81 drop",
]
PASSES = [
    "",
    "policy drop; tcp dport 80 accept",
    "tcp dport 81 drop",
    "tcp dport vmap { 80 : continue, 81 : drop }",
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


def test_a_type_of_icmp_counts_only_for_its_ip_version(netns):
    pings = {version: Packet("icmp", ip, ip, 0) for version, ip in ((4, PACKET.source), (6, ip_address("fd31::3")))}
    for version, rules in ((4, "icmp type echo-request drop"), (6, "icmpv6 type echo-request drop")):
        for of_packet, packet in pings.items():
            assert bool(read(netns.path, rules, "", packet)) == (of_packet == version), (rules, packet)


def test_a_strict_reading_proves_nothing_after_a_rule_that_may_let_the_packet_pass(netns):
    packet = replace(PACKET, port=0)
    for rules in UNCERTAIN:
        assert read(netns.path, rules, "accept", packet, strict=True) is None, rules
    for rules in CERTAIN:
        assert read(netns.path, rules, "drop", packet, strict=True) is not None, rules


@pytest.mark.parametrize("condition", ["", "tcp dport @many "])
def test_jumps_that_repeat_rules_very_often_take_little_time(netns, condition):
    chains = ["c", *(f"c{number}" for number in range(12 if not condition else 5))]
    jumps = "".join(f"chain {a} {{\n{f'{condition}jump {b}; ' * 8}\n}}\n" for a, b in itertools.pairwise(chains))
    many = ", ".join(str(port) for port in range(1, 6000))

    def act():
        sets = f"set many {{ type inet_service; elements = {{ {many} }}; }}\n"
        base = "chain base { type filter hook forward priority 0; policy drop; jump c; }\n"
        libnftables.run(f"table inet t {{\n{sets}chain {chains[-1]} {{ }}\n{jumps}{base}}}")
        tables = rule_reading.read()
        began = time.monotonic()
        return list(find_drops(tables, [("forward", PACKET)])), time.monotonic() - began

    drops, seconds = namespaces.run_in_netns(netns.path, act)
    assert not drops
    assert seconds < loaded(5)


def test_a_hostile_table_name_is_not_run_as_a_command(netns):
    def act():
        libnftables.run("add table ip x\nadd chain ip x c\nadd rule ip x c drop")
        hostile = "ip x c; add table ip added; list chain ip x"
        return rule_text("ip x", "c", 2), rule_text(hostile, "c", 2), rule_text("ip x", "c; add table ip added", 2)

    assert namespaces.run_in_netns(netns.path, act) == ("drop", "", "")
    assert netns.run("nft", "list", "tables").stdout == "table ip x\n"


IPTABLES_DROPS = [
    "-A FORWARD -p tcp -m multiport --dports 22,70:90 -j DROP",
    "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; -A FORWARD -j DROP",
    "-A FORWARD -m conntrack --ctstate NEW -m comment --comment why -j REJECT",
    "-A FORWARD ! -s 10.0.0.0/8 -m addrtype ! --dst-type LOCAL -j DROP",
    "-A FORWARD -m addrtype --src-type LOCAL -j ACCEPT; -P FORWARD DROP",
]
IPTABLES_PASSES = [
    "-A FORWARD -p tcp -m multiport ! --dports 22,80 -j DROP",
    "-A FORWARD -p tcp -m multiport --sports 80 -j DROP",
    "-A FORWARD -m conntrack --ctstate NEW -j ACCEPT; -P FORWARD DROP",
    "-A FORWARD -m addrtype --dst-type LOCAL -j DROP",
    "-A FORWARD -p tcp -m multiport --ports 80 -j ACCEPT; -A FORWARD -j DROP",
    "-A FORWARD -m physdev ! --physdev-is-bridged -j ACCEPT; -P FORWARD DROP",
    "-A FORWARD -m physdev --physdev-is-bridged -j DROP",
]


@pytest.mark.parametrize("program", ["iptables-nft", "iptables-legacy"])
def test_matches_of_iptables_are_evaluated(netns, program):
    """nftables' JSON form has only the names of these matches, so hawse reads their structures from the kernel."""
    netns.sh("ip addr add 192.0.2.1/32 dev lo")

    def drops():
        steps = [("forward", PACKET)]
        return [*find_drops(rule_reading.read(), steps), *legacy_rules.find_drops(steps)]

    for rules, expected in [*((r, 1) for r in IPTABLES_DROPS), *((r, 0) for r in IPTABLES_PASSES)]:
        netns.sh("; ".join(f"{program} {rule}" for rule in ["-F", "-P FORWARD ACCEPT", *rules.split("; ")]))
        assert len(namespaces.run_in_netns(netns.path, drops)) == expected, rules


DOCKER = """{0} -t nat -N DOCKER
{0} -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
{0} -t nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
{0} -t nat -A DOCKER -i docker0 -j RETURN
{0} -t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.18.0.2:80
"""
"""The rules by which Docker publishes a port; {0} is the program, such as iptables-nft."""
NO_TRACKING = "{0} -t raw -A PREROUTING -p tcp --dport 8081 -j CT --notrack"


@pytest.mark.parametrize(("older", "newer"), [("", "add table inet hawse"), ("add table inet hawse", "")])
def test_rules_of_docker_that_translate_a_destination(netns, older, newer):
    """Of two chains with the priority -100, the kernel uses the newer one first."""
    published = Packet("tcp", ip_address("198.51.100.7"), ip_address("192.0.2.1"), 8080, "ext0")
    others = [replace(published, port=8081), replace(published, destination=ip_address("192.0.2.2")),
              replace(published, received="docker0"), replace(published, protocol="udp")]  # fmt: skip
    netns.sh("ip addr add 192.0.2.1/32 dev lo; ip route add 192.0.2.2 dev lo")
    rules = DOCKER + NO_TRACKING
    for command in (older, *(rules.format(program) for program in ("iptables-nft", "iptables-legacy")), newer):
        netns.sh(f"nft '{command}'" if command.startswith("add") else command)

    def matching(statements):
        steps = [("prerouting", packet) for packet in (published, *others)]
        return list(find_statements(rule_reading.read(), steps, statements))

    ((packet, rule),) = namespaces.run_in_netns(netns.path, lambda: matching(rule_reading.TRANSLATIONS))
    assert (packet, rule.table, rule.chain, rule.precedes_dnat) == (published, "ip nat", "DOCKER", bool(older))
    ((packet, rule),) = namespaces.run_in_netns(netns.path, lambda: matching(rule_reading.UNTRACKED))
    assert (packet.port, rule.table, rule.chain) == (8081, "ip raw", "PREROUTING")
    legacy = namespaces.run_in_netns(
        netns.path, lambda: list(legacy_rules.find_translations([("prerouting", p) for p in (published, *others)]))
    )
    assert legacy == [(published, ("iptables-legacy", "nat", "DOCKER", 2))]


NAMES = ("x; add table ip added", "x\nadd table ip added", 'x; include "/etc/passwd"', "a\x1b[2Jb", "\udcff\udcfe", "{")


def make_table(name: str, chain: str) -> None:
    """Make a table with a chain by netlink messages, because nft refuses special characters in a name."""
    table, in_table = (text.encode(errors="surrogateescape") + b"\0" for text in (name, chain))
    change_tables((NEW_TABLE, {1: table}), (NEW_CHAIN, {1: table, 3: in_table}))


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_in_the_kernel_do_not_change_what_is_read(netns, name):
    def act():
        libnftables.run("add table ip honest; add chain ip honest c")
        make_table(name, "c")
        make_table("plain", name)
        return rule_reading.read()

    tables = namespaces.run_in_netns(netns.path, act)
    assert ("ip", "honest") in tables
    assert set(tables) <= {("ip", "honest"), ("ip", "plain")}
    assert ("ip", "added") not in namespaces.run_in_netns(netns.path, table_structure.handles)
