"""Neither the host nor another container accepts the router advertisements of a container."""

from __future__ import annotations

import socket
from contextlib import suppress
from ipaddress import IPv6Address

import pytest

from drivers import sandbox as sandboxes
from drivers.firewall import spoof_guard
from drivers.linux import netns as namespaces
from tests.conftest import until
from tests.netns.routers import MACS, advertise, advertisement, learnt
from tests.packets import fragments, send_frame, with_options

pytestmark = pytest.mark.netns

BRIDGE = "com.docker.network.bridge."
NAMED = {BRIDGE + "name": "mybr"}
V4, V6 = "172.30.0.0/16", "fd00:30::/64"
GENUINE = IPv6Address("2001:db8:900d::")
ALL_TYPES = 3  # ETH_P_ALL
ARRIVAL = 3.0  # seconds to wait for an expected address or route
PRIORITY, PROVIDER = bytes.fromhex("81000000"), bytes.fromhex("88a80000")
"""VLAN tags with id 0 (802.1Q, 802.1ad). The kernel removes them and reads the packet as one without tags."""


def parameter(lab, bridge: str = "mybr") -> str:
    return lab.host.sh(f"cat /proc/sys/net/ipv6/conf/{bridge}/accept_ra").strip()


def hears(lab, container) -> bool:
    """Return whether the host accepts a container's router advertisement.

    The host has accepted the advertisement if the host gets a default route or an address from it.
    """
    return bool(learnt(lab.host, again=lambda: advertise(container.path))) or "2001:db8:bad" in lab.host.sh(
        "ip -6 addr"
    )


@pytest.fixture
def mybr(lab):
    """The ``lab`` with a bridge "mybr", which belongs to the user and accepts router advertisements."""
    lab.host.sh("ip link add mybr type bridge; sysctl -qw net.ipv6.conf.mybr.accept_ra=2; ip link set mybr up")
    return lab


@pytest.mark.parametrize("subnets", [(V4,), (V4, V6)])
@pytest.mark.parametrize("forwarding", ["0", "1"])
def test_the_host_accepts_no_advertisement_from_a_bridge_of_hawse(lab, subnets, forwarding):
    n1 = lab.network("n1", *subnets, internal=True)
    c1 = lab.container(n1, 2)
    lab.host.sh(f"sysctl -qw net.ipv6.conf.all.forwarding={forwarding}")
    assert not hears(lab, c1)
    name = f"br-{n1.id[:12]}"
    lab.host.sh(f"sysctl -qw net.ipv6.conf.{name}.disable_ipv6=0 net.ipv6.conf.{name}.accept_ra=2")
    assert learnt(lab.host, ARRIVAL, again=lambda: advertise(c1.path)), "the frame is none that any host believes"


@pytest.mark.parametrize("subnets", [(V4,), (V4, V6)])
def test_the_host_accepts_no_container_advertisement_from_a_bridge_of_the_user(mybr, subnets):
    n1 = mybr.network("n1", *subnets, options=NAMED)
    mybr.host.sh("sysctl -qw net.ipv6.conf.all.forwarding=0")
    assert not hears(mybr, mybr.container(n1, 2))
    assert parameter(mybr) == "0"


def test_a_users_bridge_gets_its_accept_ra_back(mybr):
    n1 = mybr.network("n1", V4, options=NAMED)
    for _ in range(2):  # create twice, as after a reboot or a killed command
        mybr.on_host(lambda: mybr.driver.create_network(n1))
    assert parameter(mybr) == "0"
    for _ in range(2):
        mybr.on_host(lambda: mybr.driver.delete_network(n1))
    assert parameter(mybr) == "2"


def test_the_saved_accept_ra_of_a_deleted_bridge_is_forgotten(mybr):
    n1 = mybr.network("n1", V4, options=NAMED)
    mybr.host.sh("ip link del mybr")
    mybr.on_host(lambda: mybr.driver.delete_network(n1))
    assert list((mybr.host.run_dir / "accept_ra").iterdir()) == []


def test_an_accept_ra_that_the_user_sets_stays_and_containers_are_muted(mybr):
    n1 = mybr.network("n1", V4, options=NAMED)
    mybr.host.sh("sysctl -qw net.ipv6.conf.mybr.accept_ra=2")
    c1 = mybr.container(n1, 2)
    assert not hears(mybr, c1)
    mybr.leave(c1)
    assert muted(mybr) == ""
    mybr.on_host(lambda: mybr.driver.delete_network(n1))
    assert parameter(mybr) == "2"


def muted(lab) -> str:
    return lab.host.sh(f"nft list set {spoof_guard.TABLE} muted | grep elements", check=False).strip()


@pytest.fixture
def lan(mybr, netns):
    """The user's bridge, connected by a virtual wire to a LAN. On this LAN the host's real router sends
    advertisements.
    """
    mybr.host.sh(f"ip link add wire master mybr type veth peer name eth0 netns {netns.name}; ip link set wire up")
    netns.sh("ip link set eth0 up")
    return netns


def test_a_bridge_with_a_wire_accepts_advertisements_from_the_wire_only(mybr, lan):
    n1 = mybr.network("n1", V4, V6, options=NAMED)
    c1, c2 = mybr.container(n1, 2), mybr.container(n1, 3)
    assert not hears(mybr, c1)
    routes = learnt(mybr.host, ARRIVAL, again=lambda: advertise(lan.path, prefix=GENUINE))
    assert [line.split()[4] for line in routes] == ["mybr"]
    assert mybr.pings(c1, "172.30.0.3")
    assert mybr.pings(c1, "fd00:30::3")
    assert parameter(mybr) == "2"
    mybr.leave(c1)
    assert muted(mybr) == f'elements = {{ "veth{c2.endpoint.id[:7]}" }}'


