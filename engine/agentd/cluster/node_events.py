"""The events of other hosts of the cluster, as Docker's managers report them: the differences between two snapshots."""

from __future__ import annotations

from engine.cluster.snapshot import View
from engine.events import record as events
from engine.store.api import Transaction


def differ(before: View, view: View) -> bool:
    """Return whether a host has joined, left, failed or recovered."""
    return before.alive != view.alive or before.nodes.keys() != view.nodes.keys()


def add(tx: Transaction, before: View, view: View, own: str) -> None:
    """Add an event for each host that has joined, left, failed or recovered, except the host ``own``."""
    for identity, node in {**before.nodes, **view.nodes}.items():
        if identity == own:
            continue
        if identity not in before.nodes or identity not in view.nodes:
            events.node(tx, identity, node.hostname, "create" if identity in view.nodes else "remove")
        elif (identity in before.alive) != (identity in view.alive):
            old, new = ("ready", "down") if identity in before.alive else ("down", "ready")
            events.node(tx, identity, node.hostname, "update", {"state.new": new, "state.old": old})
