"""Packets that enter the host with a source address which the sender cannot have.

The sender is a neighbour on the LAN, or a container on another network. The host has rp_filter off, and br_netfilter
is on, so that conntrack knows the flows inside a network.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from drivers.linux.echo import checksum
from tests.conftest import until
from tests.netns.drivers.test_forged_packets import HOST, Flow, heard, opened, path_mtu
from tests.packets import NEXT_MTU, TOO_BIG, UNREACHABLE, ethernet, icmp_error, send, send_frame, udp

pytestmark = pytest.mark.netns

SUBNETS = ("172.30.0.0/16", "fd00:30::/64")
CLIENT, SERVER = {4: "172.30.0.2", 6: "fd00:30::2"}, {4: "172.30.0.3", 6: "fd00:30::3"}
GATEWAY = {4: "172.30.0.1", 6: "fd00:30::1"}
NEIGHBOUR = {4: "192.168.99.99", 6: "fd99::99"}
ROUTER = {4: "192.168.99.98", 6: "fd99::98"}
OTHER_SUBNETS, OTHER_CLIENT = ("172.31.0.0/16", "fd00:31::/64"), {4: "172.31.0.2", 6: "fd00:31::2"}
INNER, PUBLISHED = 50, 8080
LOOSE_SOURCE_ROUTE, NO_OPERATION = 131, 1


@pytest.fixture
def network(lab, peer):
    lab.host.sh("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0")
    lab.host.sh("for k in iptables ip6tables; do echo 1 > /proc/sys/net/bridge/bridge-nf-call-$k; done")
    peer.sh(f"ip route add {SUBNETS[0]} via {HOST[4]}; ip route add {SUBNETS[1]} via {HOST[6]}")
    return lab.network("n1", *SUBNETS)


def published(lab, network):
    """Return a container that publishes a UDP port on all addresses of the host."""
    return lab.container(network, 3, [lab.binding(PUBLISHED, INNER, "udp", host_ip=ip) for ip in ("0.0.0.0", "::")])


@contextmanager
def flow_to_container(lab, network, version, *, from_host) -> Iterator[Flow]:
    """Open a flow that works: from a container, or from the host, to another container of the network."""
    client, server = lab.container(network, 2), lab.container(network, 3)
    near_place, far_place = ((GATEWAY if from_host else CLIENT)[version], 1111), (SERVER[version], 2222)
    sender = lab.host if from_host else client
    assert lab.pings(sender, far_place[0])
    near = opened(sender.path, version, near_place[1], far_place, near_place[0])
    far = opened(server.path, version, far_place[1], near_place, far_place[0])
    with near, far:
        flow = Flow(near, far, near_place, far_place, near_place)
        assert flow.works()
        yield flow


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("from_host", [False, True], ids=["from a container", "from the host"])
def test_a_neighbour_sends_nothing_into_a_flow_to_a_container(lab, peer, network, version, from_host):
    with flow_to_container(lab, network, version, from_host=from_host) as flow:
        send(peer.path, udp(*flow.near_place, *flow.far_place))
        if not from_host:
            send(peer.path, udp(*flow.far_place, *flow.near_place))
        assert flow.untouched()


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("from_host", [False, True], ids=["from a container", "from the host"])
def test_an_error_of_a_neighbour_ends_no_flow_to_a_container(lab, peer, network, version, from_host):
    with flow_to_container(lab, network, version, from_host=from_host) as flow:
        near_place, far_place = flow.near_place, flow.far_place
        mtus = [path_mtu(sock, version) for sock in (flow.near, flow.far)]
        for kind in (TOO_BIG, UNREACHABLE):
            send(peer.path, icmp_error(NEIGHBOUR[version], far_place[0], udp(*far_place, *near_place), kind))
            send(peer.path, icmp_error(NEIGHBOUR[version], near_place[0], udp(*near_place, *far_place), kind))
        assert flow.untouched()
        assert [path_mtu(sock, version) for sock in (flow.near, flow.far)] == mtus


@pytest.mark.parametrize("version", [4, 6])
def test_an_error_of_a_neighbour_ends_no_flow_from_a_container_to_a_published_port(lab, peer, network, version):
    """The client is on another network. The error quotes the client's packet as it reaches the server."""
    server = published(lab, network)
    client, address = lab.container(lab.network("n2", *OTHER_SUBNETS), 2), OTHER_CLIENT[version]
    for subnet, gateway in zip(OTHER_SUBNETS, HOST.values(), strict=True):
        peer.sh(f"ip route add {subnet} via {gateway}")
    near = opened(client.path, version, 1111, (HOST[version], PUBLISHED), address)
    with near, opened(server.path, version, INNER) as far:
        near.send(b"question")
        assert heard(far, 5) == b"question"
        mtu = path_mtu(near, version)
        for kind in (TOO_BIG, UNREACHABLE):
            quoted = udp(address, 1111, SERVER[version], INNER)
            send(peer.path, icmp_error(NEIGHBOUR[version], address, quoted, kind))
        assert heard(near) == b""
        assert path_mtu(near, version) == mtu


