"""The doctor names each fault in the kernel's state, and ``--fix`` repairs the fault.

Faults that do not affect each other are injected together, because each check of the host takes a second.
"""

from __future__ import annotations

import json
import re
import sys
import time

import pytest

from tests.conftest import loaded
from tests.netns.diagnosis.doctor.conftest import is_named
from tests.netns.drivers.firewall.test_rule_reading import DOCKER

pytestmark = pytest.mark.netns

ROUNDS = {
    "links of the host": (
        "ip link delete %(app_web)s; ip link set %(back)s down; ip link set %(app_db)s nomaster; "
        "ip addr flush dev %(strict)s",
        [
            ("container web", "missing port: %(app_web)s"),
            ("network back", "%(back)s is down"),
            ("container db", "%(app_db)s is not on %(app)s"),
            ("network strict", "missing address: 172.33.0.1/16 on %(strict)s"),
        ],
    ),
    "bridges and routes": (
        "ip link delete %(back)s; ip route delete 172.31.0.0/16; ip -6 route delete fd31::/64; "
        "ip link set %(app_web)s down",
        [
            ("network back", "missing bridge: %(back)s"),
            ("network app", "missing route: 172.31.0.0/16 on %(app)s, fd31::/64 on %(app)s"),
            ("container web", "%(app_web)s is down"),
        ],
    ),
    "sysctls": (
        "sysctl -qw net.ipv4.ip_forward=0 net.ipv4.conf.%(app)s.route_localnet=0 net.ipv6.conf.%(app)s.disable_ipv6=1 "
        "net.ipv6.conf.all.forwarding=0",
        [
            ("host", "IP forwarding is off: ipv4"),
            ("host", "IP forwarding is off: ipv6"),
            ("network app", "changed sysctl: net.ipv6.conf.%(app)s.disable_ipv6"),
            ("network app", "missing route_localnet: %(app)s"),
        ],
    ),
    "elements": (
        "nft delete element inet hawse any4 { tcp . 8080 }; nft delete element inet hawse bridges { %(app)s }; "
        "nft add element inet hawse any4 { tcp . 99 : 172.32.0.2 . 99 }; nft flush set bridge hawse ports",
        [
            ("firewall", "missing inet hawse any4: tcp . 8080"),
            ("firewall", "missing inet hawse bridges"),
            ("firewall", "foreign inet hawse any4: tcp . 99"),
            ("firewall", "missing bridge hawse ports"),
        ],
    ),
    "rules": (
        "nft flush chain inet hawse forward; nft delete table bridge hawse",
        [("firewall", "changed inet hawse forward: the rules"), ("firewall", "missing bridge hawse: the table")],
    ),
    "the table": ("nft delete table inet hawse", [("firewall", "missing inet hawse: the table")]),
    "everything": (
        "nft flush ruleset; ip link delete %(app)s; ip link delete %(app_web)s",
        [("firewall", "the table"), ("network app", "missing bridge: %(app)s")],
    ),
}
INSIDE = {
    "link": ("ip link delete eth0", ("container db", "missing")),
    "address": ("ip addr flush dev eth0", ("container web", "missing address: ")),
    "default route": ("ip route delete default; ip link set lo down", ("container honest", "missing default route")),
}


def test_a_healthy_host_has_no_fault_and_no_warning(patient):
    began = time.monotonic()
    assert patient.findings() == []
    assert time.monotonic() - began < loaded(10)


@pytest.mark.parametrize(("script", "expected"), ROUNDS.values(), ids=ROUNDS)
def test_the_doctor_names_a_fault_and_mends_it(patient, script, expected):
    patient.host.sh(script % patient.links)
    checks = patient.faults()
    for name, what in expected:
        assert is_named(checks, "fault", name, what % patient.links), (name, what, checks)
    after, repaired = patient.doctor("--fix")
    assert not [check for check in after if check["status"] == "fault"]
    for name, what in expected:
        assert any(line.startswith(name) and what % patient.links in line for line in repaired), repaired


def test_the_doctor_looks_into_containers(patient):
    for container, script in (("db", "link"), ("web", "address"), ("honest", "default route")):
        patient.inside(container, INSIDE[script][0])
    checks = patient.faults()
    for name, what in (expected for _, expected in INSIDE.values()):
        assert is_named(checks, "fault", name, what), (name, what, checks)
    patient.doctor("--fix")
    assert patient.findings() == []


