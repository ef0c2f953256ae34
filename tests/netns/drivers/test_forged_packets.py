"""A container forges packets with another machine's source address, and ICMP errors about others' connections.

These packets must not reach an end of such a connection, and must not break the connection.

Mallory, the attacker, is a container on her own network. The victim is a container on another network. The victim has a
masqueraded flow to the peer (another machine on the host's network). The peer uses a published port of the victim.

Legitimate packets must still pass:

- errors about a container's own connections
- answers from a container's address on another network
- packets that the host routes through a container
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from drivers.linux import netns as namespaces
from tests.packets import TOO_BIG, UNREACHABLE, ethernet, icmp_error, send, send_frame, udp

pytestmark = pytest.mark.netns

HOST, PEER = {4: "192.168.99.11", 6: "fd99::11"}, {4: "192.168.99.99", 6: "fd99::99"}
GATEWAY = {4: "172.30.0.1", 6: "fd00:30::1"}  # the host's address on mallory's bridge
SUBNET = {4: "172.30.0.0/16", 6: "fd00:30::/64"}
OWN, PUBLISHED, INNER, ECHO, LATEST = 5555, 8080, 50, 7, 9
SILENCE, PATIENCE = 0.1, 5.0  # seconds to wait for a forged packet and for a genuine one
NO_ICC = {"com.docker.network.bridge.enable_icc": "false"}
ANY = {4: "0.0.0.0", 6: "::"}
WAYS = [(4, 0, True), (4, 1, True), (4, 2, False), (6, 0, True), (6, 0, False)]
"""Test cases: the IP version, the value of the sysctl rp_filter (IPv4 only), and whether bridged packets pass the
firewall (br_netfilter).
"""
UNFILTERED = [direction for direction in WAYS if not direction[2]]


def opened(
    path: str, version: int, port: int = 0, to: tuple[str, int] | None = None, address: str = ""
) -> socket.socket:
    """Return a UDP socket in the namespace ``path``. If ``to`` is given, the socket is connected to this address."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    made = namespaces.run_in_netns(path, lambda: socket.socket(family, socket.SOCK_DGRAM))
    made.settimeout(PATIENCE)
    made.bind((address or ANY[version], port))
    if to is not None:
        made.connect(to)
    return made


def heard(receiver: socket.socket, wait: float = SILENCE) -> bytes:
    """Return what a socket receives, b"" if nothing arrives, or b"error" and the errno for an ICMP error."""
    receiver.settimeout(wait)
    try:
        return receiver.recv(2000)
    except TimeoutError:
        return b""
    except OSError as error:
        return f"error {error.errno}".encode()


def path_mtu(sock: socket.socket, version: int) -> int:
    if version == 4:
        return sock.getsockopt(socket.IPPROTO_IP, 14)  # option 14: IP_MTU
    return sock.getsockopt(socket.IPPROTO_IPV6, 24)  # option 24: IPV6_MTU


@dataclass
class Flow:
    """A UDP connection between two sockets.

    ``near_place`` and ``far_place`` are the ends' addresses as machines outside the host see them. ``inner`` is the
    near end's own address, before the host translates it.
    """

    near: socket.socket
    far: socket.socket
    near_place: tuple[str, int]
    far_place: tuple[str, int]
    inner: tuple[str, int]

    def works(self) -> bool:
        self.near.send(b"out")
        self.far.send(b"in")
        return heard(self.far, PATIENCE) == b"out" and heard(self.near, PATIENCE) == b"in"

    def untouched(self) -> bool:
        """Return whether the flow still works, and neither end has received a forged packet or an error."""
        return heard(self.near) == heard(self.far) == b"" and self.works()


