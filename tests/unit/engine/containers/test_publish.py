"""`unpublish` finds the port settings of a container that the user means."""

from __future__ import annotations

from engine.containers import publish
from engine.model import PortRecord, PortSpec


def published(*ports: tuple[int, int], addresses: tuple[str, ...] = ("0.0.0.0", "::")) -> list[PortRecord]:
    """Return the records of published ports, each given as (host port, container port)."""
    return [PortRecord("tcp", a, host, host, port, port) for host, port in ports for a in addresses]


def test_a_fixed_port_with_the_same_difference_does_not_hide_a_chosen_port():
    fixed, chosen = PortSpec("tcp", 80, "", "8000"), PortSpec("tcp", 82, "", "8002-8010")
    ports = published((8000, 80), (8002, 82))
    assert publish._meant(PortSpec("tcp", 82, "", "8002"), [fixed, chosen], ports) == [chosen]
    assert publish._meant(PortSpec("tcp", 80, "", "8000"), [fixed, chosen], ports) == [fixed]


def test_a_chosen_port_belongs_to_the_setting_whose_range_has_it():
    low, high = PortSpec("tcp", 80, "", "8000-8010"), PortSpec("tcp", 80, "", "9000-9010")
    free = PortSpec("tcp", 80)
    ports = published((8000, 80), (9000, 80), (50000, 80))
    for setting, host_port in ((low, "8000"), (high, "9000"), (free, "50000")):
        requested = PortSpec("tcp", 80, "", host_port)
        assert publish._meant(requested, [free, low, high], ports) == [setting]
    assert publish._meant(PortSpec("tcp", 80, "", "9001"), [free, low, high], ports) == []