def test_a_firewall_in_a_container_that_stops_its_resolver(patient):
    patient.inside("db", "nft 'add table inet mine; add chain inet mine c { type filter hook input priority 0; "
                         "policy drop; }'")  # fmt: skip
    patient.host.sh("ip route add blackhole 128.0.0.0/1")
    findings = patient.findings()
    patient.inside("db", "nft delete table inet mine")
    patient.host.sh("ip route del blackhole 128.0.0.0/1")
    (check,) = [check for check in findings if check["object"] == "container db"]
    assert "resolver at 127.0.0.11 does not answer" in check["what"]
    assert check["cause"].startswith("table inet mine chain c of db: it drops such packets by its policy")
    command = r"nsenter --net=\S+ nft insert rule inet mine c iifname lo accept"
    assert re.fullmatch(f"let the packets pass there: {command}", check["fix"])
    assert is_named(findings, "warning", "host", "it drops IPv4 packets to the outside (blackhole)")
    assert patient.findings() == []


def test_a_container_s_resolver_does_not_answer(patient):
    patient.inside("web", "nft delete table ip hawse_resolver")
    checks = patient.faults()
    assert is_named(checks, "fault", "container web", "missing redirection of the resolver: the table")
    assert is_named(checks, "fault", "container web", "its resolver at 127.0.0.11 does not answer")
    patient.doctor("--fix")
    assert patient.findings() == []


FOREIGN = {
    "policy": ("", "fault", "the chain 'inet other_policy c' drops forwarded packets"),
    "everything": ("counter drop", "fault", "the chain 'inet other_everything c' drops forwarded packets"),
    "subnet": ("ip daddr 172.31.0.0/16 drop", "fault", "'inet other_subnet c' drops packets of %(app)s"),
    "address": ("ip saddr 172.31.0.2 tcp dport 80 reject", "fault", "'inet other_address c' drops packets of %(app)s"),
    "larger": ("ip saddr 172.16.0.0/12 drop", "fault", "'inet other_larger c' drops packets of br-"),
    "ipv6": ("ip6 daddr fd31::/64 drop", "fault", "'inet other_ipv6 c' drops packets of %(app)s"),
    "interface": ('iifname "%(back)s" counter drop', "fault", "'inet other_interface c' drops packets of %(back)s"),
    "pattern": ('oifname "br-*" drop', "fault", "'inet other_pattern c' drops packets of br-"),
    "ports": ("tcp dport 80 drop", "warning", "'inet other_ports c' drops packets of some ports"),
}
HARMLESS = (
    "ct state invalid drop", "ip saddr 10.9.0.0/16 drop", 'iifname "eth9" drop', "ip daddr != 172.31.0.0/16 accept",
    "ip daddr 172.31.0.0/16 accept", "ip6 daddr fd31::/64 accept",
)  # fmt: skip


def foreign_table(name: str, rules: str, policy: str = "accept") -> str:
    chain = f"chain inet {name} c {{ type filter hook forward priority 10; policy {policy}; }}"
    return f"add table inet {name}; add {chain}; " + "; ".join(f"add rule inet {name} c {r}" for r in rules if r)


def test_foreign_firewalls_are_named_and_not_changed(patient):
    for name, (rule, *_) in FOREIGN.items():
        policy = "drop" if name == "policy" else "accept"
        patient.host.run("nft", foreign_table(f"other_{name}", [rule % patient.links], policy))
    checks = patient.findings()
    for status, what in ((status, what) for _, status, what in FOREIGN.values()):
        assert is_named(checks, status, "foreign firewall", what % patient.links), (what, checks)
    patient.host.run("nft", "; ".join(f"delete table inet other_{name}" for name in FOREIGN))


def test_a_foreign_firewall_that_drops_no_packets_of_hawse_is_not_reported(patient):
    zone = ("ct state established accept", "ct status dnat accept", f'oifname "{patient.links["app"]}" reject')
    patient.host.run("nft", f"{foreign_table('other', HARMLESS)}; {foreign_table('other', zone)}")
    assert patient.findings() == []
    patient.host.run("nft", "delete table inet other")


