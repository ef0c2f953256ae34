"""Copies of the cluster's networks in this host's local store, so that the engine can handle them like other networks.

A manager copies all cluster networks. A worker copies the networks that its containers use, and ingress. A network is
in phase ``planned`` while no container on this host uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from drivers.options import VTEP, WIREGUARD
from engine.cluster import encryption
from engine.cluster import membership as memberships
from engine.events import record as events
from engine.host import Host, begin_intent, end_intent, network_spec, translate_driver_errors
from engine.model import NetworkRecord
from engine.store.api import IntentKind, Taken, Transaction
from engine.store.locks import LOCK_TIMEOUT_SECONDS, locked

if TYPE_CHECKING:
    from engine.cluster.model import ClusterMembership

SWARM = "swarm"
INGRESS_SANDBOX = "ingress-sbox"
"""The container id of the endpoint that Docker makes on the gateway bridge for the traffic of services."""
NETWORKS_LOCK = ("cluster", "networks")
"""The lock that serialises creating and deleting the kernel objects of cluster networks on this host."""
AGENT_LOCK_TIMEOUT = 1.0
"""Seconds that the agent waits for commands that hold the networks lock.

The time is short, because the agent has to renew its lease. The agent tries again later.
"""


def with_host_options(record: NetworkRecord, membership: ClusterMembership) -> NetworkRecord:
    """Return a cluster network's record with this host's driver options, in phase ``planned``.

    This phase means that no container on this host uses the network. The options have this host's VXLAN address. For an
    encrypted network, they also have this host's WireGuard settings, without peers.
    """
    options = {**(record.host_options or {}), VTEP: membership.data_address}
    if encryption.has_tunnels(record) and record.driver == "overlay":
        options[WIREGUARD] = encryption.configuration(record, membership, ())
    return replace(record, phase="planned", owner="", host_options=options)


def import_network(host: Host, record: NetworkRecord, membership: ClusterMembership) -> NetworkRecord:
    """Record a cluster network in the local store and return the record; an existing record is returned unchanged."""
    with host.store.write() as tx:
        return _import(tx, record, membership)


def _import(tx: Transaction, record: NetworkRecord, membership: ClusterMembership) -> NetworkRecord:
    known = tx.network(record.id)
    if known is None:
        known = with_host_options(record, membership)
        tx.put_network(known)
        events.network(tx, known, "create")
    return known


def follow(host: Host, networks: Callable[[], Iterable[NetworkRecord]], membership: ClusterMembership) -> None:
    """Add and delete this host's copies of cluster networks, so that they match the networks in etcd.

    A manager adds all missing networks, a worker only ingress. The copy of a network that the cluster no longer has is
    deleted. Such a copy is kept while an endpoint on this host uses it, or while its phase is not ``planned``.

    ``networks`` is a function that reads the cluster's networks from etcd. It is called after the local store is read.
    Otherwise a network that a command has just created could be deleted. Raises `Unavailable` if commands hold the
    networks lock for longer than `AGENT_LOCK_TIMEOUT`.
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
            delete_copy(host, identity, timeout=AGENT_LOCK_TIMEOUT)


def _import_unless_taken(host: Host, record: NetworkRecord, membership: ClusterMembership) -> None:
    try:
        with host.store.write() as tx:
            if host.is_clustered:  # a host that has left its cluster must get no new copy of a network
                _import(tx, record, membership)
    except Taken:
        return  # a local network has the same name, so do not copy the cluster's network


def delete_copy(host: Host, network_id: str, timeout: float = LOCK_TIMEOUT_SECONDS) -> None:
    """Delete a cluster network's record in the local store and its kernel objects on this host; idempotent.

    The network may be in any phase. Waits up to ``timeout`` seconds for `NETWORKS_LOCK`, then raises Unavailable.
    """
    with locked(host.run, *NETWORKS_LOCK, timeout=timeout):
        with host.store.read() as reader:
            record = reader.network(network_id)
        if record is not None:
            delete_local(host, record)
            with host.store.write() as tx:
                tx.delete_network(network_id)
                events.network(tx, record, "remove")


def delete_local(host: Host, record: NetworkRecord) -> None:
    """Delete this host's kernel objects of a network; idempotent. The caller holds the networks lock.

    Even a network in phase ``planned`` may have kernel objects. A command may have created the objects, and may have
    been killed before it recorded the new phase.
    """
    with translate_driver_errors():
        host.driver(record.driver).delete_network(network_spec(record))


def delete_all_copies(host: Host) -> None:
    """Delete this host's copies of all cluster networks, in every phase, because the host is leaving the cluster."""
    with host.store.read() as reader:
        known = [n for n in reader.networks() if n.scope == SWARM]
    for record in known:
        delete_copy(host, record.id)


def deactivate_if_unused(host: Host, network_id: str, timeout: float = LOCK_TIMEOUT_SECONDS) -> None:
    """Delete a network's kernel objects on this host if no endpoint on this host uses the network.

    A worker also deletes the network's record, unless the network is ingress. Waits up to ``timeout`` seconds for the
    networks lock, then raises Unavailable.
    """
    with locked(host.run, *NETWORKS_LOCK, timeout):
        with host.store.read() as reader:
            record = reader.network(network_id)
            used = bool(reader.endpoints(network_id=network_id))
        if record is None or used:
            return
        # Record the phase "planned" before the deletion, because commands use the kernel objects of a "live" network.
        with host.store.write() as tx:
            tx.put_network(replace(record, phase="planned"))
            begin_intent(tx, IntentKind.NETWORK_ACTIVATE, network_id)
        delete_local(host, record)
        membership = memberships.load(host.root)
        with host.store.write() as tx:
            end_intent(tx, IntentKind.NETWORK_ACTIVATE, network_id)
            if not (record.ingress or (membership is not None and membership.is_manager)):
                tx.delete_network(network_id)
                events.network(tx, record, "remove")


def deactivate_all_unused(host: Host) -> bool:
    """Delete this host's kernel objects of cluster networks that no endpoint on this host uses.

    A killed command may have left such objects. Returns whether any network may have had such objects. Waits up to
    `AGENT_LOCK_TIMEOUT` for running commands, then raises `Unavailable`.
    """
    with host.store.read() as reader:
        used = {e.network_id for e in reader.endpoints()}
        begun = {i.object_id for i in reader.intents() if i.kind == IntentKind.NETWORK_ACTIVATE}
        unused = [n for n in reader.networks() if n.scope == SWARM and n.id not in used]
    left = [n.id for n in unused if n.phase == "live" or n.id in begun]
    for network_id in left:
        deactivate_if_unused(host, network_id, AGENT_LOCK_TIMEOUT)
    return bool(left)
