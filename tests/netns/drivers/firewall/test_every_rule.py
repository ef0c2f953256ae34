"""Each static rule of the firewall has a probe: a test with packets that fails when the firewall lacks the rule."""

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

from drivers.firewall import spoof_guard, table
from drivers.linux import libnftables
from drivers.linux import netns as namespaces
from tests.netns.drivers.rule_world import (
    AGENT,
    DHCP,
    ELSEWHERE,
    FRIEND,
    FRIEND6,
    HOST,
    HOST6,
    MARKED,
    NEXT_TO,
    PEER,
    PEER6,
    PLAIN,
    VNI,
    World,
    complains,
    complains_out_of_nowhere,
    complains_to_host,
)
from tests.netns.routers import MACS
from tests.packets import (
    ANNOUNCE,
    EVERYBODY,
    REPORT,
    ROUTER,
    SOLICIT,
    TOO_BIG,
    fragments,
    icmp_error,
    udp,
    vxlan,
    with_options,
)

pytestmark = pytest.mark.netns


@dataclass(frozen=True)
class Rule:
    chain: str
    text: str
    handle: int


def rules(lab, of: str = table.TABLE) -> list[Rule]:
    listed, chain = [], ""
    for line in lab.host.sh(f"nft -a list table {of}").splitlines():
        if match := re.match(r"\tchain (\w+)", line):
            chain = match[1]
        elif (match := re.match(r"\t\t(.*) # handle (\d+)", line)) and chain and not match[1].startswith("type "):
            listed.append(Rule(chain, match[1], int(match[2])))
    return listed


