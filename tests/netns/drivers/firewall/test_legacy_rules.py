"""hawse reads the rules of iptables-legacy from the kernel, and finds the rule that drops a given packet."""

import itertools
import subprocess
import time
from ipaddress import ip_address

import pytest

from drivers.firewall import legacy_rules
from drivers.firewall.legacy_tables import Dropping
from drivers.firewall.packets import Packet
from drivers.linux import netns as namespaces
from tests.conftest import loaded

pytestmark = pytest.mark.netns
PACKET = Packet("tcp", ip_address("172.31.0.3"), ip_address("172.31.0.2"), 80, "br-a", "br-b")
ANSWER = Packet("tcp", ip_address("172.31.0.2"), ip_address("172.31.0.3"), 0, state="established", source_port=80)
PACKET6 = Packet("udp", ip_address("fd31::3"), ip_address("fd31::2"), 53, "br-a", "br-b")
PING = Packet("icmp", ip_address("172.31.0.3"), ip_address("172.31.0.2"), 0)
DROPS = {
    "-P FORWARD DROP": 0,
    "-A FORWARD -j DROP": 1,
    "-A FORWARD -p tcp --dport 80 -j REJECT": 1,
    "-A FORWARD -d 172.31.0.0/16 -m comment --comment why -j DROP": 1,
    "-A FORWARD -s 172.31.0.3 -d 172.31.0.2 -p tcp --dport 70:90 -j DROP": 1,
    "-A FORWARD ! -s 10.0.0.0/8 -j DROP": 1,
    "-A FORWARD -i br-+ ! -o eth0 -j DROP": 1,
    "-A FORWARD -p tcp --syn -j DROP": 1,
    "-A FORWARD -m conntrack --ctstate NEW -j DROP": 1,
    "-A FORWARD -m state --state NEW -j DROP": 1,
    "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; -A FORWARD -p udp -j ACCEPT; "
    "-A FORWARD -m conntrack ! --ctstate ESTABLISHED -j DROP": 3,
    "-A FORWARD -m limit --limit 1/s -j DROP; -A FORWARD -j MARK; -t raw -A PREROUTING -j DROP; -P FORWARD DROP": 0,
    "-A deep -p tcp -j RETURN; -A FORWARD -j deep; -A FORWARD -j DROP": 2,
    "-A deep -p udp -j ACCEPT; -A FORWARD -g deep; -A FORWARD -j ACCEPT; -P FORWARD DROP": 0,
    "-t mangle -A FORWARD -j DROP": 1,
    "-A FORWARD ! -f -j DROP": 1,
}
PASSES = [
    "-A FORWARD -p tcp --dport 80 -j ACCEPT; -P FORWARD DROP",
    "-A FORWARD -p tcp --dport 81 -j DROP",
    "-A FORWARD -p tcp --sport 80 -j DROP",
    "-A FORWARD -p udp --dport 80 -j DROP",
    "-A FORWARD ! -d 172.31.0.0/16 -j DROP",
    "-A FORWARD -o eth0 -j DROP",
    "-A FORWARD -m conntrack --ctstate ESTABLISHED -j DROP",
    "-A FORWARD -m mark --mark 7 -j DROP",
    "-A FORWARD -m mark --mark 7 -j ACCEPT; -A FORWARD -j DROP",
    "-A FORWARD -m conntrack --ctstate DNAT -j ACCEPT; -A FORWARD -j DROP",
    "-A FORWARD -f -j DROP",
    "-A FORWARD ! -f -j ACCEPT; -P FORWARD DROP",
    "-A deep -j ACCEPT; -A FORWARD -j deep; -P FORWARD DROP",
    "-A INPUT -j DROP",
]