@pytest.mark.parametrize("tags", [PRIORITY, PROVIDER, PRIORITY * 2, PRIORITY * 3, PROVIDER + PRIORITY], ids=bytes.hex)
def test_vlan_tags_hide_no_advertisement_of_a_container(mybr, lan, tags):
    c1 = mybr.container(mybr.network("n1", V4, options=NAMED), 2)
    assert learnt(mybr.host, again=lambda: advertise(c1.path, tags=tags)) == []
    assert learnt(mybr.host, ARRIVAL, again=lambda: advertise(lan.path, tags=tags)), "the host reads such frames"


def test_extension_headers_hide_no_advertisement_of_a_container(mybr, lan):
    """The advertisement begins in the second fragment. With br_netfilter, the host joins the fragments."""
    mybr.host.sh("echo 1 > /proc/sys/net/bridge/bridge-nf-call-ip6tables")
    c1 = mybr.container(mybr.network("n1", V4, options=NAMED), 2)
    frame, length = advertisement(), MACS + 2  # the length of the Ethernet header
    frames = [frame[:length] + fragment for fragment in fragments(with_options(frame[length:], 2), 8)]

    def advertise_in_fragments(path: str) -> None:
        for each in frames:
            send_frame(path, each)

    assert learnt(mybr.host, again=lambda: advertise_in_fragments(c1.path)) == []
    assert learnt(mybr.host, ARRIVAL, again=lambda: advertise_in_fragments(lan.path)), "the host reads such frames"


def test_frames_of_a_vlan_pass_the_muted_port_of_a_container(mybr, lan):
    c1 = mybr.container(mybr.network("n1", V4, options=NAMED), 2)
    tag, payload = bytes.fromhex("81000007"), bytes.fromhex("88b5") + b"a frame of VLAN 7".ljust(46)
    with link_socket(lan.path) as listener, link_socket(c1.path) as sender:
        listener.setblocking(False)

        def arrives() -> bool:
            sender.send(b"\xff" * 6 + bytes.fromhex(c1.endpoint.mac.replace(":", "")) + tag + payload)
            with suppress(BlockingIOError):
                return payload in listener.recv(2048)
            return False

        until(arrives, ARRIVAL)


def link_socket(path: str) -> socket.socket:
    """Return a socket that sends and receives whole frames at eth0 in the namespace ``path``."""
    opened = namespaces.run_in_netns(path, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
    opened.bind(("eth0", ALL_TYPES))
    return opened


@pytest.mark.parametrize("what", ["flush ruleset", "delete table bridge hawse"])
def test_rules_for_muted_ports_are_restored_after_others_removed_them(mybr, lan, what):
    n1 = mybr.network("n1", V4, options=NAMED)
    c1 = mybr.container(n1, 2)
    mybr.repair([(n1, [c1.endpoint])])
    assert mybr.repair([(n1, [c1.endpoint])]) == []
    mybr.host.sh(f"nft {what}")
    assert mybr.on_host(mybr.driver.needs_repair)
    mybr.repair([(n1, [c1.endpoint])])
    assert not mybr.on_host(mybr.driver.needs_repair)
    assert not hears(mybr, c1)


def test_containers_accept_advertisements_of_others_only_if_enabled(lab):
    n1 = lab.network("n1", V4, V6)
    option = {sandboxes.SYSCTLS_OPTION: "net.ipv6.conf.IFNAME.accept_ra=1"}
    rogue, plain = lab.container(n1, 2), lab.container(n1, 3)
    enabled, by_default = (
        lab.container(n1, 4, options=option),
        lab.container(n1, 5, sysctls={"net/ipv6/conf/default/accept_ra": "2"}),
    )
    listening = [c for c in (enabled, by_default) if learnt(Shell(c), ARRIVAL, again=lambda: advertise(rogue.path))]
    assert listening == [enabled, by_default]
    assert learnt(Shell(plain)) == []
    assert "2001:db8:bad" not in plain.run("ip", "-6", "addr")


class Shell:
    """A container in which a test can run shell scripts."""

    def __init__(self, container) -> None:
        self.container = container

    def sh(self, script: str) -> str:
        return self.container.run("sh", "-c", script)


def test_the_bridge_of_an_isolated_network_has_no_address_at_all(lab):
    options = {BRIDGE + "gateway_mode_ipv4": "isolated", BRIDGE + "gateway_mode_ipv6": "isolated"}
    n1 = lab.network("n1", V4, V6, options=options, internal=True)
    c1, c2 = lab.container(n1, 2), lab.container(n1, 3)
    assert lab.host.sh(f"ip addr show dev br-{n1.id[:12]} | grep inet", check=False) == ""
    assert lab.pings(c1, "fd00:30::3")
    neighbours = c2.run("sh", "-c", "ping -c2 -W1 -i0.2 ff02::1%eth0 >&2; ip -6 neigh show dev eth0; true")
    assert c1.endpoint.mac in neighbours
    assert lab.host.sh(f"cat /sys/class/net/br-{n1.id[:12]}/address").strip() not in neighbours