T = TypeVar("T")
Probe = Callable[[World], bool]
PROBES: dict[tuple[str, str], Probe] = {
    ("loopback_guard", "daddr"): lambda w: not w.lab.hears(w.published, w.peer, "127.0.0.1", 8082),
    ("loopback_guard", "saddr"): lambda w: not w.gets(w.plain, w.peer, udp("127.0.0.5", 1, HOST, PLAIN)),
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
    ("source", "@siblings4"): lambda w: w.sees(w.bare, HOST, 8080, "172.30.0.1"),
    ("source", "@siblings6"): lambda w: w.sees(w.bare, HOST6, 8080, "fd00:30::1"),
    ("source", "@gateways4"): lambda w: w.sees(w.host, "172.33.0.1", 8080, "172.30.0.1"),
    ("source", "@gateways6"): lambda w: w.sees(w.host, "fd00:33::1", 8080, "fd00:30::1"),
    ("source", "jump leaving"): lambda w: w.sees(w.friend, PEER, 80, HOST),
    ("leaving", "@source4"): lambda w: w.sees(w.sourced, PEER, 80, "192.168.99.77"),
    ("leaving", "@source6"): lambda w: w.sees(w.sourced, PEER6, 80, "fd99::77"),
    ("leaving", "@masqueraded"): lambda w: w.sees(w.friend, PEER, 80, HOST),
    ("forward", "goto strangers"): lambda w: w.pings(w.peer, "10.9.0.2"),
    ("forward", "@same_bridge"): lambda w: w.sees(w.friend, "172.30.0.2", 80, "172.30.0.3"),
    ("forward", "iifname @internal"): lambda w: not w.lab.hears(w.outside, w.inside, PEER, 50),
    ("forward", "oifname @internal"): lambda w: not w.lab.hears(w.enclosed, w.peer, HOST, 9999),
    ("forward", "established"): lambda w: w.sees(w.friend, PEER, 80, HOST),
    ("forward", "status dnat"): lambda w: w.sees(w.sourced, HOST, 8080, "172.33.0.2"),
    ("forward", "jump marked"): lambda w: w.accepts_mark(),
    ("forward", "jump from_bridge"): lambda w: not w.gets(w.outside, w.other, udp("172.30.0.9", 1, PEER, 50)),
    ("forward", "fe80::/10"): lambda w: not w.gets(w.shown6, w.linking, udp("fe80::77", 1, HOST6, 8087)),
    ("forward", "jump from_outside"): lambda w: not w.gets(w.bound, w.peer, udp("172.31.0.2", 1, FRIEND, PLAIN + 1)),
    ("from_outside", "ct direction reply"): lambda w: w.answers_by_its_own_link(),
    ("from_outside", "jump networks_flows"): lambda w: not w.peer_complains(at="far"),
    ("from_outside", "type local"): lambda w: not w.gets(w.bound6, w.peer, udp(HOST6, 1, FRIEND6, PLAIN + 1)),
    ("from_outside", "@bridges return"): lambda w: w.gets(w.bound, w.peer, udp(ELSEWHERE, 1, FRIEND, PLAIN + 1)),
    ("from_outside", "@subnets4"): lambda w: not w.gets(w.bound, w.peer, udp("172.31.0.9", 1, FRIEND, PLAIN + 1)),
    ("from_outside", "@subnets6"): lambda w: not w.gets(w.bound6, w.peer, udp("fd00:33::9", 1, FRIEND6, PLAIN + 1)),
    ("forward", "jump open"): lambda w: w.sees(w.peer, "172.30.0.2", 80, PEER),
    ("forward", "goto between"): lambda w: w.silent(w.other, "172.30.0.3", 80),
    ("forward", "iifname @bridges accept"): lambda w: w.sees(w.friend, PEER, 80, HOST),
    ("open", "@open4"): lambda w: w.sees(w.peer, "172.30.0.2", 80, PEER),
    ("open", "@open6"): lambda w: w.sees(w.peer, "fd00:30::2", 81, PEER6),
    ("open", "@open_range4"): lambda w: w.sees(w.peer, "172.30.0.2", 7000, PEER),
    ("open", "@open_range6"): lambda w: w.sees(w.peer, "fd00:30::2", 7000, PEER6),
    ("forward", "@unprotected"): lambda w: w.sees(w.peer, "172.36.0.2", 81, PEER),
    ("forward", "@pingable"): lambda w: w.pings(w.peer, "172.35.0.2"),
    ("forward", "drop"): lambda w: w.silent(w.peer, "172.30.0.3", 80),
    ("from_bridge", "0.0.0.0 udp dport"): lambda w: w.gets_broadcast(w.dhcp, w.other, "0.0.0.0", DHCP),
    ("from_bridge", "0.0.0.0 drop"): lambda w: not w.gets_broadcast(w.plain, w.other, "0.0.0.0"),
    ("from_bridge", ":: drop"): lambda w: not w.gets_echo_without_source(w.friend),
    ("from_bridge", "jump stray"): lambda w: not w.gets(w.outside, w.other, udp("172.30.0.9", 1, PEER, 50)),
    ("from_bridge", "@tunnels"): lambda w: (
        not w.gets(w.tunnel_ends[PEER], w.friend, vxlan(FRIEND, PEER, VNI, bytes(20)))
    ),
    ("from_bridge", "goto errors"): lambda w: not complains_to_host(w),
    ("from_bridge", "ct state invalid"): lambda w: not complains_out_of_nowhere(w),
    ("stray", "@siblings4"): lambda w: w.gets(w.outside, w.other, udp(FRIEND, 1, PEER, 50)),
    ("stray", "@siblings6"): lambda w: w.gets(w.outside6, w.friend, udp("fd00:33::2", 1, PEER6, 50)),
    ("stray", "mark"): lambda w: w.with_marks(lambda: w.gets(w.plain, w.friend, udp(MARKED, 1, "172.30.0.1", PLAIN))),
    ("stray", "drop"): lambda w: not w.gets(w.outside, w.other, udp("172.30.0.9", 1, PEER, 50)),
    ("errors", "ct original ip saddr . iifname"): lambda w: complains(w, w.friend, FRIEND, w.out4),
    ("errors", "ct original ip6 saddr . iifname"): lambda w: complains(w, w.friend, FRIEND6, w.out6),
    ("errors", "ct reply ip saddr . iifname"): lambda w: complains(w, w.web, "172.30.0.2", w.in4),
    ("errors", "ct reply ip6 saddr . iifname"): lambda w: complains(w, w.web, "fd00:30::2", w.in6),
    ("errors", "oifname @bridges drop"): lambda w: not complains(w, w.sourced, "172.33.0.2", w.to_behind, at="near"),
    ("networks_flows", "ct original ip saddr . meta nfproto"): lambda w: (
        not complains(w, w.sourced, "172.33.0.2", w.out4)
    ),
    ("networks_flows", "ct original ip6 saddr . meta nfproto"): lambda w: (
        not complains(w, w.sourced, "fd00:33::2", w.out6)
    ),
    ("networks_flows", "ct reply ip saddr . meta nfproto"): lambda w: not complains(w, w.sourced, "172.33.0.2", w.in4),
    ("networks_flows", "ct reply ip6 saddr . meta nfproto"): lambda w: not complains(w, w.sourced, "fd00:33::2", w.in6),
    ("errors", "jump networks_flows"): lambda w: not complains(w, w.sourced, "172.33.0.2", w.out4),
    ("errors", "fib daddr . iif type local return"): lambda w: w.refused(w.host, NEXT_TO, 5999),
    ("errors", "fib daddr type local drop"): lambda w: not complains_to_host(w),
    ("between", "@trusted"): lambda w: w.sees(w.other, "172.30.0.2", 80, "172.31.0.2"),
    ("between", "@unprotected"): lambda w: w.sees(w.other, "172.36.0.2", 81, "172.31.0.2"),
    ("between", "@members4"): lambda w: w.sees(w.other, "172.36.0.2", 81, "172.31.0.2"),
    ("between", "@members6"): lambda w: w.sees(w.friend, "fd00:36::2", 81, FRIEND6),
    ("between", "drop"): lambda w: w.silent(w.other, "172.30.0.3", 80),
    ("open", "@bound4"): lambda w: w.lab.hears(w.bound, w.peer, FRIEND, PLAIN + 1),
    ("open", "@bound6"): lambda w: w.lab.hears(w.bound6, w.peer, FRIEND6, PLAIN + 1),
    ("no_icc", "jump stray"): lambda w: w.unfiltered(lambda: not w.slips_into(w.linking, w.apart)),
    ("no_icc", "ct state related"): lambda w: w.unfiltered(
        lambda: not complains(w, w.linking, "172.34.0.2", w.to_apart, at="near")
    ),
    ("containers_to_host", "jump networks_flows"): lambda w: not w.peer_complains(at="near"),
    ("containers_to_host", "iifname != @bridges accept"): lambda w: w.gets(
        w.plain, w.far, udp("203.0.113.9", 1, "10.9.0.1", PLAIN)
    ),
    ("containers_to_host", "icmpv6 type"): lambda w: w.answers_link_local(),
    ("containers_to_host", "jump answers"): lambda w: w.with_marks(w.host_hears_by_mark),
    ("answers", "@subnets4"): lambda w: not w.believes(w.other, "172.31.0.1", "172.30.0.9"),
    ("answers", "@subnets6"): lambda w: not w.believes(w.friend, "fd00:30::1", "fd00:33::9"),
    ("answers", "fib daddr"): lambda w: w.with_marks(w.host_hears_by_mark),
    ("containers_to_host", "goto from_bridge"): lambda w: (
        not w.gets(w.plain, w.other, udp("172.30.0.9", 1, "172.31.0.1", PLAIN))
    ),
    ("tunnel_guard", "@tunnel_peers4"): lambda w: (
        not w.gets(w.tunnel_ends[HOST], w.peer, vxlan(PEER, HOST, VNI, bytes(20)))
    ),
    ("tunnel_guard", "@tunnel_peers6"): lambda w: (
        not w.gets(w.tunnel_ends[HOST6], w.peer, vxlan(PEER6, HOST6, VNI, bytes(20)))
    ),
    ("tunnel_senders", "skuid"): lambda w: not w.user_sends(),
    ("no_icc", "established"): lambda w: w.sees(w.linking, "172.34.0.3", 80, "172.34.0.2"),
    ("no_icc", "status dnat"): lambda w: w.unfiltered(lambda: w.sees(w.linking, HOST, 8083, "172.34.0.1")),
    ("no_icc", "@linked4"): lambda w: w.sees(w.linking, "172.34.0.3", 80, "172.34.0.2"),
    ("no_icc", "@linked6"): lambda w: w.sees(w.linking, "fd00:34::3", 81, "fd00:34::2"),
    ("no_icc", "drop"): lambda w: w.silent(w.linking, "172.34.0.3", 82),
    ("strangers", "@forwarding"): lambda w: w.guarded(lambda: not w.pings(w.peer, "10.9.0.2")),
    ("internal_to_host", "@internal"): lambda w: not w.pings(w.inside, HOST),
}


