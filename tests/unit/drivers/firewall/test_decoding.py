"""Decoding of firewall elements that the kernel lists.

Equal elements must give equal bytes, and their text must be the text that nftables prints.
"""

from __future__ import annotations

import pytest

from drivers.firewall.decoding import SIZES, WRITERS, element, unpacked
from drivers.firewall.elements import Element
from drivers.firewall.encoding import (
    DATA,
    KEY,
    READERS,
    VALUE,
    VERDICT,
    VERDICT_CODE,
    Packed,
    Shape,
    item,
    packed,
    shapes,
)
from drivers.linux.attributes import attribute, each, nested

MAIN, SPOOFING = "inet hawse", "bridge hawse"
ELEMENTS = [
    (MAIN, Element("bridges", '"br-1"')),
    (MAIN, Element("same_bridge", '"br-1" . "br-1"', "accept")),
    (MAIN, Element("same_bridge", '"br-1" . "br-1"', "goto no_icc")),
    (MAIN, Element("members4", '172.18.0.0/16 . "br-1"')),
    (MAIN, Element("members6", 'fd00:1::/64 . "br-1"')),
    (MAIN, Element("masqueraded", '"br-1" . ipv6')),
    (MAIN, Element("source6", '"br-1"', "fd00::1")),
    (MAIN, Element("exact4", "127.0.0.1 . tcp . 80", "172.18.0.2 . 8080")),
    (MAIN, Element("any4", "sctp . 80", "172.18.0.2 . 80")),
    (MAIN, Element("range4", "0.0.0.0/0 . tcp . 8000-8010", "172.18.0.2")),
    (MAIN, Element("relay", "tcp", "4711")),
    (MAIN, Element("pingable", '"br-1" . ipv6-icmp')),
    (MAIN, Element("linked6", "fd00::2 . fd00::3 . tcp . 80-81")),
    (SPOOFING, Element("macs", '"veth1234567" . 02:42:ac:12:00:02')),
    (SPOOFING, Element("addresses6", '"veth1234567" . fe80::42:acff:fe12:2')),
]


def listed(entry: Packed, shape: Shape) -> bytes:
    """Return the bytes of a firewall element as the kernel lists them. The kernel accepts elements in the same form."""
    ((_, body),) = each(item(entry, shape, with_value=True))
    return body


def test_every_type_can_be_written_and_read():
    assert WRITERS.keys() == READERS.keys() == SIZES.keys()


@pytest.mark.parametrize(("table", "encoded"), ELEMENTS)
def test_an_element_is_decoded_as_it_was_encoded(table, encoded):
    shape = shapes(table)[encoded.set]
    entry = packed(encoded, table)
    assert unpacked(listed(entry, shape), shape) == entry
    assert element(encoded.set, entry, shape) == encoded


@pytest.mark.parametrize(
    ("set_name", "entry", "text"),
    [
        ("bridges", Packed(b""), "*"),
        ("pingable", Packed(b"br-1".ljust(16, b"\0") + b"\x02\0\0\0"), '"br-1" . 2'),
        ("members4", Packed(b"\x0a\0\0\1" + bytes(16), b"\x0a\0\0\3" + bytes(16)), '10.0.0.1-10.0.0.3 . ""'),
    ],
)
def test_elements_that_hawse_never_adds_have_a_text_too(set_name, entry, text):
    assert element(set_name, entry, shapes()[set_name]).key == text


def test_a_single_key_in_an_interval_set_is_an_interval_of_one_key():
    shape = shapes()["relayed"]
    body = nested(KEY, attribute(VALUE, bytes(16) + b"\x06\0\0\0\0\x50\0\0"))
    assert unpacked(body, shape).end == unpacked(body, shape).key


@pytest.mark.parametrize(("code", "text"), [(0, b"drop"), (-5, b"return"), (-99, b"-99")])
def test_verdicts_that_hawse_never_uses_have_a_text_of_their_own(code, text):
    shape = shapes()["same_bridge"]
    data = nested(DATA, nested(VERDICT, attribute(VERDICT_CODE, code.to_bytes(4, signed=True))))
    assert unpacked(nested(KEY, attribute(VALUE, bytes(32))) + data, shape).value == text


def test_the_catch_all_element_is_encoded_for_the_kernel():
    ((_, body),) = each(item(Packed(b""), with_value=False))
    assert body.hex() == "08000300" + "00000002"
