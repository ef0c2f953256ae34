"""Parsing of the kernel's messages about links."""

from __future__ import annotations

from pyroute2.netlink.rtnl.ifinfmsg import IFF_LOOPBACK, IFF_UP, ifinfmsg

from drivers.linux import link, rtnetlink


class Kernel:
    """A double of a netlink session. It answers each request with the messages that the test gives."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)

    def dump(self, *_request: object) -> list[bytes]:
        return self.answers


def message(index: int, flags: int, **attributes) -> bytes:
    named = [(f"IFLA_{name.upper()}", value) for name, value in attributes.items()]
    return rtnetlink.encode(ifinfmsg, named, index=index, flags=flags)


def test_a_network_card_is_recognized_by_its_bus_device():
    card = message(4, IFF_UP, ifname="eth0", mtu=1500, parent_dev_name="0000:00:03.0", parent_dev_bus_name="pci")
    loopback = message(1, IFF_UP | IFF_LOOPBACK, ifname="lo", mtu=65536)
    links = link.all_links(Kernel(card, loopback))
    assert [(device.name, device.device, device.is_loopback, device.is_split) for device in links] == [
        ("eth0", "0000:00:03.0", False, False),
        ("lo", "", True, False),
    ]


def test_a_parent_in_another_namespace_and_a_bridge_of_a_port_are_recognized():
    kind = {"attrs": [("IFLA_INFO_KIND", "macvlan")]}
    elsewhere = message(7, IFF_UP, ifname="uplink", link=4, linkinfo=kind, link_netnsid=0)
    here = message(8, IFF_UP, ifname="sub", link=4, linkinfo=kind, master=3)
    links = link.all_links(Kernel(elsewhere, here))
    assert [(device.name, device.kind, device.is_split, device.master) for device in links] == [
        ("uplink", "macvlan", True, 0),
        ("sub", "macvlan", False, 3),
    ]


def test_an_alias_that_is_not_utf_8_keeps_its_bytes():
    (device,) = link.all_links(Kernel(message(4, 0, ifname="eth0", ifalias=b"caf\xe9")))
    assert device.alias == "caf\udce9"
