"""Splitting and comparison of the port ranges that a user wants to publish, and ranges of exposed ports."""

from __future__ import annotations

import pytest

from engine.model import PortSpec
from engine.ports.allocation import (
    around,
    expand_exposed,
    exposed_port,
    exposed_ranges,
    includes,
    split_overlapping,
)

RANGE = PortSpec("tcp", 80, "", "8000-8009", 89)


def test_ranges_are_split_at_the_ends_of_other_ranges():
    other = PortSpec("tcp", 84, "", "9000")
    assert list(split_overlapping([RANGE, other])) == [
        PortSpec("tcp", 80, "", "8000-8003", 83), PortSpec("tcp", 84, "", "8004"),
        PortSpec("tcp", 85, "", "8005-8009", 89), other,
    ]  # fmt: skip
    assert next(split_overlapping([RANGE, PortSpec("udp", 84, "", "9000")])) is RANGE


def test_a_range_with_automatic_host_ports_is_split_into_ports():
    assert list(split_overlapping([PortSpec("tcp", 80, port_end=82)])) == [
        PortSpec("tcp", port) for port in (80, 81, 82)
    ]


@pytest.mark.parametrize(
    ("first", "last", "left"),
    [
        (84, 85, [PortSpec("tcp", 80, "", "8000-8003", 83), PortSpec("tcp", 86, "", "8006-8009", 89)]),
        (80, 88, [PortSpec("tcp", 89, "", "8009")]),
        (85, 99, [PortSpec("tcp", 80, "", "8000-8004", 84)]),
        (80, 89, []),
        (90, 99, [RANGE]),
        (1, 79, [RANGE]),
    ],
)
def test_removing_ports_from_a_range_leaves_the_other_ports(first, last, left):
    assert around(RANGE, first, last) == left


def test_a_range_includes_only_the_same_mapping():
    assert includes(RANGE, RANGE) and includes(RANGE, PortSpec("tcp", 81, "", "8001"))
    assert includes(RANGE, PortSpec("tcp", 88, "", "8008-8009", 89))
    assert not includes(RANGE, PortSpec("tcp", 81, "", "8002"))
    assert not includes(RANGE, PortSpec("udp", 81, "", "8001")) and not includes(RANGE, PortSpec("tcp", 81))
    assert not includes(RANGE, PortSpec("tcp", 89, "", "8009-8010", 90))


def test_a_range_is_exposed_as_one_entry():
    assert (exposed_port(RANGE), exposed_port(PortSpec("udp", 53))) == ("80-89/tcp", "53/udp")


def test_overlapping_and_adjacent_ranges_are_joined():
    assert exposed_ranges(["90/tcp", "80-84/tcp", "82-89/tcp", "53/udp", "95", "53/udp"]) == [
        ("tcp", 80, 90), ("tcp", 95, 95), ("udp", 53, 53),
    ]  # fmt: skip


def test_exposed_ranges_are_expanded_to_single_ports():
    assert list(expand_exposed(["80-82/tcp", "53/udp", "7"])) == ["80/tcp", "81/tcp", "82/tcp", "53/udp", "7"]
