"""``hawse trace`` names iptables rules, entries of /etc/hosts, stopped containers, lost links and a killed agent."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess

import pytest

from drivers.linux.process import is_owner_running
from engine.agent.client import take_lock
from tests.conftest import until

pytestmark = pytest.mark.netns


def fault(lab, source, target, *flags):
    """Return kind and object of the culprit; the target must not be reachable."""
    traced = lab.trace(*flags, source, target)
    assert traced["culprit"] is not None, traced
    assert (traced["reachable"], traced["code"]) == (False, 1), traced
    return traced["culprit"]["kind"], traced["culprit"]["object"]


@pytest.mark.parametrize(
    ("place", "inject", "undo", "source", "target", "kind", "word"),
    [
        ("host", "iptables-legacy -I FORWARD -p tcp --dport 80 -j DROP", "iptables-legacy -F FORWARD",
         "outside", "published:8080", "foreign-firewall", "iptables-legacy table filter chain FORWARD"),
        ("host", "iptables-legacy -P FORWARD DROP", "iptables-legacy -P FORWARD ACCEPT",
         "outside", "published:8080", "foreign-firewall", "iptables-legacy table filter chain FORWARD"),
        ("web", "iptables-legacy -A INPUT -p tcp --dport 80 -j DROP", "iptables-legacy -F INPUT",
         "db", "web:80", "container-firewall", "iptables-legacy"),
        ("host", "iptables-nft -I FORWARD -p tcp --dport 80 -j REJECT", "nft delete table ip filter",
         "outside", "published:8080", "foreign-firewall", "ip filter chain FORWARD"),
        ("host", "nft 'add table netdev foreign; add chain netdev foreign c { type filter hook ingress device WEB "
         "priority 0; }; add rule netdev foreign c tcp sport 80 drop'", "nft delete table netdev foreign",
         "db", "web:80", "foreign-firewall", "netdev foreign"),
        ("db",
         "nft 'add table arp foreign; add chain arp foreign c { type filter hook input priority 0; policy drop; }'; "
         "ip neigh flush dev eth0", "nft delete table arp foreign", "db", "web:80", "container-firewall",
         "arp foreign"),
        ("host", "nft 'add table ip foreign; add chain ip foreign c { type nat hook prerouting priority -150; }; "
         "add rule ip foreign c tcp dport 8080 dnat to 172.31.0.3:99'", "nft delete table ip foreign",
         "outside", "published:8080", "foreign-firewall", "ip foreign chain c"),
        ("host", "bridge link set dev WEB state 0", "bridge link set dev WEB state 3",
         "db", "web:80", "not-in-bridge", "WEB"),
        ("web", "sysctl -qw net.ipv4.icmp_echo_ignore_all=1", "sysctl -qw net.ipv4.icmp_echo_ignore_all=0",
         "db", "web", "container-firewall", "icmp_echo_ignore_all"),
        ("host", "ip route add blackhole 203.0.113.0/24", "ip route del blackhole 203.0.113.0/24",
         "db", "203.0.113.7:80", "wrong-route", "203.0.113.7"),
        ("peer", "nft 'add table ip foreign; "
         "add chain ip foreign c { type filter hook input priority 0; policy drop; }'",
         "nft delete table ip foreign", "db", "192.168.99.99:91", "peer-unreachable", "192.168.99.99"),
        ("peer", ":", ":", "db", "192.168.99.99:4444", "port-not-listening", "192.168.99.99"),
        ("db", "ip rule add to 172.31.0.2 blackhole pref 100", "ip rule del pref 100",
         "db", "web:80", "wrong-route", "172.31.0.2"),
    ],
)  # fmt: skip
def test_the_injected_fault_is_the_culprit(lab, place, inject, undo, source, target, kind, word):
    port = lab.port("web")
    lab.at(place, inject.replace("WEB", port))
    try:
        culprit = fault(lab, source, target)
    finally:
        lab.at(place, undo.replace("WEB", port))
    assert culprit[0] == kind
    assert word.replace("WEB", port) in culprit[1]


def test_rules_of_iptables_legacy_are_found_without_a_probe(lab):
    established = "iptables-legacy -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    lab.at("host", f"{established}; iptables-legacy -A FORWARD -i ext0 -p tcp --dport 80 -j DROP")
    lab.at("web", "iptables-legacy -A INPUT ! -i lo -p tcp --dport 80 -j REJECT")
    try:
        assert fault(lab, "outside", "published:8080", "--dry") == (
            "foreign-firewall", "iptables-legacy table filter chain FORWARD")  # fmt: skip
        assert fault(lab, "db", "web:80", "--dry") == (
            "container-firewall", "iptables-legacy table filter chain INPUT of web")  # fmt: skip
        lab.at("host", "iptables-legacy -I FORWARD -p tcp --dport 80 -j ACCEPT")
        lab.at("web", "iptables-legacy -I INPUT -s 172.31.0.0/16 -j ACCEPT")
        assert lab.trace("--dry", "db", "web:80")["reachable"] is True
    finally:
        lab.at("host", "iptables-legacy -F FORWARD")
        lab.at("web", "iptables-legacy -F INPUT")


@pytest.mark.parametrize("target", ["192.168.99.99:91", "fd99::99"])
def test_a_path_outside_with_a_small_mtu(lab, target):
    wire = f"v{lab.host.index}"
    lab.at("peer", f"ip link set {wire} mtu 1400")
    try:
        traced = lab.trace("db" if "." in target else "host", target)
        assert (traced["reachable"], traced["culprit"]["kind"], traced["culprit"]["where"]) == (False, "mtu", "outside")
    finally:
        lab.at("peer", f"ip link set {wire} mtu 1500; ip link set br0 mtu 1500")


def test_a_stale_name_in_the_hosts_file(lab):
    lab.hawse("exec", "third", "sh", "-c", "echo 172.31.0.99 web >> /etc/hosts")
    assert fault(lab, "third", "web:80") == ("name-stale", "name web")


def test_a_stopped_container_is_the_culprit_at_either_end(lab):
    lab.containers(brief=["--network", "app", "-p", "8099:80"])
    lab.hawse("stop", "-t0", "brief")
    assert fault(lab, "db", "brief:80") == ("container-stopped", "container brief")
    assert fault(lab, "brief", "db:80") == ("container-stopped", "container brief")
    assert fault(lab, "host", "brief") == ("container-stopped", "container brief")
    assert fault(lab, "outside", "published:8099") == ("container-stopped", "container brief")
    lab.hawse("rm", "brief")


@pytest.mark.parametrize("flags", [(), ("--dry",)])
def test_a_lost_bridge_or_interface_is_the_culprit(lab, flags):
    lab.networks(fragile=["--subnet", "172.36.0.0/16"])
    paths = lab.containers(
        one=["--network", "fragile", "--ip", "172.36.0.2"], two=["--network", "fragile", "--ip", "172.36.0.3"]
    )
    lab.serve(paths["one"], 80)
    bridge = lab.bridge("fragile")
    try:
        lab.host.sh(f"ip link del {lab.port('one')}")
        kind, what = fault(lab, "two", "172.36.0.2:80", *flags)
        assert (kind, "eth0 of one" in what, lab.port("one") in what) == ("interface-missing", True, True)
        lab.host.sh(f"ip link del {bridge}")
        culprit = lab.trace(*flags, "host", "172.36.0.2:80")["culprit"]
        assert (culprit["kind"], culprit["object"]) == ("bridge-missing", f"bridge {bridge} of network fragile")
        assert culprit["fix"] == "repair it: hawse network verify --fix fragile"
        hops = lab.trace(*flags, "host", "172.36.0.2:80")["hops"]
        assert [hop["ok"] for hop in hops if bridge in hop["what"]] == [False], hops
        if not flags:
            lab.host.hawse("network", "verify", "--fix", "fragile", check=False)
            assert lab.trace("two", "172.36.0.2:80")["reachable"] is True
    finally:
        lab.hawse("rm", "-f", "one", "two")
        lab.hawse("network", "rm", "fragile")


def test_a_killed_agent_is_the_culprit_of_names(lab):
    """The agent, the guard and the supervisor are killed together, so that none of them restarts another.

    Because every hawse command would start the agent again, the test holds the agent's lock.
    """

    def locked():
        owners = [path.read_text() for path in lab.host.run_dir.glob("*.lock")]
        for owner in owners:
            if is_owner_running(owner):
                os.kill(int(owner.partition(":")[0]), signal.SIGKILL)
        return take_lock(lab.host.run_dir)

    lock = until(locked)
    try:
        assert fault(lab, "db", "web:80") == ("agent-down", "agent of hawse")
        assert lab.trace("db", "172.31.0.2:80")["reachable"] is True
    finally:
        os.close(lock)
        lab.hawse("ps")
        lab.hawse("network", "create", "again")
        lab.hawse("network", "rm", "again")
        until(lambda: lab.trace("db", "web:80")["reachable"])


def test_the_remedy_for_a_redirection_names_the_container_with_the_rule(lab):
    lab.at("db", "nft 'add table ip foreign; add chain ip foreign c { type nat hook output priority -100; }; "
                 "add rule ip foreign c tcp dport 80 dnat to 172.31.0.4:99'")  # fmt: skip
    culprit = lab.trace("db", "web:80")["culprit"]
    lab.at("db", "nft delete table ip foreign")
    assert culprit["object"].startswith("table ip foreign chain c")
    assert culprit["detail"].startswith("it sends the probe somewhere else by ")
    command = rf"nsenter --net={lab.host.run_dir}/netns/\w+ nft delete rule ip foreign c handle \d+"
    assert re.fullmatch(f"remove that rule: {command}", culprit["fix"])


@pytest.mark.parametrize(
    ("container", "script", "undo", "source", "target", "kind"),
    [
        ("db", "ip link set lo down", "ip link set lo up", "db", "web:80", "interface-down"),
        ("web", "ip link set eth0 mtu 1400", "ip link set eth0 mtu 1500", "db", "web:53/udp", "mtu"),
        ("web", "ip link set eth0 arp off", "ip link set eth0 arp on; ip neigh flush dev eth0",
         "db", "172.31.0.2:80", "stale-neighbour"),
        ("db", "ip neigh replace 172.31.0.2 lladdr 02:00:00:00:00:09 dev eth0", "ip neigh flush dev eth0",
         "db", "172.31.0.2:80", "stale-neighbour"),
        ("web", "sysctl -qw net.ipv4.icmp_echo_ignore_all=1", "sysctl -qw net.ipv4.icmp_echo_ignore_all=0",
         "db", "web", "container-firewall"),
        ("web", "ip link add dum type bridge; ip link set dum up; ip route add 172.31.0.3/32 dev dum; "
         "sysctl -qw net.ipv4.conf.all.rp_filter=1", "ip link del dum; sysctl -qw net.ipv4.conf.all.rp_filter=0",
         "db", "web:80", "rp-filter"),
        ("third", "ip addr add 172.31.0.2/16 dev eth0", "ip addr del 172.31.0.2/16 dev eth0; ip neigh flush dev eth0",
         "host", "web:80", "duplicate-address"),
    ],
)  # fmt: skip
def test_the_remedy_in_a_container_works_as_a_command_on_the_host(lab, container, script, undo, source, target, kind):
    lab.at(container, script)
    try:
        culprit = lab.trace(source, target)["culprit"]
        assert culprit is not None and culprit["kind"] == kind, culprit
        command = culprit["fix"][culprit["fix"].index("nsenter") :]
        lab.host.sh(command)
        culprit = lab.trace(source, target)["culprit"]
        assert culprit is None or culprit["kind"] != kind, culprit
    finally:
        lab.at(container, f"({undo}) 2> /dev/null || true")
        lab.host.sh(f"ip neigh flush dev {lab.bridge('app')}")  # these may have learned the MAC of the second holder
        lab.at("db", "ip neigh flush dev eth0")


def test_the_remedy_for_a_port_that_is_published_elsewhere(lab):
    assert lab.trace("host", "192.168.99.11:8081")["culprit"]["fix"] == "use 127.0.0.1:8081"
    culprit = lab.trace("outside", "published:8081")["culprit"]
    assert (culprit["kind"], culprit["object"]) == ("published-elsewhere", "port 8081/tcp on 127.0.0.1:8081")
    begin, _, commands = culprit["fix"].partition(": ")
    assert begin == "publish it on every address"
    try:
        for command in commands.split(" && "):
            lab.hawse(*shlex.split(command)[1:])
        for port in ("8080", "8081"):
            assert lab.trace("outside", f"published:{port}")["reachable"] is True
    finally:
        lab.hawse("unpublish", "web", "80/tcp")
        lab.hawse("publish", "web", "-p", "8080:80", "-p", "127.0.0.1:8081:80")


@pytest.mark.parametrize(("flags", "hook", "match"), [
    ((), "forward", "tcp dport 80"), (("--dry",), "forward", "tcp dport 80"), ((), "forward", "tcp sport 80"),
])  # fmt: skip
def test_the_remedy_for_a_foreign_rule_can_be_pasted(lab, flags, hook, match):
    lab.host.sh(f"nft 'add table ip foreign; add chain ip foreign c {{ type filter hook {hook} priority 0; }}; "
                f"add rule ip foreign c {match} drop'")  # fmt: skip
    try:
        culprit = lab.trace(*flags, "outside", "published:8080")["culprit"]
        assert culprit["object"] == "table ip foreign chain c"
        assert culprit["detail"].endswith(f" by {match} drop")
        lab.host.sh(culprit["fix"].partition(": ")[2])
        assert lab.trace(*flags, "outside", "published:8080")["reachable"] is True
    finally:
        lab.host.sh("nft delete table ip foreign")


def test_the_remedy_for_an_adopted_file_with_an_odd_name(lab, tmp_path):
    """Its name alone does not open the namespace again, and the shell must not split its path."""
    file = tmp_path / "it's; two"
    file.touch()
    subprocess.run(["unshare", f"--net={file}", "true"], check=True)
    try:
        lab.hawse("network", "connect", "app", f"netns:{file}")
        lab.host.sh(f"nsenter --net={shlex.quote(str(file))} ip link set eth0 down")
        culprit = lab.trace("db", f"netns:{file}")["culprit"]
        assert culprit["kind"] == "interface-down"
        lab.host.sh(culprit["fix"][culprit["fix"].index("nsenter") :])
        lab.host.sh(f"nsenter --net={shlex.quote(str(file))} ip addr add 172.31.0.3/16 dev eth0")
        culprit = lab.trace("db", f"netns:{file}")["culprit"]
        for command in culprit["fix"][culprit["fix"].index("hawse") :].split(" && "):
            lab.hawse(*shlex.split(command)[1:])
    finally:
        lab.hawse("network", "disconnect", "-f", "app", f"netns:{file.name}")
        subprocess.run(["umount", file], check=True)


def test_the_remedy_for_an_adopted_namespace_without_a_route(lab, netns):
    lab.hawse("network", "connect", "--default-route=no", "other", f"netns:{netns.name}")
    try:
        culprit = lab.trace(f"netns:{netns.name}", "192.168.99.99:91")["culprit"]
        assert culprit["kind"] == "no-route"
        assert "connect it without --default-route=no: " in culprit["fix"]
        for command in culprit["fix"].partition(": ")[2].split(" && "):
            lab.hawse(*shlex.split(command)[1:])
        assert lab.trace(f"netns:{netns.name}", "192.168.99.99:91")["reachable"] is True
    finally:
        lab.hawse("network", "disconnect", "other", f"netns:{netns.name}")


def test_a_lost_address_and_route_of_an_adopted_namespace_are_the_culprit(lab, netns):
    name = f"netns:{netns.name}"
    lab.hawse("network", "connect", "--default-route=yes", "other", name)
    try:
        address = netns.sh("ip -o -4 addr show dev eth0").split()[3]
        netns.sh("ip route del default")
        assert fault(lab, name, "192.168.99.99:91") == ("no-route", f"default route of {name}")
        netns.sh("ip route add default via 172.32.0.1")
        assert lab.trace("--dry", name, "192.168.99.99:91")["culprit"] is None
        netns.sh(f"ip addr del {address} dev eth0")
        assert fault(lab, name, "192.168.99.99:91") == ("wrong-address", f"address {address} of eth0 of {name}")
    finally:
        lab.hawse("network", "disconnect", "other", name)


@pytest.mark.parametrize("source", ["db", "host"])
def test_host_and_outside_are_refused_as_targets(lab, source):
    for word in ("host", "outside:80"):
        culprit = lab.trace(source, word)["culprit"]
        assert (culprit["kind"], "is only a SOURCE" in culprit["detail"]) == ("name-unknown", True), culprit
        assert culprit["fix"].startswith("use an address as the target: ")
