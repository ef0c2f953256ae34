"""Real faults of every kind are injected, and ``hawse trace`` names the kind and the object of each fault.

Each fault is undone before the next. Nothing repairs the host.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

pytestmark = pytest.mark.netns
MAC = "02:00:00:00:00:66"
ROUTES = "ip route replace default via 172.31.0.1; ip -6 route replace default via fd31::1"


class Fault(NamedTuple):
    """One fault: its place, its scripts, the trace's arguments, the expected kind, and words that name the object.

    In scripts and words, ``{bridge}`` is the bridge of network app and ``{web}`` the host end of web's veth pair.
    """

    place: str
    inject: str
    undo: str
    source: str
    target: str
    kind: str
    words: str


DROP = (
    "nft 'add table {0} foreign; add chain {0} foreign c {{{{ type filter hook {1} priority {2}; }}}}; "
    "add rule {0} foreign c {3}'"
)


def drop(place, family, hook, rule, source, target, kind="foreign-firewall", priority=0):
    """Return a fault: a table of another program gets a rule that drops packets."""
    words = f"{family} foreign c" if kind == "foreign-firewall" else f"{family} foreign {place}"
    inject, undo = DROP.format(family, hook, priority, rule), f"nft delete table {family} foreign"
    return Fault(place, inject, undo, source, target, kind, words)


FAULTS = {
    "ip forward drop of a published port": drop(
        "host", "ip", "forward", "tcp dport 80 drop", "outside", "published:8080"
    ),
    "inet forward drop of the address": drop(
        "host", "inet", "forward", "ip daddr 172.31.0.2 drop", "outside:ext0", "192.168.99.11:8080"
    ),
    "ip6 forward drop": drop("host", "ip6", "forward", "ip6 daddr fd31::2 drop", "outside", "[fd99::11]:8080"),
    "bridge forward drop": drop("host", "bridge", "forward", "ip daddr 172.31.0.2 tcp dport 80 drop", "db", "web:80"),
    "bridge drop of IPv6": drop("host", "bridge", "forward", "ip6 daddr fd31::2 drop", "db", "[fd31::2]:80"),
    "output drop on the host": drop("host", "inet", "output", "ip daddr 172.31.0.2 drop", "host", "web:80"),
    "reject of UDP": drop("host", "inet", "forward", "udp dport 53 reject", "outside", "published:8053/udp"),
    "drop before DNAT": drop(
        "host", "ip", "prerouting", "tcp dport 8080 drop", "outside", "published:8080", priority=-300
    ),
    "drop of answers": drop("host", "ip", "forward", "tcp sport 80 drop", "outside", "published:8080"),
    "named drop within a bridge": drop(
        "host", "ip", "forward", "ip saddr 172.31.0.3 ip daddr 172.31.0.2 drop", "db", "web:80"
    ),
    "policy drop and br_netfilter": Fault(
        "host",
        "sysctl -qw net.bridge.bridge-nf-call-iptables=1; nft 'add table ip foreign; "
        "add chain ip foreign f {{ type filter hook forward priority 0; policy drop; }}'",
        "nft delete table ip foreign",
        "db", "web:80", "br-netfilter", "bridge-nf-call-iptables",
    ),
    "container firewall of the target": drop(
        "web", "inet", "input", "tcp dport 80 drop", "db", "web:80", "container-firewall"
    ),
    "container firewall of the source": drop(
        "db", "ip", "output", "tcp dport 80 drop", "db", "web:80", "container-firewall"
    ),
    "container firewall refuses UDP": drop(
        "web", "inet", "input", "udp dport 53 reject", "db", "web:53/udp", "container-firewall"
    ),
    "container firewall drops ping": drop(
        "web", "inet", "input", "icmp type echo-request drop", "db", "web", "container-firewall"
    ),
    "the target's interface is down": Fault(
        "web", "ip link set eth0 down", "ip link set eth0 up; ip -6 addr replace fd31::2/64 dev eth0 nodad; "
        + ROUTES, "db", "web:80", "interface-down", "eth0 web"
    ),
    "the source's interface is down": Fault(
        "db", "ip link set eth0 down", "ip link set eth0 up; ip -6 addr replace fd31::3/64 dev eth0 nodad; "
        + ROUTES, "db", "172.31.0.2:80", "interface-down", "eth0 db",
    ),
    "the veth on the host is down": Fault(
        "host", "ip link set {web} down", "ip link set {web} up", "db", "web:80", "interface-down", "{web}"
    ),
    "the veth is not in the bridge": Fault(
        "host", "ip link set {web} nomaster", "ip link set {web} master {bridge}; bridge link set dev {web} hairpin on",
        "db", "web:80", "not-in-bridge", "{web} web",
    ),
    "the bridge is down": Fault(
        "host", "ip link set {bridge} down",
        "ip link set {bridge} up; ip -6 addr replace fd31::1/64 dev {bridge} nodad",
        "db", "web:80", "bridge-down", "{bridge} app",
    ),
    "the address is lost": Fault(
        "web", "ip addr del 172.31.0.2/16 dev eth0", "ip addr add 172.31.0.2/16 dev eth0; "
        "ip route replace default via 172.31.0.1", "db", "web:80", "wrong-address", "172.31.0.2 web",
    ),
    "the IPv6 address is lost": Fault(
        "web", "ip addr del fd31::2/64 dev eth0", "ip addr add fd31::2/64 dev eth0 nodad",
        "db", "[fd31::2]:80", "wrong-address", "fd31::2 web",
    ),
    "another address instead": Fault(
        "web", "ip addr del 172.31.0.2/16 dev eth0; ip addr add 172.31.0.77/16 dev eth0",
        "ip addr del 172.31.0.77/16 dev eth0; ip addr add 172.31.0.2/16 dev eth0; "
        "ip route replace default via 172.31.0.1", "host", "web:80", "wrong-address", "172.31.0.2 web",
    ),
    "the default route is lost": Fault(
        "db", "ip route del default", "ip route add default via 172.31.0.1", "db", "192.168.99.99:91", "no-route", "db"
    ),
    "the connected route is lost": Fault(
        "db", "ip route del default; ip route del 172.31.0.0/16", "ip route add 172.31.0.0/16 dev eth0 src 172.31.0.3; "
        "ip route add default via 172.31.0.1",
        "db", "172.31.0.2:80", "no-route", "172.31 db",
    ),
    "a blackhole route": Fault(
        "db", "ip route add blackhole 172.31.0.2/32", "ip route del blackhole 172.31.0.2/32",
        "db", "web:80", "wrong-route", "172.31.0.2 db",
    ),
    "a route by another hop": Fault(
        "db", "ip route add 172.31.0.2/32 via 172.31.0.4", "ip route del 172.31.0.2/32; ip route flush cache",
        "db", "web:80", "wrong-route", "172.31.0.2 db",
    ),
    "the host's route leads elsewhere": Fault(
        "host", "ip route add 172.31.0.2/32 via 192.168.99.99", "ip route del 172.31.0.2/32",
        "host", "web:80", "wrong-route", "172.31.0.2",
    ),
    "the host's route of the answer": Fault(
        "web", "ip route add 172.31.0.3/32 via 172.31.0.4", "ip route del 172.31.0.3/32",
        "db", "web:80", "wrong-route", "172.31.0.3 web",
    ),
    "a wrong neighbour": Fault(
        "db", f"ip neigh replace 172.31.0.2 lladdr {MAC} dev eth0 nud permanent", "ip neigh del 172.31.0.2 dev eth0",
        "db", "web:80", "stale-neighbour", "172.31.0.2 db",
    ),
    "a wrong IPv6 neighbour": Fault(
        "db", f"ip neigh replace fd31::2 lladdr {MAC} dev eth0 nud permanent", "ip neigh del fd31::2 dev eth0",
        "db", "[fd31::2]:80", "stale-neighbour", "fd31::2 db",
    ),
    "a wrong neighbour of the answer": Fault(
        "web", f"ip neigh replace 172.31.0.3 lladdr {MAC} dev eth0 nud permanent", "ip neigh del 172.31.0.3 dev eth0",
        "db", "web:80", "stale-neighbour", "172.31.0.3 web",
    ),
    "a wrong neighbour on the host": Fault(
        "host", f"ip neigh replace 172.31.0.2 lladdr {MAC} dev {{bridge}} nud permanent",
        "ip neigh del 172.31.0.2 dev {bridge}", "host", "web:80", "stale-neighbour", "172.31.0.2 {bridge}",
    ),
    "an address twice": Fault(
        "third", "ip addr add 172.31.0.2/16 dev eth0", "ip addr del 172.31.0.2/16 dev eth0",
        "db", "web:80", "duplicate-address", "172.31.0.2 web",
    ),
    "forwarding is off": Fault(
        "host", "sysctl -qw net.ipv4.ip_forward=0", "sysctl -qw net.ipv4.ip_forward=1",
        "outside", "published:8080", "forwarding-off", "net.ipv4.ip_forward",
    ),
    "forwarding of the bridge is off": Fault(
        "host", "sysctl -qw net.ipv4.conf.{bridge}.forwarding=0", "sysctl -qw net.ipv4.conf.{bridge}.forwarding=1",
        "db", "192.168.99.99:91", "forwarding-off", "{bridge}.forwarding",
    ),
    "forwarding of the external interface is off": Fault(
        "host", "sysctl -qw net.ipv4.conf.ext0.forwarding=0", "sysctl -qw net.ipv4.conf.ext0.forwarding=1",
        "db", "192.168.99.99:91", "forwarding-off", "ext0.forwarding",
    ),
    "IPv6 forwarding is off": Fault(
        "host", "sysctl -qw net.ipv6.conf.all.forwarding=0", "sysctl -qw net.ipv6.conf.all.forwarding=1",
        "outside", "[fd99::11]:8080", "forwarding-off", "net.ipv6.conf.all.forwarding",
    ),
    "a reverse path filter": Fault(
        "web", "ip link add dum type veth peer name dum2; ip link set dum up; ip addr add 10.77.0.1/24 dev dum; "
        "ip route add 172.31.0.3/32 dev dum; sysctl -qw net.ipv4.conf.eth0.rp_filter=1",
        "ip link del dum; sysctl -qw net.ipv4.conf.eth0.rp_filter=0", "db", "web:80", "rp-filter", "eth0.rp_filter",
    ),
    "a small MTU on the port": Fault(
        "host", "ip link set {web} mtu 1300", "ip link set {web} mtu 1500", "db", "web:80", "mtu", "{web} web"
    ),
    "a small MTU for UDP": Fault(
        "web", "ip link set eth0 mtu 1400", "ip link set eth0 mtu 1500", "db", "web:53/udp", "mtu", "eth0 web"
    ),
    "a stale flow": Fault(
        "host", "conntrack -I -p udp -s 192.168.99.99 -d 192.168.99.11 --sport 4000 --dport 8053 -r 172.31.0.9 "
        "-q 192.168.99.99 --reply-port-src 53 --reply-port-dst 4000 -t 100", "conntrack -D -p udp --dport 8053 || true",
        "outside", "published:8053/udp", "conntrack-stale", "192.168.99.11:8053",
    ),
    "the own rule is damaged": Fault(
        "host", "nft insert rule inet hawse forward drop", "NFT-HEAL", "outside", "published:8080",
        "own-firewall-damaged", "inet hawse",
    ),
    "the own port is deleted": Fault(
        "host", "nft 'delete element inet hawse any4 {{ tcp . 8080 }}'", "NFT-HEAL", "outside", "published:8080",
        "own-firewall-damaged", "inet hawse",
    ),
    "the own table is deleted": Fault(
        "host", "nft delete table inet hawse", "NFT-HEAL", "outside", "published:8080",
        "own-firewall-damaged", "inet hawse",
    ),
    "the resolver's redirection is lost": Fault(
        "db", "nft list table ip hawse_resolver > /tmp/hawse-redirect-{bridge}; nft delete table ip hawse_resolver",
        "nft -f /tmp/hawse-redirect-{bridge}; rm /tmp/hawse-redirect-{bridge}",
        "db", "web:80", "resolver-down", "127.0.0.11",
    ),
    "loopback is down": Fault(
        "db", "ip link set lo down", "ip link set lo up", "db", "web:80", "interface-down", "lo db"
    ),
    "no process listens": Fault("host", ":", ":", "db", "web:4444", "port-not-listening", "4444/tcp web"),
    "no process listens at the UDP port": Fault(
        "host", ":", ":", "db", "web:4444/udp", "port-not-listening", "4444/udp web"
    ),
    "a process listens on loopback only": Fault(
        "host", ":", ":", "db", "web:81", "listening-on-loopback-only", "81/tcp web"
    ),
    "an unknown name": Fault("host", ":", ":", "db", "nosuch:80", "name-unknown", "nosuch"),
    "an unknown name outside": Fault("host", ":", ":", "db", "www.example.com", "upstream-dns-down", "192.168.99.99"),
    "a name of another network": Fault("host", ":", ":", "db", "far:80", "not-same-network", "far"),
    "an address of another network": Fault("host", ":", ":", "db", "172.32.0.2:80", "not-same-network", "far"),
    "an address that no container has": Fault(
        "host", ":", ":", "db", "172.31.9.9:80", "no-such-endpoint", "172.31.9.9"
    ),
    "icc is off": Fault("host", ":", ":", "lone2", "lone:80", "icc-disabled", "strict"),
    "an internal network": Fault("host", ":", ":", "safe", "192.168.99.99:91", "network-internal", "inside"),
    "a port is not published": Fault("host", ":", ":", "outside", "published:9999", "not-published", "9999/tcp"),
    "a port of the host is not published": Fault(
        "host", ":", ":", "outside", "192.168.99.11:9999", "not-published", "9999/tcp"
    ),
    "a container's port is not published": Fault("host", ":", ":", "outside", "far:80", "not-published", "80/tcp far"),
    "a port is published on loopback only": Fault(
        "host", ":", ":", "outside", "published:8081", "published-elsewhere", "127.0.0.1:8081"
    ),
    "a port is published elsewhere": Fault(
        "host", ":", ":", "host", "192.168.99.11:8081", "published-elsewhere", "127.0.0.1:8081"
    ),
}  # fmt: skip


def scripts(lab, fault):
    names = {"bridge": lab.bridges["app"], "web": lab.ports["web"]}
    return [text.format(**names) for text in (fault.inject, fault.undo, fault.words)]


@pytest.fixture(scope="module")
def named(lab):
    lab.bridges, lab.ports = {"app": lab.bridge("app")}, {"web": lab.port("web")}
    return lab


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_the_culprit_is_named(named, fault):
    inject, undo, words = scripts(named, fault)
    named.at(fault.place, inject)
    try:
        traced = named.trace(fault.source, fault.target)
    finally:
        if undo == "NFT-HEAL":
            named.hawse("network", "create", "mending")
            named.hawse("network", "rm", "mending")
        else:
            named.at(fault.place, undo)
    culprit = traced["culprit"]
    assert culprit is not None, traced
    assert culprit["kind"] == fault.kind, traced
    assert [word for word in words.split() if word not in culprit["object"]] == [], culprit
    assert (traced["reachable"], traced["code"]) == (False, 1)