def probe_of(rule: Rule, probes: dict[tuple[str, str], T] = PROBES) -> T:
    """Return the probe (a test with packets) for a firewall rule.

    A key of ``probes`` is a chain's name and a part of a rule's text. If several keys match the rule, the longest key
    counts.
    """
    keys = [key for key in probes if key[0] == rule.chain and key[1] in rule.text]
    assert keys, f"no probe for the rule {rule.chain}: {rule.text}"
    return probes[max(keys, key=lambda key: len(key[1]))]


def test_the_probe_of_each_rule_fails_without_the_rule(lab, peer):
    world = World(lab, peer)
    listed = rules(lab)
    assert len({id(probe_of(rule)) for rule in listed}) == len(listed) == len(PROBES), "one probe for each rule"
    broken, idle = [], []
    for number in range(len(listed)):  # in table order: after `World.with_marks`, probes of 127.0.0.1 fail
        rule = rules(lab)[number]
        if not probe_of(rule)(world):
            broken.append(rule)
        lab.host.sh(f"nft delete rule inet hawse {rule.chain} handle {rule.handle}; conntrack -F 2>/dev/null || true")
        if probe_of(rule)(world):
            idle.append(rule)
        lab.on_host(lambda: libnftables.run(table.install_script()))
        lab.host.sh("conntrack -F 2>/dev/null || true")
    assert broken == [], "with all rules in place every probe succeeds"
    assert [f"{rule.chain}: {rule.text}" for rule in idle] == [], "rules that nothing misses"


