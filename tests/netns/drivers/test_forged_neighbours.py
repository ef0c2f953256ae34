"""A container on a network with the spoof guard claims IPv6 addresses that another container has."""

from __future__ import annotations

import struct
import time
from ipaddress import IPv6Address

import pytest

from tests.packets import ANNOUNCE, SOLICIT, ethernet, fragments, icmp, send_frame, with_options

pytestmark = pytest.mark.netns

MALLORY, VICTIM, FRIEND = "fd00:30::2", "fd00:30::3", "fd00:30::4"
OVERRIDE = 0x20000000
TARGET_LINK_ADDRESS = b"\x02\x01"
HOPS = 255  # neighbour discovery accepts no other hop limit
TENTATIVE = "fd00:30::77"
TENTATIVES_GROUP = "ff02::1:ff00:77"


@pytest.fixture
def guarded(lab):
    """The containers mallory, victim and friend on a guarded network. The victim knows the friend's MAC."""
    network = lab.network("n1", "172.30.0.0/16", "fd00:30::/64", options={"com.hawse.bridge.spoof_guard": "true"})
    containers = [lab.container(network, number) for number in (2, 3, 4)]
    assert lab.pings(containers[1], FRIEND)
    return containers


def claim(mac: str) -> bytes:
    """Return mallory's neighbour advertisement: the friend's address is at ``mac``."""
    message = struct.pack("!BBHI", ANNOUNCE, 0, 0, OVERRIDE) + IPv6Address(FRIEND).packed + TARGET_LINK_ADDRESS
    return icmp(MALLORY, VICTIM, message + bytes.fromhex(mac.replace(":", "")), HOPS)


@pytest.mark.parametrize("filtered", ["0", "1"], ids=["bridged packets not filtered", "bridged packets filtered"])
@pytest.mark.parametrize("first", [0, 8, 16, 24], ids="first fragment of {} bytes".format)
def test_no_advertisement_claims_another_address(lab, guarded, filtered, first):
    """A receiver ignores neighbour discovery in fragments, but not in a packet that the host has joined.

    With br_netfilter, the host joins the fragments of a packet. It sends the packet as a whole if the packet is not
    larger than the largest of its fragments was.
    """
    lab.host.sh(f"echo {filtered} > /proc/sys/net/bridge/bridge-nf-call-ip6tables")
    mallory, victim, friend = guarded
    packet = claim(mallory.endpoint.mac)
    for sent in fragments(packet, first) if first else [packet]:
        send_frame(mallory.path, ethernet(victim.endpoint.mac, mallory.endpoint.mac, sent))
    assert lab.pings(mallory, VICTIM), "the frames before this ping have been handled"
    assert friend.endpoint.mac in victim.run("ip", "neigh", "show", FRIEND)


@pytest.mark.parametrize("filtered", ["0", "1"], ids=["bridged packets not filtered", "bridged packets filtered"])
@pytest.mark.parametrize("options", [1, 2, 3])
@pytest.mark.parametrize("first", [8, 16], ids="first fragment of {} bytes".format)
def test_no_advertisement_behind_extension_headers_claims_another_address(lab, guarded, filtered, options, first):
    """The advertisement begins in the second fragment, so that the first one shows no type of a message."""
    lab.host.sh(f"echo {filtered} > /proc/sys/net/bridge/bridge-nf-call-ip6tables")
    mallory, victim, friend = guarded
    for sent in fragments(with_options(claim(mallory.endpoint.mac), options), first):
        send_frame(mallory.path, ethernet(victim.endpoint.mac, mallory.endpoint.mac, sent))
    assert lab.pings(mallory, VICTIM), "the frames before this ping have been handled"
    assert friend.endpoint.mac in victim.run("ip", "neigh", "show", FRIEND)


@pytest.mark.parametrize("filtered", ["0", "1"], ids=["bridged packets not filtered", "bridged packets filtered"])
def test_fragments_of_a_container_arrive(lab, guarded, filtered):
    lab.host.sh(f"echo {filtered} > /proc/sys/net/bridge/bridge-nf-call-ip6tables")
    mallory = guarded[0]
    assert mallory.run("ping", "-6", "-c1", "-W2", "-s4000", VICTIM)


def test_no_container_makes_another_one_lose_an_address_as_a_duplicate(guarded):
    mallory, victim, _ = guarded
    message = struct.pack("!BBHI", SOLICIT, 0, 0, 0) + IPv6Address(TENTATIVE).packed
    mac = "33:33:" + IPv6Address(TENTATIVES_GROUP).packed[-4:].hex(":")
    probe = ethernet(mac, mallory.endpoint.mac, icmp("::", TENTATIVES_GROUP, message, HOPS))
    victim.run("sysctl", "-qw", "net.ipv6.conf.all.accept_dad=1", "net.ipv6.conf.eth0.accept_dad=1")
    victim.run("ip", "addr", "add", f"{TENTATIVE}/64", "dev", "eth0")
    while "tentative" in (shown := victim.run("ip", "addr", "show", "dev", "eth0", "to", TENTATIVE)):
        assert "dadfailed" not in shown
        send_frame(mallory.path, probe)
        time.sleep(0.1)
    assert TENTATIVE in shown
