"""Drivers are found by type: ours by file name, others' by entry point."""

from __future__ import annotations

import sys

import pytest

from drivers.api import Driver, Missing
from drivers.registry import TYPES, _outsiders, available, load

OUTSIDER = """
from drivers.null import NullDriver

class TokenRing(NullDriver):
    type = "tokenring"
    scope = "swarm"
"""


@pytest.fixture
def outsider(tmp_path, monkeypatch):
    """Somebody else's installed package that adds a driver."""
    (tmp_path / "ring_driver.py").write_text(OUTSIDER)
    info = tmp_path / "ring_driver-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ring-driver\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[hawse.drivers]\ntokenring = ring_driver:TokenRing\nbridge = ring_driver:TokenRing\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    _outsiders.cache_clear()
    yield
    _outsiders.cache_clear()
    sys.modules.pop("ring_driver", None)


@pytest.mark.parametrize("type_name", sorted(TYPES))
def test_every_type_of_ours_loads_and_keeps_the_contract(type_name):
    driver = load(type_name)
    assert isinstance(driver, Driver)
    assert (driver.type, driver.scope) == (type_name, TYPES[type_name])


@pytest.mark.parametrize("type_name", ["nosuch", "", "api", "plan", "registry", "../bridge", "Bridge", "linux.link"])
def test_an_unknown_type_is_missing_in_dockers_words(type_name):
    with pytest.raises(Missing) as caught:
        load(type_name)
    assert str(caught.value) == f'plugin "{type_name}" not found'


def test_an_outsiders_package_adds_a_type_but_does_not_replace_ours(outsider):
    assert load("tokenring").type == "tokenring"
    assert load("bridge").type == "bridge"
    assert dict(available()) == {**TYPES, "tokenring": "swarm"}


def test_known_types_are_looked_up_without_searching_packages(monkeypatch):
    monkeypatch.setattr("drivers.registry._entry_point", None)
    assert "bridge" in available()