MAC, OTHER_MAC = "02:42:00:00:00:02", "02:42:00:00:00:99"
ETHERNET_HEADER = 14  # bytes
OWN, OTHER = "172.30.0.2", "172.30.0.9"
OWN6, OTHER6, ALL_NODES = "fd00:30::2", "fd00:30::9", "ff02::1"


def ethernet(kind: int, payload: bytes, source: str = MAC) -> bytes:
    return bytes.fromhex((EVERYBODY + source).replace(":", "")) + struct.pack("!H", kind) + payload


def ipv4(source: str, mac: str = MAC) -> bytes:
    """Return an Ethernet frame with an empty IPv4 datagram.

    The frame's IPv4 header is valid, because br_netfilter checks the header before a bridged packet passes the
    firewall.
    """
    addresses = ip_address(source).packed + ip_address("172.30.0.3").packed
    header = struct.pack("!BBHHHBB", 0x45, 0, 28, 0, 0, 64, 17)
    checksum = 0xFFFF - sum(struct.unpack("!9H", header + addresses)) % 0xFFFF
    return ethernet(0x0800, header + struct.pack("!H", checksum) + addresses + bytes(8), mac)


def arp(address: str, hardware: str = MAC) -> bytes:
    sender = bytes.fromhex(hardware.replace(":", "")) + ip_address(address).packed
    return ethernet(0x0806, struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + sender + bytes(6) + ip_address(OTHER).packed)


def icmpv6(source: str, kind: int, target: str = OWN6) -> bytes:
    """Return an ICMPv6 frame without a checksum. Only the spoof guard reads the frame, and the spoof guard ignores
    checksums.
    """
    message = struct.pack("!BBHI", kind, 0, 0, 0) + ip_address(target).packed
    addresses = ip_address(source).packed + ip_address(ALL_NODES).packed
    return ethernet(0x86DD, struct.pack("!IHBB", 6 << 28, len(message), 58, 255) + addresses + message)


def first_fragment(kind: int, options: int) -> bytes:
    """Return a frame with the first 8 bytes of an ICMPv6 message, or of the ``options`` headers before the message."""
    packet = with_options(icmpv6(OWN6, kind)[ETHERNET_HEADER:], options)
    return ethernet(0x86DD, fragments(packet, 8)[0])


def tagged(frame: bytes) -> bytes:
    """Return the frame with a VLAN tag of id 0."""
    return frame[:MACS] + bytes.fromhex("81000000") + frame[MACS:]


TOO_BIG_ERROR = icmp_error(OWN, "172.30.0.3", udp("172.30.0.3", 1, OTHER, 2), TOO_BIG)


class Sent(NamedTuple):
    """A frame, whether it must pass, and its sender's bridge port.

    The port is guarded (the spoof guard checks all frames) or muted (only router advertisements are dropped).
    """

    frame: bytes
    passes: bool
    muted: bool = False


