"""Remove networks that a command names, or all unused networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from drivers.linux import process
from engine.api import Strings
from engine.cluster import hooks
from engine.errors import EngineError, Forbidden, NotFound
from engine.events import record as events
from engine.filters.prune import check_prune, network_prunable
from engine.host import Host
from engine.model import Filters
from engine.names import PRESENT, pick_network
from engine.networks.activate import destroy_all
from engine.store.api import Intent, IntentKind, Transaction
from engine.validate.network import check_network_remove

BUNCH = 100
"""Maximum number of networks that are removed together.

The number is limited because the kernel locks its list of links while it deletes the bridges of these networks.
"""


def remove_each(host: Host, references: Sequence[str]) -> Iterator[EngineError | None]:
    """Remove networks, up to `BUNCH` of them at once. Each reference is a name, an id or the beginning of an id.

    Yields one result for each reference, in order: None if the network has been removed, else the error. The error is
    Forbidden if the network has active endpoints, is predefined, or is the configuration of another network.
    """
    for first in range(0, len(references), BUNCH):
        yield from _remove_bunch(host, references[first : first + BUNCH])


def _remove_bunch(host: Host, references: Sequence[str]) -> Iterator[EngineError | None]:
    """Remove networks; yield None or the error for each reference, in order."""
    shared = [_remove_shared(host, reference) for reference in references]
    left = [reference for reference, outcome in zip(references, shared, strict=True) if outcome == LOCAL]
    try:
        local = _remove_local(host, left)
    except EngineError as error:
        local = [error] * len(left)
    outcomes = iter(local)
    yield from (next(outcomes) if isinstance(outcome, str) else outcome for outcome in shared)


def _remove_local(host: Host, references: Sequence[str]) -> list[EngineError | None]:
    """Remove networks that only this host has; return None or the error for each reference, in order."""
    with host.store.write() as tx:
        begun = [_begin(tx, reference) for reference in references]
    errors = destroy_all(host, [outcome for outcome in begun if isinstance(outcome, str)])
    return [errors.get(outcome) if isinstance(outcome, str) else outcome for outcome in begun]


LOCAL = "local"
"""The result of `_remove_shared` for a network that only this host has."""


def _remove_shared(host: Host, reference: str) -> str | EngineError | None:
    """Remove a cluster network; return None, or the error if it cannot be removed.

    ``reference`` is a name, an id or the beginning of an id. If it means no cluster network, return `LOCAL`.
    """
    try:
        hooks.import_network(host, reference, attach=False)
        with host.store.read() as reader:
            record = pick_network(reader.find_networks(reference), reference)
        if record.scope != "swarm":
            return LOCAL
        hooks.remove_network(host, record)
    except EngineError as error:
        return error
    return None


def _begin(tx: Transaction, reference: str) -> str | EngineError:
    """Record that the network ``reference`` is being removed; return its id, or the error if it cannot be removed.

    ``reference`` is a name, an id or the beginning of an id.
    """
    try:
        record = pick_network(tx.find_networks(reference), reference)
        check_network_remove(record, tx.endpoints(network_id=record.id), tx.networks() if record.config_only else ())
    except EngineError as error:
        return error
    tx.put_network(replace(record, phase="removing", owner=process.identity()))
    tx.put_intent(Intent(IntentKind.NETWORK_REMOVE, record.id, process.identity()))
    return record.id


def prune(host: Host, filters: Filters) -> Strings:
    """Remove all unused custom networks and return their names.

    On a manager, unused cluster networks are removed too. A network is kept if another host uses the network, or if a
    container joins the network while the command runs. These errors are ignored:

    - errors of cluster networks, as in Docker
    - Forbidden (the network is now in use) and NotFound (another command has removed the network)

    If any other error occurs, such as that of a full disk, the first one is raised after all networks have been tried.
    """
    check_prune(filters)
    with host.store.read() as reader:
        candidates = [
            n
            for n in reader.networks()
            if not (n.predefined or n.config_only or n.ingress)
            and n.phase in PRESENT
            and not reader.endpoints(network_id=n.id)
            and network_prunable(n, filters)
        ]
    outcomes = list(zip(candidates, remove_each(host, [record.id for record in candidates]), strict=True))
    for record, error in outcomes:
        if error is not None and record.scope == "local" and not isinstance(error, (Forbidden, NotFound)):
            raise error
    events.alone(host.store, lambda tx: events.pruned(tx, "network", 0))
    return [record.name for record, error in outcomes if error is None]
