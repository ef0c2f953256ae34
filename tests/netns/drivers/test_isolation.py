"""Paths that must be closed: between networks, into internal networks, and between containers of a network without icc
(the option that lets containers reach each other).

The tests also try each path through the host.
"""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from msgspec.structs import replace

from drivers import bridge_options, bridge_port
from drivers import sandbox as sandboxes
from drivers.bridge_port import Port
from drivers.errors import DriverError
from drivers.linux import features
from drivers.linux import netns as namespaces
from drivers.linux.netlink import Session
from drivers.model import EndpointSpec
from tests.packets import broadcast, icmp, ip, udp

pytestmark = pytest.mark.netns

HOST, HOST6, PEER, PEER6 = "192.168.99.11", "fd99::11", "192.168.99.99", "fd99::99"
NO_ICC = {"com.docker.network.bridge.enable_icc": "false"}


@pytest.fixture(params=["bridged packets filtered", "bridged packets not filtered"])
def br_netfilter(request, host):
    """Switch br_netfilter on or off; with br_netfilter, bridged packets pass the firewall.

    The tests must give the same results with and without br_netfilter.
    """
    value = "1" if request.param == "bridged packets filtered" else "0"
    host.sh(f"for k in iptables ip6tables arptables; do echo {value} > /proc/sys/net/bridge/bridge-nf-call-$k; done")


def test_networks_are_apart_and_a_member_of_both_reaches_both(lab, br_netfilter):
    n1, n2 = lab.network("n1", "172.30.0.0/16", "fd00:30::/64"), lab.network("n2", "172.31.0.0/16", "fd00:31::/64")
    c1, c2 = lab.container(n1, 2), lab.container(n2, 2)
    lab.serve(c2, 80)
    assert lab.pings(c1, "172.31.0.1"), "the other network's gateway is an address of the host"
    assert not lab.pings(c1, "172.31.0.2", wait=0.2)
    assert not lab.pings(c1, "fd00:31::2", wait=0.2)
    assert lab.silent(c1, "172.31.0.2", 80)
    lab.join(c1, n2, 3)
    assert lab.pings(c1, "172.31.0.2")
    assert lab.ask(c1, "172.31.0.2", 80) == "172.31.0.3"


def test_an_internal_network_reaches_itself_and_its_own_bridge_only(lab, peer, br_netfilter):
    inside = lab.network("inside", "172.30.0.0/16", "fd00:30::/64", internal=True)
    n2 = lab.network("n2", "172.31.0.0/16", "fd00:31::/64")
    c1, c2 = lab.container(inside, 2), lab.container(inside, 3)
    web = lab.container(n2, 2, [lab.binding(8080, 80), lab.binding(8080, 80, host_ip="::")])
    for server, address in ((c2, "0.0.0.0"), (c2, "::"), (web, "0.0.0.0"), (peer, "0.0.0.0"), (lab.host, "0.0.0.0")):
        lab.serve(server, 80 if address != "::" else 81, address=address)
    for address in ("172.30.0.3", "fd00:30::3", "172.30.0.1", "fd00:30::1"):
        assert lab.pings(c1, address), address
    assert lab.ask(c1, "172.30.0.3", 80) == "172.30.0.2"
    assert lab.ask(c1, "172.30.0.1", 80) == "172.30.0.2"
    assert lab.ask(lab.host, "172.30.0.3", 80) == "172.30.0.1"
    # The container adds a default route. Even with this route, the container must get no answer from outside its
    # network.
    c1.run("ip", "route", "add", "default", "via", "172.30.0.1")
    c1.run("ip", "route", "add", "default", "via", "fd00:30::1")
    for address in (PEER, PEER6, HOST, HOST6, "172.31.0.1", "fd00:31::1", "172.31.0.2", "fd00:31::2"):
        assert not lab.pings(c1, address, wait=0.2), address
    for address, port in ((PEER, 80), (HOST, 80), ("172.30.0.1", 8080)):
        assert lab.silent(c1, address, port), (address, port)
    # The lowest address of an IPv6 subnet belongs to the subnet's routers, so the host has this address too.
    service = lab.serve(lab.host, 81, "udp", address="::")
    assert lab.hears(service, web, "fd99::", 81)
    assert lab.hears(service, c1, "fd00:30::1", 81)
    for address in ("fd00:31::", "fd99::"):
        assert not lab.hears(service, c1, address, 81), address