class Field:
    """A host with a given sysctl rp_filter and two networks, and the peer (another machine on the host's network).

    Each network has one container: the attacker "mallory" on one network, and the victim on the other network.
    """

    def __init__(self, lab, peer, direction: tuple[int, int, bool], mallory_on_own: bool = True, **fields) -> None:
        version, rp_filter, filtered = direction
        self.lab, self.peer, self.version, self.sockets = lab, peer, version, contextlib.ExitStack()
        lab.host.sh(f"sysctl -qw net.ipv4.conf.all.rp_filter={rp_filter} net.ipv4.conf.default.rp_filter={rp_filter}")
        lab.host.sh(
            f"for k in iptables ip6tables; do echo {int(filtered)} > /proc/sys/net/bridge/bridge-nf-call-$k; done"
        )
        victims = lab.network("b", "172.31.0.0/16", "fd00:31::/64", **fields)
        ports = [lab.binding(PUBLISHED, INNER, "udp", host_ip=ip) for ip in ANY.values()]
        self.victim = lab.container(victims, 2, ports)
        if mallory_on_own:
            self.mallory = lab.container(lab.network("a", "172.30.0.0/16", "fd00:30::/64"), 2)
        else:
            self.mallory = lab.container(victims, 3)
        self.latest = self.open(peer, LATEST)
        self.settle()

    def address(self, container) -> str:
        endpoint = container.endpoint
        return str((endpoint.ipv4 if self.version == 4 else endpoint.ipv6).ip)

    def open(self, where, port: int = 0, to: tuple[str, int] | None = None, address: str = "") -> socket.socket:
        return self.sockets.enter_context(opened(where.path, self.version, port, to, address))

    def outgoing(self, where=None) -> Flow:
        """Return a masqueraded flow from the victim to the peer (another machine).

        If ``where`` is given, the flow begins at ``where`` instead of at the victim.
        """
        where = where or self.victim
        far_place = (PEER[self.version], ECHO)
        near, far = self.open(where, OWN, far_place), self.open(self.peer, ECHO)
        near.send(b"hello")
        _, seen = far.recvfrom(100)
        far.connect(seen[:2])
        inner = (self.address(where), OWN) if where is not self.lab.host else seen[:2]
        return Flow(near, far, seen[:2], far_place, inner)

    def published(self) -> Flow:
        """Return a flow from the peer (another machine) to the victim's published port."""
        near_place = (HOST[self.version], PUBLISHED)
        far, near = self.open(self.peer, OWN, near_place), self.open(self.victim, INNER)
        far.send(b"hello")
        _, seen = near.recvfrom(100)
        near.connect(seen[:2])
        return Flow(near, far, near_place, seen[:2], (self.address(self.victim), INNER))

    def from_gateway(self, far_place: tuple[str, int]) -> Flow:
        """Return a flow from the host's address on mallory's bridge to the victim.

        The host sends to ``far_place``: the victim's own address, or the port that the victim publishes.
        """
        near = self.open(self.lab.host, OWN, far_place, GATEWAY[self.version])
        far = self.open(self.victim, INNER)
        near.send(b"hello")
        _, seen = far.recvfrom(100)
        far.connect(seen[:2])
        return Flow(near, far, seen[:2], far_place, seen[:2])

    def forge(self, packet: bytes) -> None:
        send(self.mallory.path, packet)
        self.settle()

    def settle(self) -> None:
        """Send a packet from mallory and wait until the host has handled this packet.

        By then the host has also handled all earlier packets from mallory.
        """
        with opened(self.mallory.path, self.version, 0, (PEER[self.version], LATEST)) as sock:
            sock.send(b"latest")
        assert heard(self.latest, PATIENCE) == b"latest"

    def complain(self, destination: str, quoted: bytes) -> None:
        """Send ICMP errors of two types from each of mallory's own addresses; they quote the packet ``quoted``."""
        for kind in (UNREACHABLE, TOO_BIG):
            for source in [self.address(self.mallory), *([] if self.version == 4 else [self.link_local()])]:
                self.forge(icmp_error(source, destination, quoted, kind))

    def link_local(self) -> str:
        """Return mallory's link-local address. The host receives packets from this address but does not route them."""
        return (
            self.mallory.run("ip", "-br", "-6", "addr", "show", "dev", "eth0", "scope", "link").split()[2].split("/")[0]
        )