DEEP = {
    "inet jumps": ("forward", "chain d { drop; }", "ip saddr 172.31.0.0/16 jump d", "chain 'inet jumps d'"),
    "inet mapped": ("forward", "chain d { drop; }", "iifname vmap { %(app)s : goto d }", "chain 'inet mapped d'"),
    "inet named": (
        "forward", "set s { type ipv4_addr; flags interval; elements = { 172.31.0.0/16 }; }", "ip saddr @s drop", "app",
    ),
    "inet others": ("forward", "", 'oifname != "ext0" drop', "app"),
    "bridge frames": ("forward", "", "drop", "packets within app"),
    "arp asks": ("input", "", "drop", "ARP requests of app"),
    "arp replies": ("input", "", "arp operation reply accept; drop", "ARP requests of app"),
    "netdev port": ("ingress device %(app_web)s", "", "drop", "app"),
    "netdev way": ("ingress device ext0", "", "tcp dport 8080 drop", "packets from the outside to app"),
    "inet own": ("output", "", 'oifname "%(app)s" drop', "this host's own packets to app"),
}  # fmt: skip
BOGONS = (
    "set bogons { type ipv4_addr; flags interval; "
    "elements = { 0.0.0.0/8, 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24, 240.0.0.0/4 }; }"
)
BOGUS = "ip saddr @bogons drop; ip daddr @bogons drop; ip6 saddr 2001:db8::/32 drop; ip6 daddr 2001:db8::/32 drop"
UNPROVEN = {
    "inet bogons": ("forward", BOGONS, BOGUS),
    "inet early": ("prerouting", BOGONS, BOGUS),
    "inet uncertain": ("forward", "", "meta mark 7 accept; tcp dport 99 accept; udp dport 1-9 drop"),
    "arp one": ("input", "", "arp hlen 6 accept; drop"),
    "bridge one": ("forward", "", "ether type arp accept; ether saddr 02:00:00:00:00:01 drop"),
    "netdev listed": ("ingress device ext0", "", "ip saddr { 10.9.0.1, 10.9.0.2 } drop; tcp dport 8081 drop"),
}


def whole_table(name: str, hook: str, others: str, rules: str) -> str:
    base = f"type filter hook {hook} priority 5; {rules}".replace("; ", "\n")
    return f"table {name} {{\n{others}\nchain c {{\n{base}\n}}\n}}\n"


def test_rules_of_other_programs_are_followed_through_chains_and_sets_of_all_families(patient):
    made = [whole_table(name, hook, others, rules) for name, (hook, others, rules, _) in DEEP.items()]
    patient.host.sh(f"nft -f - <<'EOF'\n{''.join(made) % patient.links}EOF")
    checks = [check for check in patient.findings() if check["object"] == "foreign firewall"]
    patient.host.run("nft", "; ".join(f"delete table {name}" for name in DEEP))
    for name, (*_, what) in DEEP.items():
        of_table = [check for check in checks if f"'{name} " in check["what"]]
        assert [check["status"] for check in of_table] == ["warning" if name == "inet own" else "fault"], (name, checks)
        assert what in of_table[0]["what"]


def test_rules_that_may_let_all_packets_of_hawse_pass_are_not_reported(patient):
    made = [whole_table(name, *table) for name, table in UNPROVEN.items()]
    patient.host.sh(f"nft -f - <<'EOF'\n{''.join(made)}EOF")
    checks = patient.findings()
    patient.host.run("nft", "; ".join(f"delete table {name}" for name in UNPROVEN))
    assert checks == []


def test_the_policy_of_iptables_legacy_and_of_ebtables_is_reported(patient):
    patient.host.sh("iptables-legacy -P FORWARD DROP; ebtables -P FORWARD DROP")
    checks = patient.findings()
    patient.host.sh("iptables-legacy -P FORWARD ACCEPT; ebtables -P FORWARD ACCEPT; nft delete table bridge filter")
    for chain in ("iptables-legacy filter FORWARD", "bridge filter FORWARD"):
        assert is_named(checks, "fault", "foreign firewall", f"the policy of the chain '{chain}' drops packets"), checks
    assert patient.findings() == []


