"""`PeerSync` passes peers (endpoints on other hosts) from the agent to the network driver.

The tests check which peers the driver gets, and when the agent compares all entries of the kernel's tables.
"""

from __future__ import annotations

import time
from collections import Counter

import pytest
from msgspec.structs import replace

from drivers.model import NetworkSpec
from engine.agentd.cluster import peer_sync
from engine.cluster import keys, peers, snapshot
from engine.cluster.etcd import KeyValue
from engine.cluster.model import Node, SharedEndpoint
from engine.store.codec import encode
from tests.conftest import until

NETWORK = NetworkSpec(id="n1", name="app")


class Tables:
    """A driver double that keeps the peers in a dictionary instead of the kernel's tables.

    ``comparisons`` has the number of comparisons of the whole table, by network id.
    """

    def __init__(self):
        self.peers, self.comparisons = {}, Counter()

    def program_peers(self, network, expected):
        self.comparisons[network.id] += 1
        self.peers = {p.endpoint_id: p for p in expected}

    def add_peer(self, network, peer):
        self.peers[peer.endpoint_id] = peer

    def remove_peer(self, network, peer):
        self.peers.pop(peer.endpoint_id, None)

    def verify(self, network, expected, fix, *, tunnels=True):
        return []


def endpoint(identity):
    return encode(SharedEndpoint(identity, "n1", "c", "far", "02:42:00:00:00:01", "10.0.1.2/24"))


def appears(identity):
    return KeyValue(keys.endpoint("n1", "far", identity), endpoint(identity))


def goes(identity):
    return KeyValue(keys.endpoint("n1", "far", identity), "", deleted=True)


@pytest.fixture
def first():
    far = encode(Node("far", "now", "far", "worker", "192.0.2.1", "192.0.2.1", 1))
    return snapshot.make(
        1, {keys.node("far"): far, keys.alive("far"): "1", keys.endpoint("n1", "far", "e1"): endpoint("e1")}
    )


@pytest.fixture
def tables():
    return Tables()


@pytest.fixture
def running(tables, first, tmp_path):
    """Yield a `PeerSync` that has programmed the peers (endpoints on other hosts) of the snapshot ``first``."""
    started = peer_sync.PeerSync(tables, "near", tmp_path, lambda: True)
    started.start()
    started.update(view=first, networks={"n1": NETWORK})
    until(lambda: set(tables.peers) == {"e1"})
    yield started
    started.stop()


@pytest.mark.parametrize(
    ("heal", "options", "repaired"),
    [(True, {}, {"n1", "n2"}), (True, {"hawse.heal": "false"}, {"n2"}), (False, {}, set())],
)
def test_networks_that_the_agent_may_repair_are_compared_again(
    heal, options, repaired, tables, first, tmp_path, monkeypatch
):
    monkeypatch.setattr(peer_sync, "CHECK_INTERVAL_SECONDS", 0.05)
    networks = {"n1": replace(NETWORK, options=options), "n2": NetworkSpec(id="n2", name="other")}
    started = peer_sync.PeerSync(tables, "near", tmp_path, lambda: heal)
    started.start()
    started.update(view=first, networks=networks)
    until(lambda: tables.comparisons.keys() == networks.keys())
    time.sleep(0.3)
    until(lambda: all(tables.comparisons[identity] > 2 for identity in repaired))
    started.stop()
    assert {identity for identity, times in tables.comparisons.items() if times > 1} == repaired


def test_a_small_change_causes_no_comparison(running, tables, first):
    running.update(view=snapshot.after(first, 2, [appears("e2")]))
    until(lambda: set(tables.peers) == {"e1", "e2"})
    assert tables.comparisons == {"n1": 1}


def test_a_peer_that_a_command_took_from_a_snapshot_that_the_thread_skips_is_removed(running, tables, first, tmp_path):
    second = snapshot.after(first, 2, [appears("e2")])
    third = snapshot.after(second, 3, [appears("e3")])
    fourth = snapshot.after(third, 4, [goes("e3")])
    with peers.programming(tmp_path):
        running.update(view=second)
        until(lambda: not running._dirty)  # the thread has taken this snapshot and waits for the tables' lock
        running.update(view=third)
        running.update(view=fourth)
        tables.program_peers(NETWORK, peers.of(third, "n1", "near"))
    until(lambda: set(tables.peers) == {"e1", "e2"})


def test_nothing_is_programmed_while_a_command_holds_the_tables(running, tables, first, tmp_path):
    with peers.programming(tmp_path):
        running.update(view=snapshot.after(first, 2, [goes("e1")]))
        time.sleep(0.2)
        assert set(tables.peers) == {"e1"}
    until(lambda: not tables.peers)


def test_an_invalid_peer_does_not_stop_the_thread(running, tables, first):
    odd = KeyValue(keys.node("far"), encode(Node("far", "now", "far", "worker", "192.0.2.1", "nowhere", 1)))
    running.update(view=snapshot.after(first, 2, [odd, appears("e2")]))
    until(lambda: not running._dirty)
    running.update(view=snapshot.after(first, 3, [appears("e3")]))
    until(lambda: set(tables.peers) == {"e1", "e3"})
