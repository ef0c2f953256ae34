"""The tests check the steps in which a host joins a network of the cluster, and when it needs the gateway bridge."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from engine.cluster import hooks
from engine.cluster.hooks import needs_gateway
from engine.errors import Unavailable
from engine.model import NetworkRecord
from engine.store.sqlite import SqliteStore


def network(driver, name="n", *, internal=False):
    return NetworkRecord(name, name, "now", driver, internal=internal)


@pytest.mark.parametrize(
    ("joined", "needed"),
    [
        ([], False),
        ([network("overlay")], True),
        ([network("overlay", internal=True)], False),
        ([network("overlay"), network("bridge")], False),
        ([network("overlay"), network("bridge", internal=True)], True),
        ([network("overlay"), network("macvlan")], False),
        ([network("overlay"), network("bridge", "docker_gwbridge")], True),
        ([network("bridge")], False),
    ],
)
def test_the_gateway_bridge_is_for_overlays_without_another_way_out(joined, needed):
    assert needs_gateway(joined) is needed


class Driver:
    """A double of an overlay driver, which only records its calls."""

    def __init__(self, events: list[str]) -> None:
        self.events = events

    def shut(self, network) -> None:
        self.events.append(f"shut {network.name}")


def test_containers_are_blocked_from_tunnels_before_the_endpoint_is_reserved(monkeypatch, tmp_path):
    events: list[str] = []
    network = NetworkRecord(
        id="n" * 25, name="app", created="", driver="overlay", options={}, labels={}, scope="swarm", attachable=True
    )

    @contextmanager
    def connected(_host):
        yield None, None

    def reserve(_client, _membership, _container, network, _former):
        events.append(f"tell the cluster of {network.name}")
        raise Unavailable("the store is away")

    monkeypatch.setattr(hooks, "connected", connected)
    monkeypatch.setattr(hooks, "_reserve", reserve)
    monkeypatch.setattr(hooks, "deactivate_if_unused", lambda *_: None)
    host = SimpleNamespace(driver=lambda _: Driver(events), store=SqliteStore(tmp_path / "hawse.db"))
    with pytest.raises(Unavailable), hooks.reserve_endpoints(host, SimpleNamespace(id="c" * 64), [network]):
        pass
    assert events == ["shut app", "tell the cluster of app"]
