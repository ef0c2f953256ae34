"""VXLAN has no authentication, so each host must accept VXLAN packets from the network's other hosts only.

In each test, a neighbour (another machine on the wire), a container or a user sends a handmade VXLAN packet. The packet
has the form that the network's hosts use. The frame inside this packet must not get into the network.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_interface, ip_network

import pytest

from drivers import sandbox as sandboxes
from drivers.bridge import BridgeDriver
from drivers.errors import Exists, Missing
from drivers.firewall import table
from drivers.linux import netns as namespaces
from drivers.linux.default_routes import DefaultRoute
from drivers.model import Desired, EndpointSpec, NetworkSpec, Pool, Sandbox
from tests.packets import VXLAN_PORT, ethernet, send, udp, vxlan

pytestmark = pytest.mark.netns

PLAIN = "10.0.1.0/24"
VNI = 4097
PORT = 5001
SILENCE, PATIENCE = 0.3, 5.0  # seconds to wait for a forged frame and for a genuine frame
PEER = {4: "192.168.99.99", 6: "fd99::99"}
GATEWAY = {4: "172.30.0.1", 6: "fd00:30::1"}
BRIDGED = {4: "172.30.0.2", 6: "fd00:30::2"}


class Field:
    """An overlay network on two hosts, with a container on each host. A third host of the cluster is not on the
    network.
    """

    def __init__(self, cluster, version: int) -> None:
        self.cluster, self.version = cluster, version
        self.overlay = cluster.network("o1", PLAIN, underlay=version)
        self.first, self.second = self.overlay.container(0), self.overlay.container(1)
        self.third = cluster.some(3)[2]
        self.members = self.overlay.members
        self.servers = {c: receiver(c.path, c.ipv4) for c in (self.first, self.second)}
        for host in cluster.hosts:
            host.sh("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0")
        assert self.first.pings(self.second.ipv4)

    def address(self, number: int) -> str:
        """Return a host's address on the virtual wire (its underlay address)."""
        host = self.cluster.hosts[number]
        return host.address if self.version == 4 else host.address6

    def bridge_container(self, number: int) -> str:
        """Create a bridge network on a host, with one container; return the path of the container's network namespace.

        The container has default routes through the host.
        """
        pools = tuple(
            Pool(n, ip_interface(f"{n[1]}/{n.prefixlen}")) for n in map(ip_network, ("172.30.0.0/16", "fd00:30::/64"))
        )
        network = NetworkSpec(id="b" * 64, name="b", pools=pools, ipv6=True)
        endpoint = EndpointSpec(
            "e" * 64, "02:42:ac:1e:00:02", ip_interface("172.30.0.2/16"), ip_interface("fd00:30::2/64")
        )
        name = self.cluster.namespace()
        path, driver, here = f"/run/netns/{name}", BridgeDriver(), self.members[number].here
        here(lambda: driver.create_network(network))
        info = here(lambda: driver.join(network, endpoint, Sandbox(name, path), "eth0"))
        ways = [DefaultRoute(gateway.version, "eth0", gateway) for gateway in (info.gateway4, info.gateway6)]
        sandboxes.set_default_routes(Sandbox(name, path), ways, ways)
        for address in (GATEWAY[self.version], PEER[self.version]):
            self.pings(path, address)
        return path

    def pings(self, path: str, address: str) -> None:
        command = ["ping", "-c1", "-W5", address]
        assert (
            namespaces.run_in_netns(path, lambda: subprocess.run(command, capture_output=True, check=False)).returncode
            == 0
        )

    def packet(self, source: str, number: int, container, vni: int = VNI) -> bytes:
        """Return a VXLAN packet to host ``number``. The frame inside the packet is addressed to a container."""
        frame = ethernet(container.mac, "02:00:00:00:00:99", udp("10.0.1.99", 1, container.ipv4, PORT, b"slipped in"))
        return vxlan(source, self.address(number), vni, frame)

    def gets_in(self, path: str, source: str, number: int, wait: float = SILENCE) -> bool:
        """Send a VXLAN packet from the namespace ``path`` to a host.

        Return whether the frame inside the packet enters the overlay network.
        """
        container = (self.first, self.second)[number]
        server = self.servers[container]
        send(path, self.packet(source, number, container))
        server.settimeout(wait)
        try:
            return server.recv(100) == b"slipped in"
        except TimeoutError:
            return False

    def senders(self, number: int) -> set[str]:
        """Return the addresses from which a host accepts VXLAN packets."""
        elements = self.members[number].here(table.elements)
        return {e.key.split(" . ")[0] for e in elements if e.set.startswith("tunnel_peers")}


