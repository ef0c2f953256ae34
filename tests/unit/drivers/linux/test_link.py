"""Links as the kernel describes them."""

from __future__ import annotations

import socket

from drivers.linux import link
from drivers.linux.attributes import attribute, nested, number, text


class Kernel:
    """A session that answers with given messages."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)

    def dump(self, _kind: int, _body: bytes) -> list[bytes]:
        return self.answers


def message(index: int, flags: int, *attributes: bytes) -> bytes:
    return link.IFINFOMSG.pack(socket.AF_UNSPEC, 1, index, flags, 0) + b"".join(attributes)


def test_a_network_card_is_told_by_its_bus_device():
    card = message(4, 0x1043, text(3, "eth0"), number(4, 1500), text(56, "0000:00:03.0"), text(57, "pci"))
    loopback = message(1, 0x49, text(3, "lo"), number(4, 65536))
    found = link.all_links(Kernel(card, loopback))
    assert [(one.name, one.device, one.is_loopback, one.is_split) for one in found] == [
        ("eth0", "0000:00:03.0", False, False),
        ("lo", "", True, False),
    ]


def test_a_sub_interface_of_a_parent_in_another_namespace_and_a_port_of_a_bridge():
    kind = nested(18, text(1, "macvlan"))
    elsewhere = message(7, 0x1003, text(3, "uplink"), number(5, 4), kind, attribute(37, b"\0\0\0\0"))
    here = message(8, 0x1003, text(3, "sub"), number(5, 4), kind, number(10, 3))
    found = link.all_links(Kernel(elsewhere, here))
    assert [(one.name, one.kind, one.is_split, one.master) for one in found] == [
        ("uplink", "macvlan", True, 0),
        ("sub", "macvlan", False, 3),
    ]
