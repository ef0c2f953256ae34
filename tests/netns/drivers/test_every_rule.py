"""Every static rule of the firewall matters: for each one there is a probe that fails when the rule is taken out."""

from __future__ import annotations

import re
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NamedTuple, TypeVar

import pytest

from drivers.firewall import nft, relay, spoofing, table
from drivers.firewall.elements import Element
from drivers.linux import netns as namespaces

pytestmark = pytest.mark.netns

HOST, HOST6, PEER, PEER6 = "192.168.99.11", "fd99::11", "192.168.99.99", "fd99::99"
AGENT = 40000
SILENCE = 0.3  # seconds
MODE = "com.docker.network.bridge.gateway_mode_ipv4"
FILTERED = "/proc/sys/net/bridge/bridge-nf-call-iptables"


@dataclass(frozen=True)
class Rule:
    chain: str
    text: str
    handle: int


def rules(lab, of: str = table.TABLE) -> list[Rule]:
    found, chain = [], ""
    for line in lab.host.sh(f"nft -a list table {of}").splitlines():
        if match := re.match(r"\tchain (\w+)", line):
            chain = match[1]
        elif (match := re.match(r"\t\t(.*) # handle (\d+)", line)) and chain and not match[1].startswith("type "):
            found.append(Rule(chain, match[1], int(match[2])))
    return found