def read(netns, rules, packet=PACKET, program="iptables-legacy"):
    netns.sh("; ".join([
        *(f"{program} -P {chain} ACCEPT" for chain in ("FORWARD", "INPUT")),
        *(f"{program} -t {table} -F; {program} -t {table} -X" for table in ("raw", "mangle", "filter")),
        f"{program} -N deep",
        *(f"{program} {rule}" for rule in rules.split("; ") if rule),
    ]))  # fmt: skip
    drops = namespaces.run_in_netns(netns.path, lambda: list(legacy_rules.find_drops([("forward", packet)])))
    return drops[0][1] if drops else None


def test_a_drop_is_found(netns):
    for rules, number in DROPS.items():
        table = "mangle" if "mangle" in rules else "filter"
        expected = Dropping("iptables-legacy", table, "FORWARD", number)
        assert read(netns, rules.replace("-j MARK", "-j MARK --set-mark 1")) == expected, rules


def test_no_drop_is_claimed(netns):
    for rules in PASSES:
        assert read(netns, rules) is None, rules


def test_a_rule_in_another_chain_is_named(netns):
    assert read(netns, "-A deep -p udp -j DROP; -A deep -p tcp -j DROP; -A FORWARD -j deep") == Dropping(
        "iptables-legacy", "filter", "deep", 2
    )


def test_a_rule_for_answers_or_pings_drops_only_these(netns):
    assert read(netns, "-A FORWARD -p tcp --sport 80 -j DROP", ANSWER) is not None
    assert read(netns, "-A FORWARD -p tcp --dport 80 -j DROP", ANSWER) is None  # the client's port is unknown
    assert read(netns, "-A FORWARD -p tcp --tcp-flags ALL SYN,ACK -j DROP", ANSWER) is not None
    assert read(netns, "-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT; -P FORWARD DROP", ANSWER) is None
    assert read(netns, "-A FORWARD -p icmp --icmp-type echo-request -j DROP", PING) is not None
    assert read(netns, "-A FORWARD -p icmp --icmp-type echo-reply -j DROP", PING) is None
    assert read(netns, "-A FORWARD -p icmp --icmp-type 8/0 -j DROP", PING) is not None
    assert read(netns, "-A FORWARD -p icmp --icmp-type 8/1 -j DROP", PING) is None
    assert read(netns, "-A FORWARD -p icmp ! --icmp-type 8/1 -j DROP", PING) is not None
    assert read(netns, "-A FORWARD -p icmp --icmp-type any -j DROP", PING) is not None
    assert read(netns, "-A FORWARD -p tcp -j DROP", PING) is None


def test_rules_of_ip6tables_are_read_as_those_of_iptables(netns):
    for rules, drops in {
        "-A FORWARD -s fd31::/64 -d fd31::2 -i br-a -p udp --dport 53 -j REJECT": True,
        "-A FORWARD -d fd32::/64 -j DROP": False,
        "-A FORWARD -p udp ! --dport 53 -j DROP": False,
        "-A FORWARD -o br-a -j DROP": False,
        "-A deep -j ACCEPT; -A FORWARD -g deep; -P FORWARD DROP": False,
        "-A deep -j RETURN; -A FORWARD -g deep; -A FORWARD -j ACCEPT; -P FORWARD DROP": True,
    }.items():
        assert (read(netns, rules, PACKET6, "ip6tables-legacy") is not None) is drops, rules


def test_jumps_that_repeat_rules_very_often_take_little_time(netns):
    chains = [f"c{number}" for number in range(12)]
    jumps = [f"-A {a} -j {b}\n" * 8 for a, b in itertools.pairwise(["FORWARD", *chains])]
    made = "".join(f":{chain} - [0:0]\n" for chain in chains)
    rules = f"*filter\n:FORWARD DROP [0:0]\n{made}{''.join(jumps)}COMMIT\n"
    subprocess.run(["ip", "netns", "exec", netns.name, "iptables-legacy-restore"], input=rules, text=True, check=True)
    began = time.monotonic()
    assert not namespaces.run_in_netns(netns.path, lambda: list(legacy_rules.find_drops([("forward", PACKET)])))
    assert time.monotonic() - began < loaded(5)
