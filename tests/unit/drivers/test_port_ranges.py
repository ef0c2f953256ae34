"""If only some container ports of a published range are unpublished, hawse splits the range.

Each part keeps its own host ports.
"""

from __future__ import annotations

from ipaddress import ip_address

from drivers.model import PortBinding
from drivers.port_ranges import around, merged, part, without

ANY, ONE = ip_address("0.0.0.0"), ip_address("192.0.2.1")
RANGE = PortBinding("tcp", ANY, 8000, 8009, 80, 89)


def test_a_part_of_a_range_keeps_its_host_ports():
    assert part(RANGE, 84, 85) == [PortBinding("tcp", ANY, 8004, 8005, 84, 85)]
    assert part(RANGE, 85, 200) == [PortBinding("tcp", ANY, 8005, 8009, 85, 89)]
    assert part(RANGE, 90, 95) == []


def test_a_part_of_a_range_without_host_ports_has_none():
    routed = PortBinding("tcp", ANY, 0, 0, 80, 89)
    assert part(routed, 84, 85) == [PortBinding("tcp", ANY, 0, 0, 84, 85)]
    assert without([routed, RANGE], part(routed, 80, 88)) == [PortBinding("tcp", ANY, 0, 0, 89, 89), RANGE]


def test_removing_ports_from_the_middle_leaves_two_ranges():
    assert around(RANGE, 84, 84) == [
        PortBinding("tcp", ANY, 8000, 8003, 80, 83),
        PortBinding("tcp", ANY, 8005, 8009, 85, 89),
    ]
    assert around(RANGE, 80, 89) == []


def test_only_ranges_with_the_removed_ports_are_cut():
    others = [PortBinding("udp", ANY, 8000, 8009, 80, 89), PortBinding("tcp", ONE, 8000, 8009, 80, 89)]
    shifted = PortBinding("tcp", ANY, 9000, 9009, 80, 89)
    held = [RANGE, *others, shifted]
    assert without(held, [RANGE]) == [*others, shifted]
    assert without(held, part(RANGE, 80, 88)) == [PortBinding("tcp", ANY, 8009, 8009, 89, 89), *others, shifted]


def test_overlapping_ranges_of_one_kind_are_merged():
    ranges = [("udp", 80, 89), ("tcp", 95, 95), ("tcp", 85, 94), ("tcp", 80, 89), ("tcp", 82, 83), ("tcp", 95, 95)]
    assert merged(ranges) == [("tcp", 80, 94), ("tcp", 95, 95), ("udp", 80, 89)]
    assert merged(ranges, touching=True) == [("tcp", 80, 95), ("udp", 80, 89)]


def test_thousands_of_whole_ranges_can_be_removed():
    held = [PortBinding("tcp", ANY, 10000 + n, 10000 + n, 80, 80) for n in range(20_000)]
    assert without(held, held[:-1]) == held[-1:]
