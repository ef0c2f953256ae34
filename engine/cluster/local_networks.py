"""The cluster's networks in this host's own store, so that every other part of the engine sees them as networks.

A manager mirrors them all; a worker those that its containers use, and ingress. ``planned`` is a network without
kernel objects on this host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from drivers.options import VTEP, WIREGUARD
from engine.cluster import encryption
from engine.cluster import membership as memberships
from engine.dispatch import network_spec, translate_driver_errors
from engine.host import Host
from engine.model import NetworkRecord
from engine.store.api import Taken, Transaction
from engine.store.locks import LOCK_TIMEOUT_SECONDS, locked

if TYPE_CHECKING:
    from engine.cluster.model import ClusterMembership

SWARM = "swarm"
NETWORKS_LOCK = ("cluster", "networks")
"""The lock under which networks come up and go down on this host."""
AGENT_LOCK_TIMEOUT = 1.0
"""Seconds that the agent, which has a lease to keep, waits for commands; it comes again."""


def with_host_options(record: NetworkRecord, membership: ClusterMembership) -> NetworkRecord:
    """A shared network's record with this host's part filled in."""
    options = {**(record.host_options or {}), VTEP: membership.data_address}
    if encryption.is_encrypted(record) and record.driver == "overlay":
        options[WIREGUARD] = encryption.configuration(record, membership, ())
    return replace(record, phase="planned", owner="", host_options=options)


def import_network(host: Host, record: NetworkRecord, membership: ClusterMembership) -> NetworkRecord:
    """Record a shared network here; what is known already stays as it is."""
    with host.store.write() as tx:
        return _import(tx, record, membership)


def _import(tx: Transaction, record: NetworkRecord, membership: ClusterMembership) -> NetworkRecord:
    known = tx.network(record.id)
    if known is None:
        known = with_host_options(record, membership)
        tx.put_network(known)
    return known


def follow(host: Host, networks: Callable[[], Iterable[NetworkRecord]], membership: ClusterMembership) -> None:
    """Bring the mirror up to date: learn what this host should know, forget what is gone and unused here.

    ``networks`` reads the cluster's. It is called last: what a command has made meanwhile is not taken for gone.
    Raises `Unavailable` where commands are at networks for longer than `AGENT_LOCK_TIMEOUT`.
    """
    with host.store.read() as reader:
        known = {n.id: n for n in reader.networks() if n.scope == SWARM}
        used = {e.network_id for e in reader.endpoints()}
    shared = {n.id: n for n in networks()}
    for record in shared.values():
        if record.id not in known and (membership.is_manager or record.ingress):
            _import_unless_taken(host, record, membership)
    for identity, record in known.items():
        if identity not in shared and identity not in used and record.phase == "planned":
            delete_planned(host, identity, patience=AGENT_LOCK_TIMEOUT)


def _import_unless_taken(host: Host, record: NetworkRecord, membership: ClusterMembership) -> None:
    try:
        with host.store.write() as tx:
            if memberships.exists(host.root):  # else it has left meanwhile, and forgets all networks after that
                _import(tx, record, membership)
    except Taken:
        return  # a network of this host alone has the name, and keeps it


def delete_planned(host: Host, network_id: str, patience: float = LOCK_TIMEOUT_SECONDS) -> None:
    """Drop a network that the cluster has no more, or this host is to know no more."""
    with locked(host.run, *NETWORKS_LOCK, timeout=patience):
        with host.store.read() as reader:
            record = reader.network(network_id)
        if record is not None:
            delete_local(host, record)
            with host.store.write() as tx:
                tx.delete_network(network_id)


def delete_local(host: Host, record: NetworkRecord) -> None:
    """Take away what this host's kernel has of a network; idempotent. The caller holds the lock.

    There may be something even of a ``planned`` one: a command can be killed between making it and noting that.
    """
    with translate_driver_errors():
        host.driver(record.driver).delete_network(network_spec(record))


def delete_all_planned(host: Host) -> None:
    """Drop all of them: this host leaves the cluster."""
    with host.store.read() as reader:
        known = [n for n in reader.networks() if n.scope == SWARM]
    for record in known:
        delete_planned(host, record.id)


def deactivate_if_unused(host: Host, network_id: str, patience: float = LOCK_TIMEOUT_SECONDS) -> None:
    """Take a network's kernel objects away from this host once no endpoint here needs them."""
    with locked(host.run, *NETWORKS_LOCK, patience):
        with host.store.read() as reader:
            record = reader.network(network_id)
            used = bool(reader.endpoints(network_id=network_id))
        if record is None or used:
            return
        delete_local(host, record)
        me = memberships.load(host.root)
        with host.store.write() as tx:
            if (me is not None and me.is_manager) or record.ingress:
                tx.put_network(replace(record, phase="planned"))
            else:
                tx.delete_network(network_id)


def deactivate_all_unused(host: Host, patience: float) -> bool:
    """Do so with all networks that commands which were killed have left up; whether there were any.

    Waits no longer than ``patience`` seconds for commands at work; then it raises `Unavailable`.
    """
    with host.store.read() as reader:
        used = {e.network_id for e in reader.endpoints()}
        left = [n.id for n in reader.networks() if n.scope == SWARM and n.phase == "live" and n.id not in used]
    for network_id in left:
        deactivate_if_unused(host, network_id, patience)
    return bool(left)