@pytest.mark.parametrize("version", [4, 6])
def test_errors_about_a_flow_from_a_container_to_the_outside_arrive(lab, peer, network, version):
    client = lab.container(network, 2)
    near = opened(client.path, version, 1111, (NEIGHBOUR[version], 2222), CLIENT[version])
    with near, opened(peer.path, version, 2222) as far:
        near.send(b"question")
        assert heard(far, 5) == b"question"
        quoted = udp(HOST[version], 1111, NEIGHBOUR[version], 2222)
        send(peer.path, icmp_error(ROUTER[version], HOST[version], quoted, TOO_BIG))
        until(lambda: path_mtu(near, version) == NEXT_MTU)
        send(peer.path, icmp_error(ROUTER[version], HOST[version], quoted, UNREACHABLE))
        with pytest.raises(ConnectionRefusedError):
            near.recv(100)


@pytest.mark.parametrize("version", [4, 6])
def test_a_neighbour_reaches_a_published_port_only_with_addresses_outside_the_networks(lab, peer, network, version):
    with opened(published(lab, network).path, version, INNER) as server:
        for source in (CLIENT[version], GATEWAY[version], HOST[version]):
            send(peer.path, udp(source, 1111, HOST[version], PUBLISHED))
        assert heard(server) == b""
        send(peer.path, udp(NEIGHBOUR[version], 1111, HOST[version], PUBLISHED, b"own"))
        assert heard(server, 5) == b"own"


def test_a_neighbour_may_have_an_address_of_a_network_if_the_host_routes_to_it(lab, peer, network):
    """A VPN may give its clients addresses of a network's subnet."""
    lab.host.sh(f"ip route add {CLIENT[4]} via {NEIGHBOUR[4]}")
    with opened(published(lab, network).path, 4, INNER) as server:
        send(peer.path, udp(CLIENT[4], 1111, HOST[4], PUBLISHED, b"own"))
        assert heard(server, 5) == b"own"


def test_a_connected_namespace_may_answer_from_its_published_port_by_a_link_of_its_own(lab, network):
    """The namespace keeps the default route that it had before it was connected."""
    lab.host.sh("ip link add own type veth peer name own0; ip addr add 10.200.0.1/24 dev own; ip link set own up")
    server = lab.container(network, 3, [lab.binding(PUBLISHED, INNER)])
    lab.host.sh(f"ip link set own0 netns {server.namespace}")
    server.run("sh", "-c", "ip addr add 10.200.0.2/24 dev own0; ip link set own0 up")
    server.run("ip", "route", "replace", "default", "via", "10.200.0.1")
    client = lab.container(lab.network("n2", "172.31.0.0/16"), 2)
    lab.serve(server, INNER)
    assert lab.ask(client, HOST[4], PUBLISHED) == "172.31.0.2"


def test_a_container_sends_to_no_published_port_of_another_network_from_a_link_local_address(lab, network):
    """With br_netfilter, the kernel forwards such packets. They could be of a container on the port's own network."""
    mallory = lab.container(lab.network("n2", "172.31.0.0/16", "fd00:31::/64"), 2)
    with opened(published(lab, network).path, 6, INNER) as server:
        send(mallory.path, udp("fe80::3", 1111, HOST[6], PUBLISHED))
        assert heard(server) == b""
        send(mallory.path, udp("fd00:31::2", 1111, HOST[6], PUBLISHED, b"own"))
        assert heard(server, 5) == b"own"


def test_source_routing_leads_no_packet_to_the_hosts_loopback(lab, network):
    """route_localnet is on for the bridge, because a port is published on 127.0.0.1."""
    lab.container(network, 3, [lab.binding(PUBLISHED, INNER, "udp", host_ip="127.0.0.1")])
    mallory = lab.container(network, 2)
    bridge = f"br-{network.id[:12]}"
    assert lab.host.sh(f"cat /proc/sys/net/ipv4/conf/{bridge}/route_localnet").strip() == "1"
    lab.host.sh("sysctl -qw net.ipv4.conf.all.accept_source_route=1")
    mac = lab.host.sh(f"cat /sys/class/net/{bridge}/address").strip()
    frame = ethernet(mac, mallory.endpoint.mac, source_routed(CLIENT[4], GATEWAY[4], "127.0.0.1", 9000))
    with opened(lab.host.path, 4, 9000, address="127.0.0.1") as service:
        send_frame(mallory.path, frame)
        assert heard(service) == b""
        lab.host.sh(f"sysctl -qw net.ipv4.conf.{bridge}.accept_source_route=1")
        send_frame(mallory.path, frame)
        assert heard(service, 5) == b"forged", "the packet is well made"


def source_routed(source: str, first: str, last: str, port: int) -> bytes:
    """Return an IPv4 packet with a UDP datagram that is routed to the address ``first``, and from there to ``last``."""
    header, datagram = udp(source, 1, first, port)[:20], udp(source, 1, last, port)[20:]
    hop = bytes(map(int, last.split(".")))
    options = struct.pack("!4B4s", NO_OPERATION, LOOSE_SOURCE_ROUTE, 3 + len(hop), 4, hop)
    length = len(header) + len(options) + len(datagram)
    header = struct.pack("!BBH", 0x47, 0, length) + header[4:10] + bytes(2) + header[12:] + options
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + datagram