class World:
    """One host with every sort of network on it, and neighbours that route to all of them."""

    def __init__(self, lab, peer) -> None:
        self.lab, self.peer, self.host = lab, peer, lab.host
        lab.host.sh("sysctl -qw net.ipv4.ip_forward=1")
        lab.host.sh("ip addr add 192.168.99.77/24 dev ext0; ip addr add fd99::77/64 dev ext0 nodad preferred_lft 0")
        self.plain_networks()
        self.special_networks()
        self.strangers()
        for server in (self.web, self.linked):
            lab.serve(server, 80)
            lab.serve(server, 81, address="::")
        for server, address, port in (
            (self.friend, "0.0.0.0", 80),
            (self.inside, "0.0.0.0", 80),
            (self.bare, "0.0.0.0", 81),
            (self.linked, "0.0.0.0", 82),
            (self.web, "0.0.0.0", 7000),
            (self.web, "fd00:30::2", 7000),
            (peer, "0.0.0.0", 80),
            (peer, "fd99::99", 80),
            (lab.host, "::", AGENT),
        ):
            lab.serve(server, port, address=address)
        self.agent = lab.serve(lab.host, AGENT, "udp", address="::")
        lab.on_host(lambda: relay.lead_to({"tcp": AGENT, "udp": AGENT}))
        self.outside, self.enclosed, self.published = (lab.serve(s, 50, "udp") for s in (peer, self.inside, self.web))

    def plain_networks(self) -> None:
        lab = self.lab
        n1, n2 = lab.network("n1", "172.30.0.0/16", "fd00:30::/64"), lab.network("n2", "172.31.0.0/16")
        ports = [lab.binding(8080, 80), lab.binding(8080, 81, host_ip="::"), lab.binding(8082, 50, "udp", "127.0.0.1")]
        ports += [lab.binding(8084, 80, host_ip="::1"), lab.binding(8084, 50, "udp", "::1")]
        ports += [lab.binding(8081, 80, host_ip=HOST), lab.binding(8081, 81, host_ip=HOST6)]
        ports += [lab.binding(7000, 7000, host_ip=ip, host_port_end=7009, port_end=7009) for ip in ("0.0.0.0", "::")]
        self.web, self.friend = lab.container(n1, 2, ports), lab.container(n1, 3)
        self.other = lab.container(n2, 2, [lab.binding(8085, 80, host_ip="::")])

    def special_networks(self) -> None:
        lab = self.lab
        inside = lab.network("inside", "172.32.0.0/16", internal=True)
        self.inside = lab.container(inside, 2)
        self.inside.run("ip", "route", "add", "default", "via", "172.32.0.1")
        source = {"com.docker.network.host_ipv4": "192.168.99.77", "com.docker.network.host_ipv6": "fd99::77"}
        self.sourced = lab.container(lab.network("sourced", "172.33.0.0/16", "fd00:33::/64", options=source), 2)
        no_icc = {"com.docker.network.bridge.enable_icc": "false"}
        apart = lab.network("apart", "172.34.0.0/16", "fd00:34::/64", options=no_icc)
        self.linking = lab.container(apart, 2)
        self.linked = lab.container(apart, 3, [lab.binding(8083, 82)], exposed=(("tcp", 80, 81),))
        for container, address in ((self.linking, "fd00:34::3"), (self.linked, "fd00:34::2")):
            container.run("ip", "route", "add", f"{address}/128", "via", "fd00:34::1")
        lab.on_host(lambda: lab.driver.link(apart, self.linking.endpoint, self.linked.endpoint))
        self.routed = lab.container(lab.network("routed", "172.35.0.0/16", options={MODE: "routed"}), 2)
        self.bare = lab.container(lab.network("bare", "172.36.0.0/16", options={MODE: "nat-unprotected"}), 2)

    def strangers(self) -> None:
        self.far = self.lab.sandbox()
        self.host.sh(f"ip link add side type veth peer name far netns {self.far.namespace}")
        self.host.sh("ip addr add 10.9.0.1/24 dev side; ip link set side up")
        self.far.run(
            "sh", "-c", "ip addr add 10.9.0.2/24 dev far; ip link set far up; ip route add default via 10.9.0.1"
        )
        self.peer.sh(f"for n in 10.9.0.0/24 $(seq -f 172.%g.0.0/16 30 36); do ip route add $n via {HOST}; done")
        self.peer.sh(f"ip route add fd00:30::/64 via {HOST6}")
        self.peer.sh(
            "ip route del local 127.0.0.0/8 dev lo table local; ip route del local 127.0.0.1 dev lo table local"
        )
        self.peer.sh("sysctl -qw net.ipv4.conf.all.route_localnet=1 net.ipv4.conf.br0.route_localnet=1")
        self.peer.sh(f"ip route add 127.0.0.0/8 via {HOST} src {PEER}")
        self.host.sh(
            "nft 'add table ip other; add chain ip other pre { type nat hook prerouting priority -110; };"
            " add rule ip other pre udp dport 9999 dnat to 172.32.0.2:50'"
        )

    def sees(self, client, address: str, port: int, expected: str, protocol: str = "tcp") -> bool:
        return self.lab.ask(client, address, port, protocol, wait=0.8) == expected

    def silent(self, client, address: str, port: int) -> bool:
        return self.lab.silent(client, address, port)

    def pings(self, client, address: str) -> bool:
        return self.lab.pings(client, address, wait=0.8)

    def hears_from_loopback(self, client, address: str) -> bool:
        """Whether the host takes a client's datagram for one of its own, sent from 127.0.0.5."""
        ends = ip_address("127.0.0.5").packed + ip_address(address).packed
        header = struct.pack("!BBHHHBBH", 0x45, 0, 28, 0, 0, 64, socket.IPPROTO_UDP, 0) + ends
        self.agent.heard.clear()
        raw = namespaces.inside(client.path, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW))
        with raw:
            raw.sendto(header + struct.pack("!4H", 5000, AGENT, 8, 0), (address, 0))
        return self.agent.heard.wait(SILENCE)

    def guarded(self, probe: Callable[[], bool]) -> bool:
        """Probe with the strangers' guard on, as where we switched forwarding on."""
        guard = [Element("forwarding", "ipv4")]
        self.lab.on_host(lambda: table.change(add=guard))
        try:
            return probe()
        finally:
            self.lab.on_host(lambda: table.change(remove=guard))

    def unfiltered(self, probe: Callable[[], bool]) -> bool:
        """Probe with br_netfilter off."""
        self.host.sh(f"echo 0 > {FILTERED}")
        try:
            return probe()
        finally:
            self.host.sh(f"echo 1 > {FILTERED}")