def test_packets_without_a_source_address_reach_only_a_dhcp_server_of_the_host(lab):
    """For the kernel, the source address 0.0.0.0 has a route back by every interface."""
    isolated = {"com.docker.network.bridge.gateway_mode_ipv4": "isolated"}
    c1 = lab.container(lab.network("n1", "172.30.0.0/16", internal=True, options=isolated), 2)
    c2 = lab.container(lab.network("n2", "172.31.0.0/16"), 2)
    dhcp, service = (lab.serve(lab.host, port, "udp") for port in (67, 69))
    for container, sources in ((c1, ("0.0.0.0", "172.30.0.2")), (c2, ("0.0.0.0",))):
        for source in sources:
            for group in ("255.255.255.255", "224.0.0.1"):
                service.heard.clear()
                broadcast(container.path, container.endpoint.mac, udp(source, 68, group, 69))
                assert not service.heard.wait(0.2), (source, group)
        broadcast(container.path, container.endpoint.mac, udp("0.0.0.0", 68, "255.255.255.255", 67))
        assert dhcp.heard.wait(5)
        dhcp.heard.clear()


GRE, VRRP = 47, 112  # protocol numbers
ECHO = struct.pack("!BBHHH", 8, 0, 0, 1, 1)
ECHO6 = struct.pack("!BBHHH", 128, 0, 0, 1, 1)


def test_packets_of_other_protocols_without_a_source_address_do_not_reach_the_host(lab):
    n1 = lab.network("n1", "172.30.0.0/16", "fd00:30::/64")
    inside = lab.network("inside", "172.31.0.0/16", "fd00:31::/64", internal=True)
    containers = [lab.container(network, 2) for network in (n1, inside)]
    groups = "255.255.255.255", "224.0.0.1"
    sent = [(socket.IPPROTO_ICMP, icmp("0.0.0.0", group, ECHO)) for group in groups]
    sent += [(number, ip("0.0.0.0", group, number, bytes(40))) for group in groups for number in (2, 6, GRE, VRRP)]
    sent += [(socket.IPPROTO_ICMPV6, icmp("::", "ff02::1", ECHO6))]
    for number, packet in sent:
        family = socket.AF_INET if packet[0] >> 4 == 4 else socket.AF_INET6
        raw = namespaces.run_in_netns(lab.host.path, lambda: socket.socket(family, socket.SOCK_RAW, number))  # noqa: B023
        with raw:
            raw.settimeout(0.2)
            for container in containers:
                broadcast(container.path, container.endpoint.mac, packet)
            with pytest.raises(TimeoutError):
                while not raw.recvfrom(2000)[0].endswith(packet[40:]):
                    pass  # neighbour discovery


def test_an_internal_network_is_not_reached_from_outside_either(lab, peer):
    inside, n2 = lab.network("inside", "172.30.0.0/16", internal=True), lab.network("n2", "172.31.0.0/16")
    c1, c2 = lab.container(inside, 2, [lab.binding(8080, 80)]), lab.container(n2, 2)
    lab.serve(c1, 80)
    c1.run("ip", "route", "add", "default", "via", "172.30.0.1")
    peer.sh(f"ip route add 172.30.0.0/16 via {HOST}")
    assert lab.silent(peer, "172.30.0.2", 80)
    assert lab.silent(peer, HOST, 8080)
    assert lab.silent(c2, "172.30.0.2", 80)
    # Another program's DNAT rules must not open the internal network.
    lab.host.sh(
        "nft 'add table ip other; add chain ip other pre { type nat hook prerouting priority -110; };"
        " add rule ip other pre tcp dport 9999 dnat to 172.30.0.2:80'"
    )
    assert lab.silent(peer, HOST, 9999)


def test_without_icc_containers_reach_everything_but_each_other(lab, peer, br_netfilter):
    n1 = lab.network("n1", "172.30.0.0/16", "fd00:30::/64", options=NO_ICC)
    c1, c2 = lab.container(n1, 2), lab.container(n1, 3)
    lab.serve(c2, 80)
    for address in ("172.30.0.1", "fd00:30::1", PEER, PEER6):
        assert lab.pings(c1, address), address
    assert not lab.pings(c1, "172.30.0.3", wait=0.2)
    assert not lab.pings(c1, "fd00:30::3", wait=0.2)
    assert lab.silent(c1, "172.30.0.3", 80)
    # The container also tries to reach the other container through the gateway.
    c1.run("ip", "route", "add", "172.30.0.3/32", "via", "172.30.0.1")
    c1.run("ip", "route", "add", "fd00:30::3/128", "via", "fd00:30::1")
    assert lab.silent(c1, "172.30.0.3", 80)
    assert not lab.pings(c1, "fd00:30::3", wait=0.2)