def describe(parameters: tuple[int, int, bool]) -> str:
    return f"IPv{parameters[0]}, rp_filter {parameters[1]}, bridged packets {'' if parameters[2] else 'not '}filtered"


@pytest.fixture(params=WAYS, ids=describe)
def field(request, lab, peer) -> Iterator[Field]:
    made = Field(lab, peer, request.param)
    yield made
    made.sockets.close()


@pytest.fixture(params=UNFILTERED, ids=describe)
def apart(request, lab, peer) -> Iterator[Field]:
    """mallory and the victim are on one network without icc (the option that lets containers reach each other).

    br_netfilter is off on the host. Therefore the firewall does not see packets that only the bridge forwards. The
    tests show which packets through the host are dropped.
    """
    made = Field(lab, peer, request.param, mallory_on_own=False, options=NO_ICC)
    yield made
    made.sockets.close()


def about(sender: tuple[str, int], receiver: tuple[str, int]) -> bytes:
    """Return the packet from ``sender`` to ``receiver`` in the form that an ICMP error quotes."""
    return udp(*sender, *receiver)


def test_no_forged_packet_enters_a_masqueraded_flow(field):
    flow = field.outgoing()
    field.forge(udp(*flow.far_place, *flow.near_place))
    field.forge(udp(*flow.inner, *flow.far_place))
    assert flow.untouched()


def test_no_forged_packet_enters_the_flow_of_a_published_port(field):
    flow = field.published()
    field.forge(udp(*flow.far_place, *flow.near_place))
    field.forge(udp(*flow.inner, *flow.far_place))
    assert flow.untouched()


def test_no_forged_packet_enters_a_flow_of_the_host(field):
    flow = field.outgoing(field.lab.host)
    field.forge(udp(*flow.far_place, *flow.near_place))
    assert flow.untouched()


def test_the_host_receives_no_packet_with_a_forged_source(field):
    listener = field.open(field.lab.host, 9000)
    gateway = GATEWAY[field.version]
    for forged in (field.address(field.victim), PEER[field.version], gateway, HOST[field.version]):
        field.forge(udp(forged, OWN, gateway, 9000))
        field.forge(udp(forged, OWN, HOST[field.version], 9000))
    assert heard(listener) == b""
    field.forge(udp(field.address(field.mallory), OWN, HOST[field.version], 9000, b"own"))
    assert heard(listener, PATIENCE) == b"own"


@pytest.mark.parametrize("published", [False, True])
def test_nothing_forged_enters_a_flow_that_the_host_sends_from_its_address_on_mallory_s_bridge(field, published):
    """The host's address is local on mallory's bridge, but the flow leads to the victim's network."""
    victim = field.address(field.victim), INNER
    flow = field.from_gateway((GATEWAY[field.version], PUBLISHED) if published else victim)
    field.forge(udp(*victim, *flow.near_place))
    for destination, quoted in (
        (flow.near_place[0], about(flow.near_place, flow.far_place)),
        (flow.far_place[0], about(flow.far_place, flow.near_place)),
        (victim[0], about(victim, flow.near_place)),
    ):
        field.complain(destination, quoted)
    assert flow.untouched()


def test_an_error_of_a_container_does_not_reach_a_neighbour_that_uses_the_hosts_address_on_its_bridge(field):
    """The peer (another machine) routes packets for the host's address on mallory's bridge to the host."""
    field.peer.sh(f"ip -{field.version} route add {SUBNET[field.version]} via {HOST[field.version]}")
    place, source = (GATEWAY[field.version], 9000), (PEER[field.version], OWN)
    near, far = field.open(field.peer, OWN, place), field.open(field.lab.host, 9000, address=place[0])
    near.send(b"hello")
    far.recvfrom(100)
    far.connect(source)
    flow = Flow(near, far, source, place, source)
    mtu = path_mtu(near, field.version)
    field.complain(source[0], about(source, place))
    assert flow.untouched()
    assert path_mtu(near, field.version) == mtu