def test_an_overlapping_subnet_and_a_small_mtu_of_another_interface_are_warnings(patient):
    patient.host.sh(
        "ip link add tun9 type veth peer name tun8; ip addr add 172.31.9.1/24 dev tun9; ip link set ext0 mtu 1400"
    )
    checks = patient.findings()
    assert is_named(checks, "warning", "network app", "its subnet 172.31.0.0/16 overlaps with 172.31.9.1/24 on tun9")
    assert is_named(checks, "warning", "network app", "its MTU 1500 is larger than the MTU 1400 of ext0")
    patient.host.sh("ip link delete tun9; ip link set ext0 mtu 1500")


def test_addresses_neighbours_and_settings_of_other_programs_are_named(patient):
    """The doctor names addresses, neighbour entries and settings of other programs. It does not change them."""
    web, db = (patient.member("app", name)["IPv4Address"].partition("/")[0] for name in ("web", "db"))
    bridge, port = patient.links["app"], patient.links["app_web"]
    patient.host.sh(
        f"ip neigh replace {web} lladdr 02:00:00:00:00:99 dev {bridge} nud permanent; ip addr add {db}/32 dev lo; "
        f"ip link set {port} mtu 1400; sysctl -qw net.ipv4.conf.ext0.forwarding=0"
    )
    patient.inside("web", "ip neigh replace 172.31.0.1 lladdr 02:00:00:00:00:98 dev eth0 nud permanent")
    patient.inside("db", f"ip addr add {web}/16 dev eth0")
    checks = patient.faults()
    for name, what in (
        ("container web", f"this host takes {web} for 02:00:00:00:00:99"),
        ("container db", f"this host's packets to {db} stay on this host"),
        ("container web", "it takes 172.31.0.1 for 02:00:00:00:00:98"),
        ("container db", f"eth0 also has the address {web} of container web"),
        ("forwarding", "is off for packets from ext0"),
    ):
        assert is_named(checks, "fault", name, what), (name, what, checks)
    what = f"eth0 has the MTU 1500, but {bridge} has 1400, {port} has 1400"
    (small,) = [check for check in patient.findings() if check["what"] == what]
    assert (small["status"], small["object"]) == ("warning", "container web")
    patient.host.sh(small["fix"])
    patient.host.sh(
        f"ip neigh del {web} dev {bridge}; ip addr del {db}/32 dev lo; "
        f"sysctl -qw net.ipv4.conf.ext0.forwarding=1; ip route add blackhole {db}/32"
    )
    patient.inside("web", "ip neigh del 172.31.0.1 dev eth0")
    patient.inside("db", f"ip addr del {web}/16 dev eth0")
    assert is_named(patient.faults(), "fault", "container db", f"packets to {db} are dropped (blackhole)")
    patient.host.sh(f"ip route del blackhole {db}/32")
    assert patient.findings() == []


def test_another_default_gateway_is_a_warning_if_it_does_not_answer(patient):
    db = patient.member("app", "db")["IPv4Address"].partition("/")[0]
    own = "ip route add default via 172.31.0.1 metric 1"
    patient.inside("web", f"ip route replace default via {db}; {own}; ping -c 1 -W 1 {db}")
    assert patient.findings() == []
    patient.inside("web", "ip route replace default via 172.31.0.77; ping -c 1 -W 4 172.31.0.77 || true")
    (check,) = patient.findings()
    assert (check["status"], check["object"]) == ("warning", "container web")
    assert check["what"] == "its packets to other networks go to 172.31.0.77, which does not answer, not to 172.31.0.1"
    patient.inside("web", "ip route del default metric 1; ip route replace default via 172.31.0.1")
    assert patient.findings() == []


def test_a_default_route_lost_with_its_interface_is_a_warning(patient):
    patient.host.sh("ip route del default")
    assert patient.findings() == []
    patient.host.sh("ip route add default via 192.168.99.99; ip link set ext0 down")
    (check,) = patient.findings()
    assert (check["status"], check["object"], check["cause"]) == ("warning", "host", "ext0 is down")
    what = "it has no IPv4 default route, so containers reach no machine outside of its own networks"
    assert check["what"] == what
    assert check["fix"] == "ip link set ext0 up && ip route add default via ROUTER"
    patient.host.sh(check["fix"].replace("ROUTER", "192.168.99.99"))
    assert patient.findings() == []