def test_a_link_opens_the_exposed_ports_of_one_container_to_another(lab, br_netfilter):
    n1 = lab.network("n1", "172.30.0.0/16", options=NO_ICC)
    client, server = lab.container(n1, 2), lab.container(n1, 3, exposed=(("tcp", 80, 80),))
    other = lab.container(n1, 4)
    for port in (80, 81):
        lab.serve(server, port)
    for _ in range(2):
        lab.on_host(lambda: lab.driver.link(n1, client.endpoint, server.endpoint))
    assert lab.ask(client, "172.30.0.3", 80) == "172.30.0.2"
    assert lab.silent(client, "172.30.0.3", 81)
    assert lab.silent(other, "172.30.0.3", 80)
    more = replace(server.endpoint, exposed=(("tcp", 80, 81),))
    lab.on_host(lambda: lab.driver.link(n1, client.endpoint, more))
    assert lab.ask(client, "172.30.0.3", 80) == lab.ask(client, "172.30.0.3", 81) == "172.30.0.2"
    lab.on_host(lambda: lab.driver.link(n1, client.endpoint, server.endpoint))
    assert lab.silent(client, "172.30.0.3", 81)
    for _ in range(2):
        lab.on_host(lambda: lab.driver.unlink(n1, client.endpoint, server.endpoint))
    assert lab.silent(client, "172.30.0.3", 80)


def test_without_icc_a_published_port_is_reached_by_its_host_port(lab):
    lab.host.sh("echo 0 > /proc/sys/net/bridge/bridge-nf-call-iptables")
    n1 = lab.network("n1", "172.30.0.0/16", options=NO_ICC)
    c1, web = lab.container(n1, 2), lab.container(n1, 3, [lab.binding(8080, 80)])
    lab.serve(web, 80)
    assert lab.ask(c1, HOST, 8080) == "172.30.0.1"


def test_the_host_does_not_become_a_router_for_strangers(lab, peer):
    lab.host.sh("ip link add side type veth peer name far; ip addr add 10.9.0.1/24 dev side; ip link set side up")
    far = lab.sandbox()
    lab.host.sh(f"ip link set far netns {far.namespace}")
    far.run("sh", "-c", "ip addr add 10.9.0.2/24 dev far; ip link set far up; ip route add default via 10.9.0.1")
    peer.sh(f"ip route add 10.9.0.0/24 via {HOST}")
    n1 = lab.network("n1", "172.30.0.0/16")
    c1 = lab.container(n1, 2)
    assert lab.pings(c1, "10.9.0.2"), "a container does get there"
    assert not lab.pings(far, PEER, wait=0.2)
    assert not lab.pings(peer, "10.9.0.2", wait=0.2)


def test_a_host_that_was_a_router_stays_one(lab, peer):
    lab.host.sh("sysctl -qw net.ipv4.ip_forward=1")
    far = lab.sandbox()
    lab.host.sh(f"ip link add side type veth peer name far netns {far.namespace}")
    lab.host.sh("ip addr add 10.9.0.1/24 dev side; ip link set side up")
    far.run("sh", "-c", "ip addr add 10.9.0.2/24 dev far; ip link set far up; ip route add default via 10.9.0.1")
    peer.sh(f"ip route add 10.9.0.0/24 via {HOST}")
    lab.network("n1", "172.30.0.0/16")
    assert lab.pings(peer, "10.9.0.2")


@pytest.mark.parametrize(("guarded", "gets_through"), [("true", False), ("false", True)])
def test_spoof_guard_holds_a_container_to_its_own_addresses(lab, peer, guarded, gets_through):
    n1 = lab.network("n1", "172.30.0.0/16", "fd00:30::/64", options={"com.hawse.bridge.spoof_guard": guarded})
    liar, victim = lab.container(n1, 2), lab.container(n1, 3)
    for address in ("172.30.0.3", "172.30.0.1", "fd00:30::3", "fd00:30::1", PEER):
        assert lab.pings(liar, address), address
    liar.run("sh", "-c", "ip addr add 172.30.0.66/16 dev eth0; ip addr add fd00:30::66/64 dev eth0 nodad")
    lab.serve(victim, 50, "udp")
    lab.serve(victim, 50, "udp", "fd00:30::3")
    patience = 5 if gets_through else 0.2
    assert (lab.ask(liar, "172.30.0.3", 50, "udp", patience, source="172.30.0.66") != "") is gets_through
    assert (lab.ask(liar, "fd00:30::3", 50, "udp", patience, source="fd00:30::66") != "") is gets_through
    # With the spoof guard, ARP and neighbour discovery do not find an address that hawse did not assign.
    assert lab.pings(victim, "172.30.0.66", patience) is gets_through
    assert lab.pings(victim, "fd00:30::66", patience) is gets_through
    # With the spoof guard, frames from a MAC that hawse did not assign reach no other container.
    liar.run("ip", "link", "set", "eth0", "address", "02:42:ff:ff:ff:ff")
    assert lab.pings(liar, "172.30.0.3", patience) is gets_through