SPOOF_PROBES: dict[tuple[str, str], Sent] = {
    ("prerouting", "@muted"): Sent(icmpv6(OWN6, ROUTER), False, muted=True),
    ("prerouting", "@ports goto sender"): Sent(ipv4(OTHER), False),
    ("muted_sender", "@ll,128,16"): Sent(tagged(tagged(icmpv6(OWN6, ROUTER))), False, muted=True),
    ("muted_sender", "nd-router-advert"): Sent(tagged(icmpv6(OWN6, ROUTER)), False, muted=True),
    ("muted_sender", "jump first_fragment"): Sent(first_fragment(ROUTER, options=2), False, muted=True),
    ("sender", "@macs"): Sent(ipv4(OWN, OTHER_MAC), False),
    ("sender", "goto arp_sender"): Sent(arp(OWN), True),
    ("sender", "icmp code"): Sent(ethernet(0x0800, TOO_BIG_ERROR), False),
    ("sender", "@addresses4"): Sent(ipv4(OWN), True),
    ("sender", "goto ipv6_sender"): Sent(icmpv6(OWN6, SOLICIT), True),
    ("sender", "drop"): Sent(ipv4(OTHER), False),
    ("arp_sender", "@macs"): Sent(arp(OWN, OTHER_MAC), False),
    ("arp_sender", "0.0.0.0"): Sent(arp("0.0.0.0"), True),
    ("arp_sender", "@addresses4"): Sent(arp(OWN), True),
    ("arp_sender", "drop"): Sent(arp(OTHER), False),
    ("ipv6_sender", "nd-router-advert"): Sent(icmpv6(OWN6, ROUTER), False),
    ("ipv6_sender", "nd-neighbor-advert"): Sent(icmpv6(OWN6, ANNOUNCE, OTHER6), False),
    ("ipv6_sender", "nd-neighbor-solicit"): Sent(icmpv6("::", SOLICIT, OTHER6), False),
    ("ipv6_sender", "ip6 saddr ::"): Sent(icmpv6("::", REPORT), True),
    ("ipv6_sender", "jump first_fragment"): Sent(first_fragment(ANNOUNCE, options=2), False),
    ("ipv6_sender", "@addresses6 accept"): Sent(icmpv6(OWN6, SOLICIT), True),
    ("ipv6_sender", "drop"): Sent(icmpv6(OTHER6, SOLICIT), False),
    ("first_fragment", "return"): Sent(first_fragment(REPORT, options=0), True),
    ("first_fragment", "drop"): Sent(first_fragment(ANNOUNCE, options=2), False),
    ("own_target", "ip6 saddr ::"): Sent(icmpv6("::", SOLICIT), True),
    ("own_target", "iifname . ip6 saddr"): Sent(icmpv6(OWN6, ANNOUNCE), True),
    ("own_target", "drop"): Sent(icmpv6(OTHER6, ANNOUNCE), False),
}


class Wire:
    """Two containers that send whole frames. Another container on the same bridge receives each frame that passes.

    One sender is on a guarded bridge port. The other sender is on a muted port: its bridge belongs to the user and is
    connected to a virtual wire.
    """

    def __init__(self, lab) -> None:
        guarded = lab.network("n1", "172.30.0.0/16", "fd00:30::/64", options={"com.hawse.bridge.spoof_guard": "true"})
        lab.host.sh("ip link add mybr type bridge; ip link add wire master mybr type veth peer name far")
        muted = lab.network("n2", "172.31.0.0/16", options={"com.docker.network.bridge.name": "mybr"})
        self.senders = [self.open(lab.container(network, 2, mac=MAC)) for network in (guarded, muted)]
        self.receivers = [self.open(lab.container(network, 3)) for network in (guarded, muted)]

    def open(self, container) -> socket.socket:
        every_protocol = socket.htons(0x0003)
        made = namespaces.run_in_netns(
            container.path, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, every_protocol)
        )
        made.bind(("eth0", 0))
        return made

    def carries(self, frame: bytes, wire: int, wait: float = 0.1) -> bool:
        self.senders[wire].send(frame)
        outer_tag_removed = frame[:MACS] + frame[MACS + 4 :]  # recv(2) does not return the outermost VLAN tag
        deadline = time.monotonic() + wait
        while (left := deadline - time.monotonic()) > 0:
            self.receivers[wire].settimeout(left)
            try:
                if self.receivers[wire].recv(2000).startswith((frame, outer_tag_removed)):
                    return True
            except TimeoutError:
                break
        return False

    def as_expected(self, probe: Sent) -> bool:
        return self.carries(probe.frame, int(probe.muted)) == probe.passes

    def close(self) -> None:
        for opened in (*self.senders, *self.receivers):
            opened.close()


def test_the_probe_of_each_spoof_guard_rule_fails_without_the_rule(lab):
    lab.host.sh("echo 0 > /proc/sys/net/bridge/bridge-nf-call-ip6tables")  # else the host keeps single fragments
    wire = Wire(lab)
    listed = rules(lab, spoof_guard.TABLE)
    assert sorted(SPOOF_PROBES.values()) == sorted(probe_of(rule, SPOOF_PROBES) for rule in listed), "one for each rule"
    assert [rule for rule in listed if not wire.as_expected(probe_of(rule, SPOOF_PROBES))] == []
    idle = []
    for number in range(len(listed)):
        rule = rules(lab, spoof_guard.TABLE)[number]
        lab.host.sh(f"nft delete rule {spoof_guard.TABLE} {rule.chain} handle {rule.handle}")
        if wire.as_expected(probe_of(rule, SPOOF_PROBES)):
            idle.append(rule)
        lab.on_host(spoof_guard.install)
    wire.close()
    assert [f"{rule.chain}: {rule.text}" for rule in idle] == [], "rules that nothing misses"