def test_the_remedy_for_an_mtu_keeps_the_mtu_of_the_network(patient):
    patient.hawse("network", "create", "-o", "com.docker.network.driver.mtu=1400", "small")
    try:
        patient.hawse("run", "-d", "--name", "tunnelled", "--network", "small", "hostfs", "sleep", "600")
        patient.inside("tunnelled", "ip link set eth0 mtu 1500")
        (check,) = patient.findings()
        assert check["fix"].endswith(" ip link set eth0 mtu 1400")
        traced = patient.hawse("trace", "--format", "json", "host", "tunnelled", check=False).stdout
        assert json.loads(traced)["culprit"]["fix"] == f"lower it: {check['fix']}"
        patient.host.sh(check["fix"])
        assert patient.findings() == []
    finally:
        patient.hawse("rm", "-f", "tunnelled")
        patient.hawse("network", "rm", "small")


def test_an_mtu_below_that_of_ipv6_and_back_is_repaired_at_once(patient):
    """Without IPv6 sysctls of the bridge, its ports count as muted until the sysctls are repaired."""
    bridge = patient.links["app"]
    patient.host.sh(f"ip link set {bridge} mtu 900; ip link set {bridge} mtu 1500")
    assert is_named(patient.faults(), "fault", "network app", "accept_ra")
    after, _ = patient.doctor("--fix")
    assert [check for check in after if check["status"] == "fault"] == []


def test_what_drops_packets_silently(patient):
    """The doctor names flags, sysctls, queues, XDP programs and routing rules that drop packets."""
    port, xdp = patient.links["app_web"], f"{sys.executable} -m tests.netns.diagnosis.trace.xdp"
    patient.host.sh(
        f"bridge link set dev {port} flood off bcast_flood off; ip rule add from 172.31.0.0/16 unreachable pref 50; "
        f"{xdp} {patient.links['app_db']} on"
    )
    patient.peer.sh("ip link set v1 down")
    patient.inside("web", "ip link set eth0 arp off")
    patient.inside("db", "sysctl -qw net.ipv4.conf.eth0.arp_ignore=8")
    patient.inside("honest", "tc qdisc add dev eth0 root blackhole; ping -c1 -W1 172.33.0.1 || true")
    checks = patient.findings()
    try:
        for status, name, what in (
            ("fault", "container web", f"{port} has flood 0"),
            ("fault", "container web", "eth0 has ARP off"),
            ("fault", "container db", "net.ipv4.conf.eth0.arp_ignore lets eth0 answer no ARP request"),
            ("warning", "container db", f"{patient.links['app_db']} has an XDP program"),
            ("warning", "container honest", "the queueing discipline of eth0 drops packets: blackhole ("),
            ("fault", "network app", "this host drops packets of 172.31.0."),
            ("fault", "host", "ext0, the way out, has no carrier"),
        ):
            assert is_named(checks, status, name, what), (name, what, checks)
    finally:
        patient.host.sh(f"bridge link set dev {port} flood on bcast_flood on; ip rule del pref 50; "
                        f"{xdp} {patient.links['app_db']} off")  # fmt: skip
        patient.peer.sh("ip link set v1 up")
        patient.inside("web", "ip link set eth0 arp on")
        patient.inside("db", "sysctl -qw net.ipv4.conf.eth0.arp_ignore=0")
        patient.inside("honest", "tc qdisc del dev eth0 root")
    assert patient.findings() == []


def test_static_forwarding_entries_and_arp_of_the_gateway(patient):
    bridge, port, mac = patient.links["app"], patient.links["app_db"], patient.member("app", "web")["MacAddress"]
    patient.host.sh(
        f"bridge fdb replace {mac} dev {bridge} self permanent; sysctl -qw net.ipv4.conf.{bridge}.arp_ignore=8"
    )
    checks = patient.faults()
    patient.host.sh(f"bridge fdb del {mac} dev {bridge} self; sysctl -qw net.ipv4.conf.{bridge}.arp_ignore=0")
    right = patient.links["app_web"]
    assert is_named(checks, "fault", "container web", f"for its MAC {mac} to {bridge} instead of {right}"), checks
    assert is_named(checks, "fault", "network app", f"{bridge} answer no ARP request"), checks
    patient.host.sh(f"bridge fdb replace {mac} dev {port} master static")
    checks = patient.faults()
    patient.host.sh(f"bridge fdb del {mac} dev {port} master || true")  # a frame from web removes the entry too
    assert is_named(checks, "fault", "container web", f"for its MAC {mac} to {port} instead of {right}"), checks


