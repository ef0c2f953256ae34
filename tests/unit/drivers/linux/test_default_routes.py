"""The tests check which endpoints of a sandbox get default routes, and which routes hawse asks the kernel to set."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from drivers.linux.default_routes import BOOT, OURS, DefaultRoute
from engine.endpoints import sandbox
from engine.endpoints.sandbox import JoinedEndpoint
from engine.model import ContainerConfig, ContainerRecord, EndpointRecord, HostConfig, NetworkRecord


def member(name: str, default_route: str = "", **fields) -> JoinedEndpoint:
    network = NetworkRecord(id=name, name=name, created="", driver="bridge")
    fields = {"gateway4": f"172.30.{ord(name)}.1", "ipv4": f"172.30.{ord(name)}.2/24", **fields}
    endpoint = EndpointRecord(name, name, "c", "", interface=f"eth{name}", default_route=default_route, **fields)
    return JoinedEndpoint(network, endpoint)


def container(kind: str = "process", mode: str = "bridge") -> ContainerRecord:
    return ContainerRecord("c", "web", "", ContainerConfig(image=""), HostConfig(network_mode=mode), kind=kind)


@pytest.mark.parametrize(
    ("members", "holders"),
    [
        ([member("b"), member("a")], ("a", None)),
        ([member("b", "yes"), member("a")], ("b", None)),
        ([member("b"), member("a", "no")], ("b", None)),
        ([member("a", "no")], (None, None)),
        ([member("b", gateway6="fd00::1"), member("a")], ("a", "b")),
        ([member("b", "yes", gateway4=""), member("a")], ("a", None)),
        ([member("a", gateway4="", on_link=True)], ("a", None)),
    ],
)
def test_who_holds_the_default_routes(members, holders):
    assert tuple(m and m.network.id for m in sandbox.gateways(container(), members)) == holders


@pytest.fixture
def asked(monkeypatch):
    """Return a list that records each default route that hawse asks the kernel to set."""
    calls = []
    monkeypatch.setattr(sandbox.kernel, "set_default_routes", lambda *arguments: calls.append(arguments[1:]))
    return calls


def test_default_routes_that_hawse_may_remove_are_passed_with_the_chosen_ones(asked):
    members = [member("a", "yes"), member("b", "no", ipv6="fd00::2/64", gateway4="", on_link=True)]
    sandbox.route(container("adopted"), members)
    first = DefaultRoute(4, "etha", ip_address("172.30.97.1"))
    chosen = DefaultRoute(4, "etha", ip_address("172.30.97.1"), takes_over=True)
    assert asked == [([chosen], [first, DefaultRoute(4, "ethb"), DefaultRoute(6, "ethb")], OURS)]


def test_default_routes_are_set_only_in_a_containers_own_namespace(asked):
    sandbox.route(container(), [])
    sandbox.route(container(mode="host"), [])
    assert asked == [([], [], BOOT)]