TEST_TYPE = 0x88B5  # an Ethernet type for experiments (IEEE 802)
FORGED = bytes.fromhex("ffffffffffff 024200000099 88b5") + b"forged".ljust(46)
"""A frame to all containers, with a MAC that no container has."""
FORGE = f"""
import fcntl, socket, struct
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print("begun", flush=True)
while True:
    try:
        fcntl.ioctl(sock, 0x8914, struct.pack("16sH14x", b"eth0", 0x1))  # SIOCSIFFLAGS, IFF_UP
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        wire.bind(("eth0", 0))
        while True:
            wire.send({FORGED!r})
    except OSError:
        pass
"""
"""A program that brings eth0 up as soon as it exists, and sends forged frames all the time."""


@contextmanager
def forging(liar, victim) -> Iterator[None]:
    """Forge frames in the sandbox ``liar`` all the time; at the end, assert that ``victim`` has got none of them."""
    wire = namespaces.run_in_netns(victim.path, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
    wire.bind(("eth0", TEST_TYPE))
    wire.settimeout(0.1)
    argv = ["ip", "netns", "exec", liar.namespace, sys.executable, "-c", FORGE]
    with wire, subprocess.Popen(argv, stdout=subprocess.PIPE) as forger:
        try:
            assert forger.stdout is not None
            forger.stdout.readline()
            yield
            with pytest.raises(TimeoutError):
                wire.recv(100)
        finally:
            forger.kill()


def test_spoof_guard_begins_before_the_first_frame(lab):
    """The owner of a connected namespace brings the interface up while hawse still connects it."""
    n1 = lab.network("n1", "172.30.0.0/16", options={"com.hawse.bridge.spoof_guard": "true"})
    liar, victim = lab.sandbox(), lab.container(n1, 3)
    with forging(liar, victim):
        lab.host.sh("nft delete table bridge hawse")  # the guard then takes longer, because it makes the table
        lab.join(liar, n1, 2)


def test_spoof_guard_ends_after_the_last_frame_of_a_failed_join(lab, monkeypatch):
    def fail(*_) -> None:
        raise DriverError("the owner of the namespace has changed the interface")

    n1 = lab.network("n1", "172.30.0.0/16", options={"com.hawse.bridge.spoof_guard": "true"})
    liar, victim = lab.sandbox(), lab.container(n1, 3)
    monkeypatch.setattr(sandboxes, "configure", fail)
    with forging(liar, victim):
        for _ in range(5):
            with pytest.raises(DriverError, match="the owner"):
                lab.join(liar, n1, 2)


def test_a_port_that_a_repair_brings_up_is_guarded(lab):
    """A killed agent may have left the port down, without its elements."""
    n1 = lab.network("n1", "172.30.0.0/16", options={"com.hawse.bridge.spoof_guard": "true"})
    c1 = lab.container(n1, 2)
    port = lab.on_host(lambda: features.host_end_name(c1.endpoint.id))
    guarded = lab.host.sh("nft list table bridge hawse")
    for name in ("ports", "macs", "addresses4"):
        lab.host.sh(f"nft flush set bridge hawse {name}")
    lab.host.sh(f"ip link set {port} down")
    differences = lab.on_host(lambda: lab.driver.compare_endpoint(n1, c1.endpoint, c1.sandbox, "eth0"))
    lab.on_host(lambda: lab.driver.repair_endpoint(n1, c1.endpoint, c1.sandbox, "eth0", differences))
    assert lab.host.sh("nft list table bridge hawse") == guarded
    assert "state UP" in lab.host.sh(f"ip link show {port}")


def test_the_agent_knows_a_port_with_the_spoof_guard_before_it_is_up(lab):
    """The agent removes elements of the spoof guard that belong to no port with hawse's mark."""
    n1 = lab.network("n1", "172.30.0.0/16", options={"com.hawse.bridge.spoof_guard": "true"})
    sandbox, endpoint = lab.sandbox(), lab.endpoint(n1, 2)

    def make() -> list[tuple[str, EndpointSpec]]:
        with Session() as opened, namespaces.netns_fd(sandbox.path) as namespace:
            port = Port(opened, endpoint, bridge_options.parse(n1))
            port.create(namespace, "eth0")
            port.guard()
        return bridge_port.guarded([(n1, [endpoint])])

    assert [known for _, known in lab.on_host(make)] == [endpoint]


def test_spoof_guard_forgets_a_port_that_left(lab):
    n1 = lab.network("n1", "172.30.0.0/16", options={"com.hawse.bridge.spoof_guard": "true"})
    c1 = lab.container(n1, 2)
    assert "02:42" in lab.host.sh("nft list table bridge hawse")
    for _ in range(2):
        lab.leave(c1)
    assert "elements" not in lab.host.sh("nft list table bridge hawse")