def test_loopback_arp_of_the_uplink_and_policies_of_ipsec(patient):
    web = patient.member("app", "web")["IPv4Address"]
    patient.host.sh(f"ip link set lo down; ip link set ext0 arp off; "
                    f"ip xfrm policy add src 0.0.0.0/0 dst {web.partition('/')[0]} dir fwd action block")  # fmt: skip
    patient.inside("db", "ip xfrm policy add src 172.31.0.0/16 dst 0.0.0.0/0 dir out action block")
    patient.inside("honest", "ip link set lo down")
    faults = patient.faults()
    patient.host.sh("ip link set lo up; ip link set ext0 arp on; ip xfrm policy flush")
    patient.inside("db", "ip xfrm policy flush")
    for name, what in (
        ("host", "lo is down"),
        ("host", "ext0, the way out, has ARP off"),
        ("container web", "an IPsec policy blocks its packets: src 0.0.0.0/0 dst 172.31.0."),
        ("container db", "an IPsec policy blocks its packets: src 172.31.0.0/16 dst 0.0.0.0/0"),
        ("container honest", "changed interface: lo is down"),
    ):
        assert is_named(faults, "fault", name, what), (name, what, faults)
    _, repaired = patient.doctor("--fix")
    assert "container honest: changed interface: lo is down" in repaired
    assert patient.findings() == []


TRANSLATING = {
    "first": ("nat hook prerouting priority -110", "tcp dport 8080 redirect to :92",
              "fault", "sends packets to the published port 8080/tcp of web elsewhere"),
    "same": ("nat hook output priority -100", "tcp dport 8080 dnat ip to 10.9.9.9:80",
             "fault", "sends packets to the published port 8080/tcp of web elsewhere"),
    "later": ("nat hook prerouting priority -90", "tcp dport 8080 redirect to :93", "", ""),
    "others": ("nat hook prerouting priority -110", "tcp dport 8081 redirect to :94", "", ""),
    "raw": ("filter hook prerouting priority -300", "ip saddr 172.31.0.0/16 notrack",
            "fault", "exempts packets of app from connection tracking"),
    "raw_port": ("filter hook prerouting priority -300", "tcp dport 8080 notrack",
                 "fault", "exempts packets of the published port 8080/tcp of web from connection tracking"),
}  # fmt: skip


def test_rules_that_keep_hawse_from_translating_addresses(patient):
    for name, (hook, rule, *_) in TRANSLATING.items():
        patient.host.sh(
            f"nft 'add table inet {name}; add chain inet {name} c {{ type {hook}; }}; add rule inet {name} c {rule}'"
        )
    findings = patient.findings()
    for name, (*_, status, what) in TRANSLATING.items():
        patient.host.sh(f"nft delete table inet {name}")
        named = [check["status"] for check in findings if f"'inet {name} c' {what}" in check["what"]]
        assert named == ([status] if status else []), (name, findings)
    assert patient.findings() == []


@pytest.mark.parametrize(("program", "status"), [("iptables-nft", "fault"), ("iptables-legacy", "warning")])
def test_rules_of_docker_for_the_published_port(patient, program, status):
    """The order of hawse's rules and those of iptables-legacy is not known. Each rule is reported once."""
    patient.host.sh(DOCKER.format(program))
    drops = patient.findings()
    patient.host.sh(f"{program} -t nat -F; {program} -t nat -X")
    chain = "ip nat DOCKER" if program == "iptables-nft" else "iptables-legacy nat DOCKER"
    what = f"a rule of the chain '{chain}' sends packets to the published port 8080/tcp of web elsewhere"
    assert len(drops) == 1
    assert is_named(drops, status, "foreign firewall", what), drops


def test_a_mac_that_is_longer_than_that_of_the_interface(patient):
    """The kernel sets the first six bytes of an address of eight bytes (EUI-64). The doctor compares only these."""
    patient.hawse("run", "-d", "--network", "strict", "--mac-address", "02:42:ac:21:00:99:aa:bb", "--name", "long",
                  "hostfs", "sleep", "1d")  # fmt: skip
    address = patient.member("strict", "long")["IPv4Address"].partition("/")[0]
    try:
        patient.host.sh(f"ping -c1 -W2 {address}")
        patient.inside("long", "ping -c1 -W2 172.33.0.1")
        assert patient.findings() == []
    finally:
        patient.hawse("rm", "-f", "long")


