"""Add events of repairs to the store.

A repair removes differences between the kernel and hawse's records. The event's attribute ``action`` names the repaired
differences. The attribute ``cause`` names the program that made them (``by``), or "another program" if ``by`` is "".

``kind`` is "network", "container" or "driver" (all networks of a driver). ``identity`` is the object's id, or the
driver's type. A network or container that does not exist gets no event.

The agent's log and ``hawse doctor`` describe differences with the same texts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from drivers.model import Difference
from engine.events import record as events
from engine.store.api import Store, Transaction

NAMES_LIMIT = 3  # maximum number of differences of one kind that a text names


def add(tx: Transaction, kind: str, identity: str, by: str, differences: Sequence[Difference]) -> None:
    """Add a "repair" event: ``differences`` of an object were repaired."""
    _add(tx, "repair", kind, identity, by, described(differences))


def add_alone(store: Store, kind: str, identity: str, by: str, differences: Sequence[Difference]) -> None:
    """Add a "repair" event in a transaction of its own (`events.record.alone`)."""
    events.alone(store, lambda tx: add(tx, kind, identity, by, differences))


def add_delay(store: Store, kind: str, identity: str, by: str, seconds: float) -> None:
    """Add a "drift" event in a transaction of its own (`events.record.alone`): the next repair waits ``seconds``.

    The repair waits because the program ``by`` repeatedly undoes it.
    """
    events.alone(store, lambda tx: _add(tx, "drift", kind, identity, by, f"wait {seconds:g} s"))


def _add(tx: Transaction, action: str, kind: str, identity: str, by: str, text: str) -> None:
    values = {"cause": by or "another program", "action": text}
    if kind == "network" and (network := tx.network(identity)) is not None:
        events.network(tx, network, action, values)
    elif kind == "container" and (container := tx.container(identity)) is not None:
        events.container(tx, container, action, values)
    elif kind == "driver":
        events.daemon(tx, action, {"driver": identity, **values})


def described(differences: Sequence[Difference]) -> str:
    """Return a short text that lists differences. Example: "missing address (10.0.0.2), missing route (default)".

    The differences are grouped by their kind ("missing") and their place ("address"). For each group, the text names at
    most `NAMES_LIMIT` objects, and gives the number of the others.
    """
    return ", ".join(f"{group} ({brief(whats)})" for group, whats in grouped(differences).items())


def grouped(differences: Iterable[Difference]) -> dict[str, list[str]]:
    """Group differences by their kind and place; return the names of the objects that differ in each group.

    A key of the result is a text such as "missing address". Its value has the names (`Difference.what`) of the group,
    sorted and each once.
    """
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for difference in differences:
        groups[f"{difference.kind} {difference.place}"].append(difference.what)
    return {group: sorted(set(whats)) for group, whats in groups.items()}


def brief(whats: Sequence[str]) -> str:
    """Return the first `NAMES_LIMIT` items as text, with the number of the other items: "a, b, c and 2 more"."""
    more = len(whats) - NAMES_LIMIT
    return ", ".join(whats[:NAMES_LIMIT]) + (f" and {more} more" if more > 0 else "")
