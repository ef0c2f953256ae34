"""The cluster's networks in this host's own store, so that every other part of the engine sees them as networks.

A manager mirrors them all; a worker those that its containers use, and ingress. ``planned`` is a network without
kernel objects on this host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.cluster import membership as memberships
from engine.host import Host
from engine.model import NetworkRecord
from engine.store.api import Taken, Transaction
from engine.store.locks import PATIENCE, locked

if TYPE_CHECKING:
    from engine.cluster.model import Membership

VTEP = "com.hawse.overlay.vtep"
SWARM = "swarm"
BUSY = ("cluster", "networks")
"""The lock under which networks come up and go down on this host."""
SHORT = 1.0
"""Seconds that the agent, which has a lease to keep, waits for commands; it comes again."""


def localized(record: NetworkRecord, membership: Membership) -> NetworkRecord:
    """A shared network's record with this host's part filled in."""
    from engine.cluster import encryption

    options = {**(record.host_options or {}), VTEP: membership.data_address}
    if encryption.is_encrypted(record) and record.driver == "overlay":
        options[encryption.WIREGUARD] = encryption.configuration(record, membership, ())
    return replace(record, phase="planned", owner="", host_options=options)


def learn(host: Host, record: NetworkRecord, membership: Membership) -> NetworkRecord:
    """Record a shared network here; what is known already stays as it is."""
    with host.store.write() as tx:
        return _learn(tx, record, membership)


def _learn(tx: Transaction, record: NetworkRecord, membership: Membership) -> NetworkRecord:
    known = tx.network(record.id)
    if known is None:
        known = localized(record, membership)
        tx.put_network(known)
    return known


def follow(host: Host, networks: Callable[[], Iterable[NetworkRecord]], membership: Membership) -> None:
    """Bring the mirror up to date: learn what this host should know, forget what is gone and unused here.

    ``networks`` reads the cluster's. It is called last: what a command has made meanwhile is not taken for gone.
    Raises `Unavailable` where commands are at networks for longer than `SHORT`.
    """
    with host.store.read() as reader:
        known = {n.id: n for n in reader.networks() if n.scope == SWARM}
        used = {e.network_id for e in reader.endpoints()}
    shared = {n.id: n for n in networks()}
    for record in shared.values():
        if record.id not in known and (membership.is_manager or record.ingress):
            _learn_unless_taken(host, record, membership)
    for identity, record in known.items():
        if identity not in shared and identity not in used and record.phase == "planned":
            forget(host, identity, patience=SHORT)


def _learn_unless_taken(host: Host, record: NetworkRecord, membership: Membership) -> None:
    try:
        with host.store.write() as tx:
            if memberships.exists(host.root):  # else it has left meanwhile, and forgets all networks after that
                _learn(tx, record, membership)
    except Taken:
        return  # a network of this host alone has the name, and keeps it


def forget(host: Host, network_id: str, patience: float = PATIENCE) -> None:
    """Drop a network that the cluster has no more, or this host is to know no more."""
    with locked(host.run, *BUSY, patience=patience):
        with host.store.read() as reader:
            record = reader.network(network_id)
        if record is not None:
            unmake(host, record)
            with host.store.write() as tx:
                tx.delete_network(network_id)


def unmake(host: Host, record: NetworkRecord) -> None:
    """Take away what this host's kernel has of a network; idempotent. The caller holds the lock.

    There may be something even of a ``planned`` one: a command can be killed between making it and noting that.
    """
    from engine.dispatch.errors import translated
    from engine.dispatch.specs import network_spec

    with translated():
        host.driver(record.driver).delete_network(network_spec(record))


def forget_all(host: Host) -> None:
    """Drop all of them: this host leaves the cluster."""
    with host.store.read() as reader:
        known = [n for n in reader.networks() if n.scope == SWARM]
    for record in known:
        forget(host, record.id)