def test_routes_and_rules_in_a_container_that_drop_its_packets(patient):
    patient.inside("web", "ip route add blackhole 128.0.0.0/1; ip -6 rule add prohibit pref 5")
    patient.inside("db", "ip addr add 172.31.0.1/32 dev lo")
    checks = patient.findings()
    patient.inside("web", "ip route del blackhole 128.0.0.0/1; ip -6 rule del pref 5")
    patient.inside("db", "ip addr del 172.31.0.1/32 dev lo")
    for status, name, what in (
        ("warning", "container web", "its packets to other networks are dropped (blackhole)"),
        ("fault", "container web", "its packets to the gateway fd31::1 are dropped (prohibit)"),
        ("fault", "container db", "it has the address 172.31.0.1 of its gateway itself"),
    ):
        assert is_named(checks, status, name, what), (name, what, checks)
    assert patient.findings() == []


def test_the_remedy_for_a_container_or_an_adopted_namespace_can_be_pasted(patient, netns):
    adopted = f"netns:{netns.name}"
    patient.hawse("network", "connect", "app", adopted)
    netns.sh("sysctl -qw net.ipv4.conf.eth0.arp_ignore=8")
    patient.inside("web", "sysctl -qw net.ipv4.conf.eth0.arp_ignore=8")
    checks = patient.faults()
    assert {check["object"] for check in checks} == {f"container {adopted}", "container web"}
    for check in checks:
        patient.host.sh(check["fix"])
    assert patient.findings() == []
    patient.hawse("network", "disconnect", "app", adopted)


def test_an_mtu_that_is_too_small_for_ipv6_is_raised(patient):
    patient.inside("web", "ip link set eth0 mtu 600")
    assert is_named(patient.faults(), "fault", "container web", "eth0 has the MTU 600, which is too small for IPv6")
    _, repaired = patient.doctor("--fix")
    assert "container web: changed interface: eth0 has the MTU 600, which is too small for IPv6" in repaired
    assert any(line.startswith("container web: missing address: fd31::") for line in repaired)
    patient.inside("web", "ip link set eth0 mtu 1500")
    assert patient.findings() == []


def test_another_mac_of_an_interface_is_one_fault_and_is_replaced(patient):
    what = "changed interface: eth0 has the MAC 02:00:00:00:00:97"
    patient.inside("honest", "ip link set eth0 address 02:00:00:00:00:97")
    assert [(check["object"], check["what"]) for check in patient.faults()] == [("container honest", what)]
    _, repaired = patient.doctor("--fix")
    assert f"container honest: {what}" in repaired
    patient.inside("honest", f"ip link show eth0 | grep -q {patient.member('strict', 'honest')['MacAddress']}")
    assert patient.findings() == []


def test_another_mac_of_a_macvlan_interface_is_named(patient):
    """The doctor itself compares the MAC of a macvlan interface with the record, because the driver does not.

    A driver that compares the MAC sets `DriverFacts.compares_mac`.
    """
    patient.hawse("network", "create", "-d", "macvlan", "--subnet", "172.35.0.0/16", "-o", "parent=ext0", "lan")
    patient.hawse("run", "-d", "--network", "lan", "--name", "guest", "hostfs", "sleep", "1d")
    mac = patient.member("lan", "guest")["MacAddress"]
    patient.inside("guest", "ip link set eth0 address 02:00:00:00:00:96")
    checks = patient.faults()
    patient.hawse("rm", "-f", "guest")
    patient.hawse("network", "rm", "lan")
    assert [(c["object"], c["what"]) for c in checks] == [
        ("container guest", f"eth0 has the MAC 02:00:00:00:00:96 instead of {mac}")
    ]
    assert patient.findings() == []


