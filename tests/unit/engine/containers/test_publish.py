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


def test_the_address_of_the_listing_names_a_setting_without_an_address():
    every, local = PortSpec("tcp", 80, "", "8000"), PortSpec("tcp", 80, "127.0.0.1", "9000")
    ports = [*published((8000, 80)), *published((9000, 80), addresses=("127.0.0.1",))]
    for text in ("0.0.0.0", "::"):
        assert publish._meant(PortSpec("tcp", 80, text, "8000"), [every, local], ports) == [every]
        assert publish._meant(PortSpec("tcp", 80, text), [every, local], ports) == [every]
    assert publish._meant(PortSpec("tcp", 80, "127.0.0.1"), [every, local], ports) == [local]
    for text, host_port in (("0.0.0.0", "9000"), ("127.0.0.1", "8000"), ("192.0.2.1", "8000")):
        assert publish._meant(PortSpec("tcp", 80, text, host_port), [every, local], ports) == []


def test_a_setting_without_an_address_stays_on_the_other_wildcard():
    ports = [PortRecord("tcp", address, 8000, 8009, 80, 89) for address in ("0.0.0.0", "::")]
    setting, requested = PortSpec("tcp", 80, "", "8000-8009", 89), PortSpec("tcp", 80, "0.0.0.0", "8000")
    above = PortSpec("tcp", 81, "", "8001-8009", 89)
    assert publish._left(setting, requested, ports) == [above, PortSpec("tcp", 80, "::", "8000")]
    assert publish._left(setting, requested, ports[:1]) == [above]
    assert publish._left(setting, PortSpec("tcp", 80, "", "8000"), ports) == [above]