@pytest.mark.parametrize("kind", ["outgoing", "published"])
def test_an_error_of_another_container_ends_no_flow(field, kind):
    flow = getattr(field, kind)()
    mtus = [path_mtu(sock, field.version) for sock in (flow.near, flow.far)]
    field.complain(flow.near_place[0], about(flow.near_place, flow.far_place))
    field.complain(flow.far_place[0], about(flow.far_place, flow.inner))
    field.complain(flow.far_place[0], about(flow.far_place, flow.near_place))
    assert flow.untouched()
    assert [path_mtu(sock, field.version) for sock in (flow.near, flow.far)] == mtus


def test_an_error_of_a_container_ends_no_flow_of_the_host(field):
    flow = field.outgoing(field.lab.host)
    mtu = path_mtu(flow.near, field.version)
    field.complain(flow.near_place[0], about(flow.near_place, flow.far_place))
    assert flow.untouched()
    assert path_mtu(flow.near, field.version) == mtu


def test_an_error_of_a_container_ends_no_flow_with_the_hosts_address_on_its_bridge(field):
    """The victim has a flow to the host's address on mallory's bridge. Mallory's ICMP errors must not end this flow.

    The host's address is in mallory's subnet, but is not an address of mallory herself.
    """
    place, source = (GATEWAY[field.version], 9000), (field.address(field.victim), OWN)
    near, far = field.open(field.victim, OWN, place), field.open(field.lab.host, 9000, address=place[0])
    near.send(b"hello")
    far.recvfrom(100)
    far.connect(source)
    flow = Flow(near, far, source, place, source)
    field.complain(source[0], about(source, place))
    field.complain(place[0], about(place, source))
    assert flow.untouched()


@pytest.mark.parametrize(("guarded", "mtu"), [("true", 1500), ("false", 1280)])
@pytest.mark.parametrize("version", [4, 6])
def test_with_the_spoof_guard_no_container_makes_the_packets_of_another_smaller(lab, peer, version, guarded, mtu):
    """Mallory and the victim are on the same network. Her ICMP errors do not pass the host, only the bridge."""
    field = Field(lab, peer, (version, 0, False), False, options={"com.hawse.bridge.spoof_guard": guarded})
    with field.sockets:
        flow = field.outgoing()
        address = field.address(field.mallory)
        error = icmp_error(address, flow.inner[0], about(flow.inner, flow.far_place), TOO_BIG)
        send_frame(field.mallory.path, ethernet(field.victim.endpoint.mac, field.mallory.endpoint.mac, error))
        field.settle()
        assert path_mtu(flow.near, version) == mtu


def test_containers_without_icc_cannot_forge_packets_through_the_host(apart):
    outgoing, published = apart.outgoing(), apart.published()
    for flow in (outgoing, published):
        apart.forge(udp(*flow.far_place, *flow.near_place))
        apart.complain(flow.near_place[0], about(flow.near_place, flow.far_place))
    assert outgoing.untouched()
    assert published.untouched()


def test_errors_about_own_connections_arrive(field):
    """A container's ICMP errors about its closed ports arrive at another container, at the host and at the peer.

    The peer (another machine) and the host also report their closed ports to a container.
    """
    host, peer = HOST[field.version], PEER[field.version]
    for client, place in (
        (field.mallory, (host, PUBLISHED)),
        (field.peer, (host, PUBLISHED)),
        (field.lab.host, (field.address(field.victim), INNER)),
        (field.victim, (peer, 9999)),
        (field.victim, (host, 9999)),
    ):
        asking = field.open(client, 0, place)
        asking.send(b"anyone?")
        assert heard(asking, PATIENCE) == b"error 111", place