def receiver(path: str, address: str) -> socket.socket:
    made = namespaces.run_in_netns(path, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    made.bind((address, PORT))
    return made


@pytest.fixture(params=[4, 6], ids=["IPv4 underlay", "IPv6 underlay"])
def field(request, cluster) -> Iterator[Field]:
    made = Field(cluster, request.param)
    yield made
    for server in made.servers.values():
        server.close()


def test_only_hosts_of_the_network_get_frames_in(field):
    first, second, third = field.cluster.hosts
    assert field.gets_in(second.path, field.address(1), 0, PATIENCE), "the packets are well made"
    assert field.gets_in(first.path, field.address(0), 1, PATIENCE)
    assert not field.gets_in(field.cluster.peer.path, PEER[field.version], 0)
    assert not field.gets_in(third.path, field.address(2), 0), "a host that is not on the network"
    assert not field.gets_in(first.path, field.address(0), 0), "nor does a host to itself"
    assert field.first.pings(field.second.ipv4)


def test_no_container_on_a_bridge_gets_frames_in(field):
    path, address = field.bridge_container(0), BRIDGED[field.version]
    for forged in (address, field.address(1), field.address(0)):
        assert not field.gets_in(path, forged, 0), "into its own host"
        assert not field.gets_in(path, forged, 1), "into another, where it would come from a host of the network"
    through = receiver_on(field.cluster.peer.path, field.version)
    send(path, vxlan(address, PEER[field.version], VNI + 1, bytes(20)))
    assert through.recv(100), "other VXLAN packets of containers are nobody's business"
    through.close()


def receiver_on(path: str, version: int) -> socket.socket:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    made = namespaces.run_in_netns(path, lambda: socket.socket(family, socket.SOCK_DGRAM))
    made.bind(("0.0.0.0" if version == 4 else "::", VXLAN_PORT))
    made.settimeout(PATIENCE)
    return made


@pytest.mark.parametrize(("user", "gets_in"), [(0, True), (65534, False)])
def test_no_user_of_a_host_but_root_gets_frames_in(field, user, gets_in):
    server = field.servers[field.second]
    header = 28 if field.version == 4 else 48
    payload = field.packet(field.address(0), 1, field.second)[header:]
    family = socket.AF_INET if field.version == 4 else socket.AF_INET6
    script = (
        f"import socket; s = socket.socket({int(family)}, 2); s.sendto({payload!r}, {(field.address(1), VXLAN_PORT)})"
    )
    command = ["setpriv", f"--reuid={user}", "--clear-groups", sys.executable, "-S", "-c", script]
    done = namespaces.run_in_netns(
        field.cluster.hosts[0].path, lambda: subprocess.run(command, check=False, capture_output=True)
    )
    assert (done.returncode == 0) is gets_in, "the others are told that they may not"
    server.settimeout(PATIENCE if gets_in else SILENCE)
    with contextlib.suppress(TimeoutError):
        assert (server.recv(100) == b"slipped in") is gets_in
        return
    assert not gets_in


def test_hosts_are_let_in_as_long_as_they_have_containers_on_the_network(field):
    member, peer = field.members[0], field.overlay.peer(field.second)
    another = field.overlay.peer(field.overlay.container(1))
    assert field.senders(0) == {field.address(1)}
    member.remove_peer(another)
    assert field.gets_in(field.cluster.hosts[1].path, field.address(1), 0, PATIENCE)
    member.remove_peer(peer)
    assert field.senders(0) == set()
    assert not field.gets_in(field.cluster.hosts[1].path, field.address(1), 0)
    member.add_peer(peer)
    assert field.gets_in(field.cluster.hosts[1].path, field.address(1), 0, PATIENCE)
    member.act("program_peers", [])
    assert field.senders(0) == set()


def test_a_host_is_not_let_in_while_the_network_lacks_a_device(field):
    member, peer = field.members[0], field.overlay.peer(field.second)
    member.remove_peer(peer)
    member.inside("ip link delete vxlan0")
    with pytest.raises(Missing):
        member.add_peer(peer)
    assert field.senders(0) == set()


def test_verify_reports_and_repairs_the_set_of_allowed_senders(field):
    member, version = field.members[0], field.version
    places = [f"{field.address(n)} . {VXLAN_PORT} . {VNI}" for n in (1, 2)]
    name = f"tunnel_peers{version}"
    field.cluster.hosts[0].sh(
        f"nft 'delete element inet hawse {name} {{ {places[0]} }}; add element inet hawse {name} {{ {places[1]} }};"
        f" delete element inet hawse tunnels {{ {VXLAN_PORT} . {VNI} }}'"
    )
    differences = [
        f"missing: the firewall's element {name} {{ {places[0]} }}",
        f"missing: the firewall's element tunnels {{ {VXLAN_PORT} . {VNI} }}",
        f"unexpected: the firewall's element {name} {{ {places[1]} }}",
    ]
    assert member.verify() == differences
    assert member.verify(fix=True) == differences
    assert member.verify() == []


def test_lost_firewall_is_made_again_from_what_the_kernel_knows(field):
    member = field.members[0]
    state = [(member.network, [field.first.endpoint])]

    def repair(networks, unsettled=()):
        desired = Desired(networks, unsettled)
        differences = member.here(lambda: member.driver.compare(desired))
        member.here(lambda: member.driver.repair(desired, differences))
        return differences

    repair(state)
    assert repair(state) == []
    assert not member.here(member.driver.needs_repair)
    field.cluster.hosts[0].sh("nft flush ruleset")
    assert member.here(member.driver.needs_repair)
    assert field.gets_in(field.cluster.peer.path, PEER[field.version], 0, PATIENCE)
    for _ in range(2):
        repair(state)
    assert not member.here(member.driver.needs_repair)
    assert not field.gets_in(field.cluster.peer.path, PEER[field.version], 0)
    assert field.first.pings(field.second.ipv4)
    repair([], state)
    assert field.senders(0) == {field.address(1)}, "what is another command's stays as it is"
    repair([])
    assert field.senders(0) == set()


def test_vxlan_of_other_programs_on_the_same_port_still_works(field):
    first, third = field.cluster.hosts[0], field.third
    for host, local, remote, address in ((first, 0, 2, "10.9.0.1"), (third, 2, 0, "10.9.0.3")):
        ends = f"local {field.address(local)} remote {field.address(remote)} dev ext0"
        host.sh(f"ip link add vx type vxlan id 77 dstport {VXLAN_PORT} {ends}")
        host.sh(f"ip addr add {address}/24 dev vx; ip link set vx up")
    field.pings(first.path, "10.9.0.3")
    for host in (first, third):
        host.sh("ip link del vx")


def test_deleting_a_failed_network_keeps_the_senders_of_the_network_with_its_vni(field):
    host = field.cluster.hosts[0]
    with pytest.raises(Exists):
        field.cluster.network("o2", "10.0.9.0/24", hosts=1, vni=VNI, underlay=field.version)
    failed = field.cluster.members[-1]
    assert failed.host is host
    failed.act("delete_network")
    assert field.senders(0) == {field.address(1)}
    assert field.first.pings(field.second.ipv4)


def test_containers_are_kept_out_before_the_network_is_up_and_after_it_is_gone(field):
    """Containers cannot send VXLAN packets before the overlay network exists on this host, nor after its removal.

    The second case matters because other hosts still accept this host's packets for a short time.
    """
    member = field.members[0]
    path = field.bridge_container(0)
    member.act("delete_network")
    assert field.senders(0) == set()
    assert not field.gets_in(path, BRIDGED[field.version], 1)
    member.here(lambda: table.change(remove=[e for e in table.elements() if e.set == "tunnels"]))
    assert field.gets_in(path, BRIDGED[field.version], 1, PATIENCE)
    member.act("shut")
    assert not field.gets_in(path, BRIDGED[field.version], 1)