def test_an_object_that_cannot_be_repaired_keeps_no_other_object_from_repair(patient):
    bridge, strict = patient.links["app"], patient.links["strict"]
    patient.host.sh(f"ip link del {bridge}; ip link add {bridge} type veth peer name other9")
    patient.host.sh(f"ip addr flush dev {strict}")
    assert is_named(patient.faults(), "fault", "network app", f"{bridge} is a veth, not a bridge")
    after, repaired = patient.doctor("--fix")
    patient.host.sh("ip link del other9")
    failed = next(check for check in after if (check["object"], check["what"]) == ("network app", "cannot be repaired"))
    assert failed["cause"] == f"existing interface {bridge} is not a bridge"
    assert any(line.startswith("network strict: missing address") for line in repaired), (after, repaired)
    patient.doctor("--fix")
    assert patient.findings() == []


def test_network_verify_reports_and_repairs_faults_of_one_network(patient):
    assert patient.hawse("network", "verify", "app").stdout == "ok\n"
    patient.host.sh(f"ip link set {patient.links['app_web']} down")
    patient.host.run("nft", "delete element inet hawse any4 { tcp . 8080 }")
    verified = patient.hawse("network", "verify", "app", check=False)
    assert verified.returncode == 1
    assert f"changed: port {patient.links['app_web']} is down\n" in verified.stdout
    assert "missing: inet hawse any4 tcp . 8080" in verified.stdout
    repaired = patient.hawse("network", "verify", "--fix", "app")
    assert repaired.stdout.splitlines() == [f"repaired: {line}" for line in verified.stdout.splitlines()]
    assert patient.hawse("network", "verify", "app").stdout == "ok\n"
    assert patient.hawse("network", "verify", "nosuch", check=False).stderr.endswith("network nosuch not found\n")


def test_network_verify_knows_the_default_bridge_as_the_first_command_of_a_host(host):
    assert host.hawse("network", "verify", "bridge").stdout == "ok\n"


def test_a_bridge_that_answers_arp_for_its_isolated_containers_is_no_fault(patient):
    patient.hawse("network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "apart")
    for name in ("one", "two"):
        patient.hawse("run", "-d", "--network", "apart", "--name", name, "hostfs", "sleep", "1d")
    two = patient.member("apart", "two")["IPv4Address"].partition("/")[0]
    patient.inside("one", f"ping -c1 -W1 {two} || ip neigh show {two} | grep -q lladdr")
    assert not patient.faults()
    patient.hawse("rm", "-f", "one", "two")
    patient.hawse("network", "rm", "apart")


def test_the_host_has_lost_the_address_of_a_published_port(patient):
    patient.host.sh("ip address add 192.168.99.78/24 dev ext0")
    patient.hawse("run", "-d", "--network", "app", "--name", "shown", "-p", "192.168.99.78:8078:80",
                  "hostfs", "sleep", "1d")  # fmt: skip
    try:
        assert not patient.findings()
        patient.host.sh("ip address del 192.168.99.78/24 dev ext0")
        what = "it publishes ports on 192.168.99.78, which the host has lost"
        assert is_named(patient.findings(), "warning", "container shown", what)
    finally:
        patient.hawse("rm", "-f", "shown")


def test_a_host_address_that_no_interface_has_is_no_fault(patient):
    """A local route may have the address, or another host for now (VRRP). A routed network ignores the address."""
    patient.host.sh("ip route add local 10.77.0.0/24 dev lo; sysctl -qw net.ipv4.ip_nonlocal_bind=1")
    routed = ("-o", "com.docker.network.bridge.gateway_mode_ipv4=routed")
    patient.hawse("network", "create", *routed, "--subnet", "172.39.0.0/16", "routed")
    for name, network, port in (("local", "app", "10.77.0.5:8077:80"), ("standby", "app", "192.168.99.79:8079:80"),
                                ("open", "routed", "192.168.99.80:8080:80")):  # fmt: skip
        patient.hawse("run", "-d", "--network", network, "--name", name, "-p", port, "hostfs", "sleep", "1d")
    try:
        assert not patient.findings()
        patient.host.sh("sysctl -qw net.ipv4.ip_nonlocal_bind=0")
        (finding,) = patient.findings()
        assert finding["object"] == "container standby"
    finally:
        patient.host.sh("ip route del local 10.77.0.0/24 dev lo; sysctl -qw net.ipv4.ip_nonlocal_bind=0")
        patient.hawse("rm", "-f", "local", "standby", "open")
        patient.hawse("network", "rm", "routed")