T = TypeVar("T")
Probe = Callable[[World], bool]
PROBES: dict[tuple[str, str], Probe] = {
    ("loopback_guard", "daddr"): lambda w: not w.lab.hears(w.published, w.peer, "127.0.0.1", 8082),
    ("loopback_guard", "saddr"): lambda w: not w.hears_from_loopback(w.friend, "172.30.0.1"),
    ("published_from_outside", "jump published"): lambda w: w.sees(w.peer, HOST, 8080, PEER),
    ("published_from_host", "jump published"): lambda w: w.sees(w.host, HOST, 8080, HOST),
    ("published", "@relayed"): lambda w: w.sees(w.host, "::1", 8080, "::1"),
    ("published", "@relayed_any"): lambda w: w.sees(w.host, "::1", 8085, "::1"),
    ("to_agent", "tcp dnat"): lambda w: w.sees(w.host, "::1", 8084, "::1"),
    ("to_agent", "udp dnat"): lambda w: w.sees(w.host, "::1", 8084, "::1", "udp"),
    ("agent_guard", "@relay_sockets"): lambda w: not w.lab.hears(w.agent, w.peer, HOST6, AGENT),
    ("published", "@exact4"): lambda w: w.sees(w.peer, HOST, 8081, PEER),
    ("published", "@any4"): lambda w: w.sees(w.peer, HOST, 8080, PEER),
    ("published", "@range4"): lambda w: w.sees(w.peer, HOST, 7000, PEER),
    ("published", "@exact6"): lambda w: w.sees(w.peer, HOST6, 8081, PEER6),
    ("published", "@any6"): lambda w: w.sees(w.peer, HOST6, 8080, PEER6),
    ("published", "@range6"): lambda w: w.sees(w.peer, HOST6, 7000, PEER6),
    ("source", "127.0.0.0/8"): lambda w: w.sees(w.host, "127.0.0.1", 8080, "172.30.0.1"),
    ("source", "@members4"): lambda w: w.sees(w.friend, HOST, 8080, "172.30.0.1"),
    ("source", "@members6"): lambda w: w.sees(w.friend, HOST6, 8080, "fd00:30::1"),
    ("source", "jump leaving"): lambda w: w.sees(w.friend, PEER, 80, HOST),
    ("leaving", "@source4"): lambda w: w.sees(w.sourced, PEER, 80, "192.168.99.77"),
    ("leaving", "@source6"): lambda w: w.sees(w.sourced, PEER6, 80, "fd99::77"),
    ("leaving", "@masqueraded"): lambda w: w.sees(w.friend, PEER, 80, HOST),
    ("forward", "goto strangers"): lambda w: w.pings(w.peer, "10.9.0.2"),
    ("forward", "@same_bridge"): lambda w: w.sees(w.friend, "172.30.0.2", 80, "172.30.0.3"),
    ("forward", "iifname @internal"): lambda w: not w.lab.hears(w.outside, w.inside, PEER, 50),
    ("forward", "oifname @internal"): lambda w: not w.lab.hears(w.enclosed, w.peer, HOST, 9999),
    ("forward", "established"): lambda w: w.sees(w.friend, PEER, 80, HOST),
    ("forward", "status dnat"): lambda w: w.sees(w.other, HOST, 8080, "172.31.0.2"),
    ("forward", "iifname @bridges oifname @bridges"): lambda w: w.silent(w.other, "172.30.0.3", 80),
    ("forward", "iifname @bridges accept"): lambda w: w.sees(w.friend, PEER, 80, HOST),
    ("forward", "@open4"): lambda w: w.sees(w.peer, "172.30.0.2", 80, PEER),
    ("forward", "@open6"): lambda w: w.sees(w.peer, "fd00:30::2", 81, PEER6),
    ("forward", "@open_range4"): lambda w: w.sees(w.peer, "172.30.0.2", 7000, PEER),
    ("forward", "@open_range6"): lambda w: w.sees(w.peer, "fd00:30::2", 7000, PEER6),
    ("forward", "@unprotected"): lambda w: w.sees(w.peer, "172.36.0.2", 81, PEER),
    ("forward", "@pingable"): lambda w: w.pings(w.peer, "172.35.0.2"),
    ("forward", "drop"): lambda w: w.silent(w.peer, "172.30.0.3", 80),
    ("no_icc", "established"): lambda w: w.sees(w.linking, "172.34.0.3", 80, "172.34.0.2"),
    ("no_icc", "status dnat"): lambda w: w.unfiltered(lambda: w.sees(w.linking, HOST, 8083, "172.34.0.1")),
    ("no_icc", "@linked4"): lambda w: w.sees(w.linking, "172.34.0.3", 80, "172.34.0.2"),
    ("no_icc", "@linked6"): lambda w: w.sees(w.linking, "fd00:34::3", 81, "fd00:34::2"),
    ("no_icc", "drop"): lambda w: w.silent(w.linking, "172.34.0.3", 82),
    ("strangers", "@forwarding"): lambda w: w.guarded(lambda: not w.pings(w.peer, "10.9.0.2")),
    ("internal_to_host", "@internal"): lambda w: not w.pings(w.inside, HOST),
}


