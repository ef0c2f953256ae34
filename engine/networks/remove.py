"""Remove one network, or all unused networks."""

from __future__ import annotations

from dataclasses import replace

from drivers.linux import process
from engine.api import Strings
from engine.cluster import network_hooks
from engine.errors import EngineError, Forbidden
from engine.filters import networks
from engine.host import Host
from engine.intents import IntentKind
from engine.model import Filters
from engine.networks.activate import destroy
from engine.networks.query import PRESENT, find
from engine.store.api import Intent
from engine.validate.network import check_network_remove


def remove(host: Host, reference: str) -> None:
    """Remove a network.

    Raises Forbidden if the network has active endpoints, is predefined, or is the configuration of another network.
    """
    network_hooks.import_network(host, reference, attach=False)
    with host.store.read() as reader:
        record = find(reader, reference)
    if record.scope == "swarm":
        return network_hooks.remove(host, record)
    with host.store.write() as tx:
        record = find(tx, reference)
        check_network_remove(record, tx.endpoints(network_id=record.id), tx.networks() if record.config_only else ())
        tx.put_network(replace(record, phase="removing", owner=process.identity()))
        tx.put_intent(Intent(IntentKind.NETWORK_REMOVE, record.id, process.identity()))
    destroy(host, record.id)
    return None


def prune(host: Host, filters: Filters) -> Strings:
    """Remove all unused custom networks and return their names.

    On a manager, unused cluster networks are removed too. A network is kept if another host uses the network, or if a
    container joins the network while the command runs.
    """
    networks.check_network_prune(filters)
    with host.store.read() as reader:
        candidates = [
            n
            for n in reader.networks()
            if not (n.predefined or n.config_only or n.ingress)
            and n.phase in PRESENT
            and not reader.endpoints(network_id=n.id)
            and networks.network_prunable(n, filters)
        ]
    removed = []
    for record in candidates:
        try:
            remove(host, record.id)
        except (Forbidden, EngineError):
            continue
        removed.append(record.name)
    return removed
