"""Add events of repairs to the store: the repaired differences (``action``) and their origin (``cause``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from drivers.api import Difference
from engine.events import record as events
from engine.events.differences import described
from engine.store.api import Store, Transaction

REPAIR, DRIFT = "repair", "drift"
"""The actions of the events: a repair was made; a repair is delayed, because another program repeatedly undoes it."""


def attributes(by: str, differences: Sequence[Difference]) -> dict[str, str]:
    """Return the attributes of a "repair" event; ``by`` names the program that made the changes, or is ""."""
    return {"cause": by or "another program", "action": described(differences)}


def resting(by: str, seconds: float) -> dict[str, str]:
    """Return the attributes of a "drift" event: the program that undoes the repairs, and the seconds to the next
    repair.
    """
    return {"cause": by or "another program", "action": f"wait {seconds:g} s"}


def add(tx: Transaction, kind: str, identity: str, action: str, values: Mapping[str, str]) -> None:
    """Add an event of a network or container (``kind``), or of all networks of a driver (``kind`` is "driver")."""
    if kind == "network" and (network := tx.network(identity)) is not None:
        events.network(tx, network, action, values)
    elif kind == "container" and (container := tx.container(identity)) is not None:
        events.container(tx, container, action, values)
    elif kind == "driver":
        events.daemon(tx, action, {"driver": identity, **values})


def add_alone(store: Store, kind: str, identity: str, action: str, values: Mapping[str, str]) -> None:
    """Add an event in a separate transaction; no effect if the store cannot be written."""
    events.alone(store, lambda tx: add(tx, kind, identity, action, values))
