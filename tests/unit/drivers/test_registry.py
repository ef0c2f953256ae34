"""hawse searches for the driver of a network type.

hawse's own drivers are found by file name, and drivers of other packages by entry point.
"""

from __future__ import annotations

import sys

import pytest

from drivers.api import Driver
from drivers.errors import Missing
from drivers.model import DriverFacts
from drivers.registry import _outsiders, available, facts, load

TYPES = ("bridge", "host", "ipvlan", "macvlan", "null", "overlay")

OUTSIDER = """
from drivers.null import NullDriver

class TokenRing(NullDriver):
    type = "tokenring"
    scope = "swarm"
"""


@pytest.fixture
def outsider(tmp_path, monkeypatch):
    """Install a package of another author with the drivers ``tokenring`` and ``bridge``.

    The fixture clears the caches of the registry before and after the test.
    """
    (tmp_path / "ring_driver.py").write_text(OUTSIDER)
    info = tmp_path / "ring_driver-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ring-driver\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[hawse.drivers]\ntokenring = ring_driver:TokenRing\nbridge = ring_driver:TokenRing\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    _outsiders.cache_clear()
    facts.cache_clear()
    yield
    _outsiders.cache_clear()
    facts.cache_clear()
    sys.modules.pop("ring_driver", None)


def test_hawses_own_types_are_the_files_that_contain_a_driver():
    assert tuple(available()) == TYPES


@pytest.mark.parametrize("type_name", TYPES)
def test_every_own_type_loads_a_driver_with_its_facts(type_name):
    driver = load(type_name)
    assert isinstance(driver, Driver)
    assert driver.type == type_name
    assert driver.facts == facts(type_name) == available()[type_name]
    assert facts(type_name).scope == ("swarm" if type_name == "overlay" else "local")


@pytest.mark.parametrize("type_name", TYPES)
def test_every_own_type_and_each_of_its_options_has_a_summary(type_name):
    assert facts(type_name).summary
    assert all(option.summary for option in facts(type_name).options.values())


def test_own_types_declare_published_ports_gateways_and_single_networks():
    assert [name for name in TYPES if facts(name).publishes_ports] == ["bridge", "overlay"]
    assert [name for name in TYPES if facts(name).offers_gateway] == ["bridge", "ipvlan", "macvlan"]
    assert [name for name in TYPES if facts(name).singleton] == ["host", "null"]


def test_own_types_declare_what_the_diagnosis_must_know_of_their_interfaces():
    assert [name for name in TYPES if facts(name).has_parent] == ["ipvlan", "macvlan"]
    assert [name for name in TYPES if facts(name).shares_mac] == ["ipvlan"]
    assert [name for name in TYPES if facts(name).compares_mac] == ["bridge", "overlay"]
    assert [name for name in TYPES if facts(name).owns_subnets] == ["bridge", "overlay"]
    assert {name: facts(name).link_kinds for name in TYPES} == {
        "bridge": ("bridge", "veth"),
        "host": (),
        "ipvlan": ("ipvlan",),
        "macvlan": ("macvlan",),
        "null": (),
        "overlay": ("vxlan",),
    }


def test_a_type_that_is_not_installed_offers_nothing():
    assert facts("nosuch") == DriverFacts()


@pytest.mark.parametrize("type_name", ["nosuch", "", "api", "plan", "registry", "../bridge", "Bridge", "linux.link"])
def test_an_unknown_type_is_refused_with_dockers_text(type_name):
    with pytest.raises(Missing) as caught:
        load(type_name)
    assert str(caught.value) == f'plugin "{type_name}" not found'


def test_a_package_of_another_author_adds_a_type_but_replaces_none(outsider):
    assert load("tokenring").type == "tokenring"
    assert load("bridge").type == "bridge"
    assert list(available()) == [*TYPES, "tokenring"]
    assert facts("bridge").scope == "local"


def test_inherited_facts_of_another_authors_driver_are_ignored(outsider):
    assert facts("tokenring") == available()["tokenring"] == DriverFacts("swarm")


def test_another_authors_driver_may_declare_facts(outsider, tmp_path):
    text = '    facts = DriverFacts("local", "A ring", singleton=True)\n'
    (tmp_path / "ring_driver.py").write_text("from drivers.model import DriverFacts\n" + OUTSIDER + text)
    assert facts("tokenring") == DriverFacts("local", "A ring", singleton=True)


def test_known_types_are_looked_up_without_searching_packages(monkeypatch):
    monkeypatch.setattr("drivers.registry._entry_point", None)
    assert "bridge" in available()