def probe_of(rule: Rule, probes: dict[tuple[str, str], T] = PROBES) -> T:
    """The probe whose key the rule's text contains; the longest where several do."""
    keys = [key for key in probes if key[0] == rule.chain and key[1] in rule.text]
    assert keys, f"no probe for the rule {rule.chain}: {rule.text}"
    return probes[max(keys, key=lambda key: len(key[1]))]


def test_each_rule_is_missed_when_it_is_gone(lab, peer):
    world = World(lab, peer)
    found = rules(lab)
    assert len({id(probe_of(rule)) for rule in found}) == len(found) == len(PROBES), "one probe for each rule"
    broken = [rule for rule in found if not probe_of(rule)(world)]
    assert broken == [], "with all rules in place every probe succeeds"
    idle = []
    for number in range(len(found)):
        rule = rules(lab)[number]
        lab.host.sh(f"nft delete rule inet hawse {rule.chain} handle {rule.handle}; conntrack -F 2>/dev/null || true")
        if probe_of(rule)(world):
            idle.append(rule)
        lab.on_host(lambda: nft.run(table.install_script()))
        lab.host.sh("conntrack -F 2>/dev/null || true")
    assert [f"{rule.chain}: {rule.text}" for rule in idle] == [], "rules that nothing misses"


MAC, OTHER_MAC, EVERYBODY = "02:42:00:00:00:02", "02:42:00:00:00:99", "ff:ff:ff:ff:ff:ff"
OWN, OTHER = "172.30.0.2", "172.30.0.9"
OWN6, OTHER6, ALL_NODES = "fd00:30::2", "fd00:30::9", "ff02::1"
SOLICIT, ANNOUNCE, ROUTER = 135, 136, 134


def ethernet(kind: int, payload: bytes, source: str = MAC) -> bytes:
    return bytes.fromhex((EVERYBODY + source).replace(":", "")) + struct.pack("!H", kind) + payload


def ipv4(source: str, mac: str = MAC) -> bytes:
    """A good header (a kernel that filters bridged packets looks at it), then an empty datagram."""
    addresses = ip_address(source).packed + ip_address("172.30.0.3").packed
    header = struct.pack("!BBHHHBB", 0x45, 0, 28, 0, 0, 64, 17)
    checksum = 0xFFFF - sum(struct.unpack("!9H", header + addresses)) % 0xFFFF
    return ethernet(0x0800, header + struct.pack("!H", checksum) + addresses + bytes(8), mac)


def arp(address: str, hardware: str = MAC) -> bytes:
    sender = bytes.fromhex(hardware.replace(":", "")) + ip_address(address).packed
    return ethernet(0x0806, struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + sender + bytes(6) + ip_address(OTHER).packed)


