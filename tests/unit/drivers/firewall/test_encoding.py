"""Encoding of firewall elements as bytes, according to the types that the ruleset declares."""

from __future__ import annotations

import re

import pytest

from drivers.firewall.elements import Element
from drivers.firewall.encoding import FILES, READERS, Shape, encoded, ruleset, shapes
from drivers.linux.attributes import each

KEY, DATA, KEY_END, VALUE, VERDICT = 1, 2, 10, 1, 2


def parts(element: Element, *, with_value: bool = True) -> dict[int, dict[int, bytes]]:
    ((_, item),) = each(encoded(element, with_value=with_value))
    return {kind: dict(each(payload)) for kind, payload in each(item)}


def test_every_set_of_the_rulesets_has_types_that_can_be_read():
    for table in FILES:
        assert shapes(table).keys() == set(re.findall(r"^\t(?:set|map) (\w+)", ruleset(table), re.MULTILINE))
    types = {kind for table in FILES for shape in shapes(table).values() for kind in (*shape.key, *shape.value)}
    assert types == {*READERS, "verdict"}
    assert shapes()["range4"] == Shape(("ipv4_addr", "inet_proto", "inet_service"), ("ipv4_addr",), interval=True)


def test_each_part_of_a_concatenation_fills_whole_registers():
    attributes = parts(Element("exact4", "192.0.2.1 . udp . 53", "172.30.0.2 . 80"))
    assert attributes[KEY][VALUE] == bytes.fromhex("c0000201 11000000 00350000")
    assert attributes[DATA][VALUE] == bytes.fromhex("ac1e0002 00500000")
    assert KEY_END not in attributes


def test_a_key_of_one_part_has_the_size_of_its_type():
    attributes = parts(Element("relay", "tcp", "4711"))
    assert (attributes[KEY][VALUE], attributes[DATA][VALUE]) == (b"\x06", (4711).to_bytes(2))
    assert parts(Element("bridges", '"br0"'))[KEY][VALUE] == b"br0".ljust(16, b"\0")


@pytest.mark.parametrize(
    ("key", "first", "last"),
    [
        ("::1 . tcp . 80", "00" * 15 + "01 06000000 00500000", "00" * 15 + "01 06000000 00500000"),
        ("fe80::/10 . udp . 80-81", "fe80" + "00" * 14 + "11000000 00500000", "febf" + "ff" * 14 + "11000000 00510000"),
    ],
)
def test_an_interval_has_two_ends(key, first, last):
    attributes = parts(Element("relayed", key))
    assert (attributes[KEY][VALUE], attributes[KEY_END][VALUE]) == (bytes.fromhex(first), bytes.fromhex(last))


@pytest.mark.parametrize(("verdict", "code", "chain"), [("accept", 1, None), ("goto no_icc", -4, b"no_icc\0")])
def test_a_verdict_is_encoded_with_its_code_and_chain(verdict, code, chain):
    attributes = dict(each(parts(Element("same_bridge", '"br0" . "br0"', verdict))[DATA][VERDICT]))
    assert (int.from_bytes(attributes[1], signed=True), attributes.get(2)) == (code, chain)


def test_an_element_to_remove_is_encoded_without_its_value():
    assert parts(Element("any4", "tcp . 80", "172.30.0.2 . 80"), with_value=False).keys() == {KEY}
