"""hawse prints netlink messages as commands. The tests use rare messages, and kinds of links that few kernels have."""

from __future__ import annotations

import shlex
import socket
from ipaddress import ip_address, ip_network

import pytest

from drivers.explain import links, netfilter, routes
from drivers.explain.links import NameLookup
from drivers.firewall.encoding import ruleset
from drivers.linux import conntrack, link, neighbor, route
from drivers.linux.neighbor import Row
from drivers.linux.netlink import Message
from drivers.linux.nfnetlink import NFGENMSG
from drivers.linux.route import Route
from drivers.model import PortBinding

MAC = "02:00:00:00:00:01"
NAMES = NameLookup(lambda index: f"link{index}", lambda _: "/run/netns/c1")


class Sent:
    """A double of a netlink session, which keeps the messages that it gets."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def request(self, kind: int, body: bytes, flags: int = 0) -> list[bytes]:
        self.messages.append(Message(kind, flags, body))
        return []


def shown(translate, act) -> str:
    sent = Sent()
    act(sent)
    return shlex.join(translate(sent.messages[0], NAMES))


@pytest.mark.parametrize(
    ("kind", "attributes", "command"),
    [
        ("ipvlan", {"link": 3, "ipvlan_mode": 1, "ipvlan_flags": 2}, "link link3 name e1 type ipvlan mode l3 vepa"),
        ("macvlan", {"link": 3, "macvlan_mode": "passthru"}, "link link3 name e1 type macvlan mode passthru"),
        ("vlan", {"link": 3, "vlan_id": 10}, "link link3 name e1 type vlan id 10"),
        ("dummy", {}, "name e1 type dummy"),
        ("wireguard", {"net_ns_fd": 9}, "name e1 netns /run/netns/c1 type wireguard"),
        ("bridge", {"mtu": 1400, "br_mcast_snooping": 0}, "name e1 mtu 1400 type bridge mcast_snooping 0"),
        ("bridge", {"br_fdb_max_learned": 9}, "name e1 type bridge fdb_max_learned 9"),
        (
            "vxlan",
            {"vxlan_id": 9, "vxlan_local6": "fd::1", "vxlan_port": 4789, "vxlan_learning": 0, "vxlan_proxy": 1},
            "name e1 type vxlan id 9 local fd::1 dstport 4789 nolearning proxy",
        ),
    ],
)
def test_a_new_link_is_shown_with_its_kind(kind, attributes, command):
    text = shown(links.command, lambda session: link.add(session, "e1", kind, **attributes))
    assert text == f"ip link add {command}"


def test_a_changed_link_is_shown_by_its_name():
    for attributes, command in (
        ({"master": 0}, "nomaster"),
        ({"master": 4}, "master link4"),
        ({"state": "down"}, "down"),
        ({"ifname": "eth0", "ifalias": "it's"}, "name eth0 alias 'it'\"'\"'s'"),
    ):
        text = shown(links.command, lambda session, a=attributes: link.change(session, 7, **a))
        assert text == f"ip link set dev link7 {command}"


def test_a_changed_flag_or_setting_is_shown_by_its_word():
    for act, command in (
        (lambda s: link.switch_arp_on(s, 7), "ip link set dev link7 arp on"),
        (
            lambda s: link.change_kind(s, 7, "bridge", br_mcast_snooping=0, br_stp_state=0),
            "ip link set dev link7 type bridge mcast_snooping 0 stp_state 0",
        ),
        (
            lambda s: link.change_kind(s, 7, "macvlan", macvlan_mode="bridge"),
            "ip link set dev link7 type macvlan mode bridge",
        ),
        (
            lambda s: link.set_bridge_port(s, 7, isolated=1, state=3),
            "bridge link set dev link7 isolated on state 3",
        ),
        (
            lambda s: link.set_bridge_port(s, 7, isolated=0, proxy_arp=0),
            "ip link set dev link7 type bridge_slave isolated off proxy_arp off",
        ),
    ):
        assert shown(links.command, act) == command


def test_routes_are_shown_without_default_attributes():
    for added, command in (
        (
            Route(ip_network("0.0.0.0/0"), ip_address("10.0.0.1"), 2, 0, 3),
            "ip route add default via 10.0.0.1 dev link2",
        ),
        (Route(ip_network("::/0"), ip_address("fd::1"), 2, 1024, 3), "ip -6 route add default via fd::1 dev link2"),
        (Route(ip_network("128.0.0.0/1"), None, 2, 5, 104), "ip route add 128.0.0.0/1 dev link2 proto 104 metric 5"),
    ):
        assert shown(routes.ip_route, lambda session, w=added: route.add(session, w)) == command
    replaced = shown(
        routes.ip_route, lambda s: route.add(s, Route(ip_network("0.0.0.0/0"), None, 2, 0, 3), replacing=True)
    )
    assert replaced == "ip route replace default dev link2"


def test_rows_of_the_forwarding_table_are_shown():
    rows = {
        Row("forward", 2, MAC, "192.0.2.1"): f"bridge fdb replace {MAC} dev link2 dst 192.0.2.1 self permanent",
        Row("flood", 2, "192.0.2.1"): "bridge fdb append 00:00:00:00:00:00 dev link2 dst 192.0.2.1 self permanent",
        Row("port", 2, MAC): f"bridge fdb replace {MAC} dev link2 master static",
        Row("neighbor", 2, "fd::1", MAC): f"ip neighbour replace fd::1 lladdr {MAC} dev link2 nud permanent",
    }
    for row, command in rows.items():
        assert shlex.join(routes.neighbour(neighbor._added(row), NAMES)) == command


@pytest.mark.parametrize(
    ("address", "words"),
    [("0.0.0.0", "-p udp --dport 80 --dst-nat"), ("10.0.0.1", "--orig-dst 10.0.0.1 -p udp --dport 80")],
)
def test_deleted_flows_of_a_published_port_are_shown_with_the_filter(address, words):
    published = PortBinding("udp", ip_address(address), 80, 80, 8080, 8080)
    body = NFGENMSG.pack(socket.AF_INET, 0, 0) + conntrack._port_filter(published, 80, b"")
    assert shlex.join(netfilter.conntrack(Message(conntrack.DELETE, 0, body))) == f"conntrack -D -f ipv4 {words}"


def test_the_static_rules_appear_as_their_file_name():
    words, script = netfilter.nft(f"add table inet hawse\n{ruleset()}\nadd element inet hawse bridges {{ x }}\n")
    assert words == ["nft", "-f", "-"]
    assert script.count("\n") == 3 and "ruleset.nft" in script
    assert netfilter.nft("destroy table inet hawse\n") == (["nft", "destroy table inet hawse"], "")
