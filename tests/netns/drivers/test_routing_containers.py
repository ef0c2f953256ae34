"""Containers that act as routers, or that answer from an address on another of their networks.

A router container connects the host to a network behind the container, like a container that runs a VPN. Packets from
senders in that network enter the host through the container's bridge. Only the host's routes show that these packets
are not forged.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from drivers.linux import netns as namespaces
from tests.packets import broadcast, send, udp

pytestmark = pytest.mark.netns

HOST, HOST6, PEER, PEER6 = "192.168.99.11", "fd99::11", "192.168.99.99", "fd99::99"
FAR, FAR6, BEYOND = "10.8.0.2", "fd00:8::2", "198.51.100.5"
SMALL_MTU = 1280
MARK, TABLE = 7, 77
UNPROTECTED = {"com.docker.network.bridge.gateway_mode_ipv4": "nat-unprotected"}
ROUTED = {"com.docker.network.bridge.gateway_mode_ipv4": "routed"}


class Site:
    """A host with a router container on one network, a network behind the router, and another network with a published
    port.
    """

    def __init__(self, lab, peer) -> None:
        self.lab, self.peer, self.host = lab, peer, lab.host
        self.network = lab.network("a", "172.30.0.0/16", "fd00:30::/64", options=UNPROTECTED)
        self.bridge = f"br-{self.network.id[:12]}"
        self.router = lab.container(self.network, 2)
        ports = [lab.binding(8080, 80, host_ip=ip) for ip in ("0.0.0.0", "::")]
        self.web = lab.container(lab.network("b", "172.31.0.0/16", "fd00:31::/64"), 2, ports)
        self.far = lab.sandbox()
        self.router.run("ip", "link", "add", "tun", "type", "veth", "peer", "name", "far", "netns", self.far.namespace)
        self.router.run(
            "sh",
            "-ec",
            f"""
            sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
            ip addr add 10.8.0.1/24 dev tun; ip addr add fd00:8::1/64 dev tun nodad; ip link set tun mtu {SMALL_MTU} up
            ip route add {BEYOND} via {FAR}
        """,
        )
        self.far.run("sh", "-ec", f"""
            ip link set lo up; ip addr add {FAR}/24 dev far; ip addr add {FAR6}/64 dev far nodad
            ip link set far mtu {SMALL_MTU} up
            ip route add default via 10.8.0.1; ip route add default via fd00:8::1; ip addr add {BEYOND}/32 dev lo
        """)  # fmt: skip
        lab.host.sh("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0")
        assert lab.pings(self.router, "fd00:30::1"), "its address is checked for duplicates no more"

    def know_routes(self) -> None:
        self.host.sh("ip route add 10.8.0.0/24 via 172.30.0.2; ip route add fd00:8::/64 via fd00:30::2")


@pytest.fixture
def site(lab, peer) -> Site:
    return Site(lab, peer)


def test_network_behind_a_container_reaches_what_containers_reach(site):
    site.know_routes()
    for where, address in ((site.peer, "0.0.0.0"), (site.peer, "fd99::99"), (site.host, "::")):
        site.lab.serve(where, 80, address=address)
    site.lab.serve(site.web, 80)
    site.lab.serve(site.web, 80, address="fd00:31::2")
    assert site.lab.ask(site.far, PEER, 80) == HOST
    assert site.lab.ask(site.far, PEER6, 80) == HOST6
    assert site.lab.ask(site.far, "172.30.0.1", 80).endswith(FAR)
    assert site.lab.ask(site.far, HOST6, 80) == FAR6
    assert site.lab.ask(site.far, HOST, 8080) == FAR
    assert site.lab.ask(site.far, HOST6, 8080) == FAR6
    assert site.lab.silent(site.far, "172.31.0.2", 80), "but not the other network itself"
    assert site.lab.silent(site.far, "fd00:31::2", 80)


def test_senders_that_the_host_does_not_route_to_are_not_heard(site):
    servers = [site.lab.serve(where, 50, "udp") for where in (site.peer, site.host)]
    for server, address in zip(servers, (PEER, "172.30.0.1"), strict=True):
        assert site.lab.hears(server, site.router, address, 50, wait=5)
        assert not site.lab.hears(server, site.far, address, 50)


@pytest.mark.parametrize(("version", "client", "server"), [(4, PEER, FAR), (6, PEER6, FAR6)])
def test_container_reports_its_tunnels_mtu_to_other_machines(site, version, client, server):
    site.know_routes()
    near, far = bound(site.far, version, 5000), bound(site.peer, version, 7)
    with near, far:
        near.connect((client, 7))
        near.send(b"hello")
        _, masqueraded = far.recvfrom(100)
        far.connect(masqueraded)
        assert learned_mtu(far, version) == SMALL_MTU


@pytest.mark.parametrize(("version", "server"), [(4, FAR), (6, FAR6)])
def test_container_reports_its_tunnels_mtu_to_the_host(site, version, server):
    site.know_routes()
    with bound(site.host, version, 5000) as near:
        near.connect((server, 7))
        assert learned_mtu(near, version) == SMALL_MTU


def test_host_that_routes_by_marks_through_a_container_hears_the_answers(site):
    """A program marks its packets, and a routing rule sends marked packets to the router container.

    The host must receive the answers to these packets. The host's unmarked packets have no route to the answering
    address.
    """
    site.host.sh(f"ip rule add fwmark {MARK} table {TABLE}; ip route add default via 172.30.0.2 table {TABLE}")
    site.lab.serve(site.far, 50, "udp", address=BEYOND)
    with bound(site.host, 4, 0) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
        client.connect((BEYOND, 50))
        client.send(b"?")
        assert client.recv(100) == b"172.30.0.1"


def test_peer_routed_by_marks_through_a_container_hears_the_answers(site):
    site.host.sh(f"ip rule add fwmark {MARK} table {TABLE}; ip route add default via 172.30.0.2 table {TABLE}")
    site.host.sh(f"ip route add 192.168.99.0/24 dev ext0 table {TABLE}")
    site.host.sh(
        "nft 'add table ip other; add chain ip other pre { type filter hook prerouting priority mangle; };"
        f" add rule ip other pre iifname ext0 ip daddr {BEYOND} meta mark set {MARK} ct mark set {MARK};"
        " add rule ip other pre meta mark set ct mark'"
    )
    site.peer.sh(f"ip route add {BEYOND} via {HOST}")
    site.lab.serve(site.far, 50, "udp", address=BEYOND)
    assert site.lab.ask(site.peer, BEYOND, 50, "udp") == PEER


def test_host_hears_a_container_that_has_no_address_yet(site):
    dhcp = site.lab.serve(site.host, 67, "udp")
    broadcast(site.router.path, site.router.endpoint.mac, udp("0.0.0.0", 68, "255.255.255.255", 67))
    assert dhcp.heard.wait(5)


def test_host_and_container_speak_over_link_local_addresses(site):
    shown = site.host.sh(f"ip -br -6 addr show dev {site.bridge} scope link").split()[2]
    assert site.lab.pings(site.router, f"{shown.partition('/')[0]}%eth0")


def bound(where, version: int, port: int) -> socket.socket:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    made = namespaces.run_in_netns(where.path, lambda: socket.socket(family, socket.SOCK_DGRAM))
    made.settimeout(5)
    made.bind(("0.0.0.0" if version == 4 else "::", port))
    return made


def learned_mtu(sock: socket.socket, version: int) -> int:
    """Send packets that routers must not fragment, until the path MTU shrinks.

    Return the MTU that the kernel has then stored for the socket.
    """
    level = socket.IPPROTO_IP if version == 4 else socket.IPPROTO_IPV6
    discover, mtu = (10, 14) if version == 4 else (23, 24)  # IP_MTU_DISCOVER, IP_MTU; IPV6_MTU_DISCOVER, IPV6_MTU
    sock.setsockopt(level, discover, 2)  # value 2: IP_PMTUDISC_DO
    for _ in range(20):
        try:
            sock.send(bytes(1400))
            sock.settimeout(0.1)
            sock.recv(100)
        except TimeoutError:
            continue
        except OSError:
            break
    return sock.getsockopt(level, mtu)


class Twofold:
    """A container on two networks. The container's default route uses the first network.

    The host routes the second network without NAT.
    """

    def __init__(self, lab, peer) -> None:
        self.lab, self.peer = lab, peer
        self.first, self.second = lab.network("a", "172.30.0.0/16"), lab.network("b", "172.31.0.0/16", options=ROUTED)
        self.member = lab.container(self.first, 2)
        lab.join(self.member, self.second, 2, [lab.binding(80, 80)], interface="eth1")
        self.member.run("ip", "route", "replace", "default", "via", "172.30.0.1")
        lab.serve(self.member, 80)
        lab.host.sh("sysctl -qw net.ipv4.conf.all.rp_filter=2")
        peer.sh(f"ip route add 172.31.0.0/16 via {HOST}")
        self.addresses = [endpoint.ipv4.ip for _, endpoint in self.member.endpoints]

    def admit(self, action: str) -> None:
        siblings = [(self.first, [self.addresses[1]]), (self.second, [self.addresses[0]])]
        self.lab.on_host(lambda: getattr(self.lab.driver, action)(siblings))


@pytest.fixture
def twofold(lab, peer) -> Iterator[Twofold]:
    yield Twofold(lab, peer)


def test_container_answers_by_another_of_its_networks(twofold):
    assert twofold.lab.silent(twofold.peer, "172.31.0.2", 80), "it answers by a network where that address is not"
    for _ in range(2):
        twofold.admit("admit")
    assert twofold.lab.ask(twofold.peer, "172.31.0.2", 80) == PEER
    stranger = twofold.lab.container(twofold.first, 3)
    server = twofold.lab.serve(twofold.peer, 50, "udp")
    send(stranger.path, udp("172.31.0.3", 5000, PEER, 50))
    assert not server.heard.wait(0.3), "others of that network do not send from there"
    for _ in range(2):
        twofold.admit("dismiss")
    assert twofold.lab.silent(twofold.peer, "172.31.0.2", 80)
    assert not [e for e in twofold.lab.elements() if e.set.startswith("siblings")]
