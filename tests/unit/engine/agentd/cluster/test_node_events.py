"""Hosts that join, leave, fail and recover cause events. The events have the attributes of dockerd's node events."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from engine.agentd.cluster import node as node_events
from engine.cluster import keys
from engine.cluster import snapshot as views
from engine.cluster.model import Node
from engine.cluster.snapshot import View
from engine.store.codec import encode
from engine.store.sqlite import SqliteStore


def view(*nodes: str, alive: str = "") -> View:
    """Return a snapshot of a cluster with these nodes. Each letter of ``alive`` is the id of a node with a lease."""
    records = {
        keys.NODES + identity: encode(Node(identity, "now", f"host{identity}", "worker", "192.0.2.1", "192.0.2.1", 1))
        for identity in nodes
    }
    return views.make(1, {**records, **{keys.ALIVE + identity: "" for identity in alive}})


def test_each_change_of_another_host_is_an_event(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "hawse.db")
    steps = [
        view("a", alive="a"),
        view("a", "b", alive="a"),
        view("a", "b", alive="ab"),
        view("a", "b", alive="a"),
        view("a", "b", alive=""),  # the loss of this host's own lease causes no event
        view("a", alive="a"),
    ]
    for before, now in pairwise(steps):
        assert node_events.hosts_differ(before, now)
        with store.write() as tx:
            node_events.add_host_events(tx, before, now, "a")
    with store.read() as reader:
        events = [(e.type, e.action, e.actor, dict(e.attributes), e.scope) for e in reader.events()]
    assert events == [
        ("node", "create", "b", {"name": "hostb"}, "swarm"),
        ("node", "update", "b", {"state.new": "ready", "state.old": "down", "name": "hostb"}, "swarm"),
        ("node", "update", "b", {"state.new": "down", "state.old": "ready", "name": "hostb"}, "swarm"),
        ("node", "remove", "b", {"name": "hostb"}, "swarm"),
    ]
    assert not node_events.hosts_differ(steps[0], view("a", alive="a"))
