"""The agent decides which changes in an overlay network's namespace may have damaged the network."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from drivers.linux.link_notifications import Change
from engine.agentd.switch_links import SwitchLinks
from engine.recovery.link_repair import NETWORK, Subject

APP = Subject(NETWORK, "ab" * 32)


@pytest.mark.parametrize(
    ("change", "subject"),
    [
        (Change("route", True, 2), APP),
        (Change("route", False, 2), APP),
        (Change("route", True, 2, address=bytes([10, 0, 1, 0]), prefix=24), None),
        (Change("route", False, 2, address=bytes(4), prefix=1), APP),
        (Change("route", False, 0, address=bytes([100, 127, 0, 2]), prefix=32), APP),
        (Change("route", False, 2, address=bytes(16), prefix=64), None),
        (Change("address", True, 2, address=bytes([10, 0, 1, 1]), prefix=24), APP),
        (Change("address", False, 2, address=bytes([10, 0, 1, 1]), prefix=24), None),
    ],
)
def test_routes_of_a_tunnel_and_lost_addresses_concern_the_network(change, subject):
    links = SwitchLinks(APP, (), SimpleNamespace(watch=lambda _: None))
    assert links.concerns(change) == subject