def icmpv6(source: str, kind: int, target: str = OWN6) -> bytes:
    """Without a checksum: nobody but the guard looks."""
    message = struct.pack("!BBHI", kind, 0, 0, 0) + ip_address(target).packed
    addresses = ip_address(source).packed + ip_address(ALL_NODES).packed
    return ethernet(0x86DD, struct.pack("!IHBB", 6 << 28, len(message), 58, 255) + addresses + message)


class Sent(NamedTuple):
    """A frame, and whether it has to get through."""

    frame: bytes
    passes: bool


SPOOF_PROBES: dict[tuple[str, str], Sent] = {
    ("prerouting", "@ports goto sender"): Sent(ipv4(OTHER), False),
    ("sender", "@macs"): Sent(ipv4(OWN, OTHER_MAC), False),
    ("sender", "goto arp_sender"): Sent(arp(OWN), True),
    ("sender", "@addresses4"): Sent(ipv4(OWN), True),
    ("sender", "goto ipv6_sender"): Sent(icmpv6(OWN6, SOLICIT), True),
    ("sender", "drop"): Sent(ipv4(OTHER), False),
    ("arp_sender", "@macs"): Sent(arp(OWN, OTHER_MAC), False),
    ("arp_sender", "0.0.0.0"): Sent(arp("0.0.0.0"), True),
    ("arp_sender", "@addresses4"): Sent(arp(OWN), True),
    ("arp_sender", "drop"): Sent(arp(OTHER), False),
    ("ipv6_sender", "nd-router-advert"): Sent(icmpv6(OWN6, ROUTER), False),
    ("ipv6_sender", "taddr"): Sent(icmpv6(OWN6, ANNOUNCE, OTHER6), False),
    ("ipv6_sender", "ip6 saddr ::"): Sent(icmpv6("::", SOLICIT), True),
    ("ipv6_sender", "@addresses6 accept"): Sent(icmpv6(OWN6, SOLICIT), True),
    ("ipv6_sender", "drop"): Sent(icmpv6(OTHER6, SOLICIT), False),
}


class Wire:
    """A guarded container that sends whole frames, and a neighbour that sees what comes out of the bridge."""

    def __init__(self, lab) -> None:
        network = lab.network("n1", "172.30.0.0/16", "fd00:30::/64", options={"com.hawse.bridge.spoof_guard": "true"})
        self.sender = self.open(lab.container(network, 2, mac=MAC))
        self.receiver = self.open(lab.container(network, 3))

    def open(self, container) -> socket.socket:
        every_protocol = socket.htons(0x0003)
        made = namespaces.inside(
            container.path, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, every_protocol)
        )
        made.bind(("eth0", 0))
        return made

    def carries(self, frame: bytes, wait: float = 0.1) -> bool:
        self.sender.send(frame)
        deadline = time.monotonic() + wait
        while (left := deadline - time.monotonic()) > 0:
            self.receiver.settimeout(left)
            try:
                if self.receiver.recv(2000).startswith(frame):
                    return True
            except TimeoutError:
                break
        return False

    def as_expected(self, probe: Sent) -> bool:
        return self.carries(probe.frame) == probe.passes

    def close(self) -> None:
        self.sender.close()
        self.receiver.close()


def test_each_rule_against_spoofing_is_missed_when_it_is_gone(lab):
    wire = Wire(lab)
    found = rules(lab, spoofing.TABLE)
    assert sorted(SPOOF_PROBES.values()) == sorted(probe_of(rule, SPOOF_PROBES) for rule in found), "one for each rule"
    assert [rule for rule in found if not wire.as_expected(probe_of(rule, SPOOF_PROBES))] == []
    idle = []
    for number in range(len(found)):
        rule = rules(lab, spoofing.TABLE)[number]
        lab.host.sh(f"nft delete rule {spoofing.TABLE} {rule.chain} handle {rule.handle}")
        if wire.as_expected(probe_of(rule, SPOOF_PROBES)):
            idle.append(rule)
        lab.on_host(spoofing.install)
    wire.close()
    assert [f"{rule.chain}: {rule.text}" for rule in idle] == [], "rules that nothing misses"
