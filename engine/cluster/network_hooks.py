"""The cluster's part of commands on networks. On a host in no cluster, each call costs only one stat system call.

This module only calls the steps in order. The code that changes records in etcd is in `shared_networks`. The code that
changes this host's copies of the records is in `local_networks`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from drivers.api import PeerProgrammer
from drivers.registry import available
from engine.agent.client import ensure
from engine.api import Created, Json
from engine.cluster import encryption, local_networks, peers, shared_networks, snapshot
from engine.cluster import membership as memberships
from engine.cluster.local_networks import SWARM
from engine.cluster.membership import NOT_IN_SWARM, connected, managing
from engine.cluster.network_request import check_name, new_record
from engine.cluster.render import completed as complete
from engine.errors import Conflict, EngineError, Forbidden, InvalidArgument, NotFound, Unavailable
from engine.host import Host, network_spec, translate_driver_errors
from engine.model import NetworkCreate, NetworkRecord
from engine.validate.network import check_network_create, network_name_taken

if TYPE_CHECKING:
    from engine.cluster.model import ClusterMembership
    from engine.cluster.snapshot import View


def is_cluster_network(host: Host, request: NetworkCreate) -> bool:
    """Return whether the network that the user wants to create is a cluster network.

    On a host in no cluster the function returns False, and the caller then refuses the request with an error.
    """
    wide = request.driver == "overlay" or request.scope == SWARM
    return wide and not request.config_only and host.is_clustered


def ensure_agent(host: Host) -> None:
    """Start the agent if this host is in a cluster and the agent is not running.

    The agent must run, because it renews this host's lease.
    """
    if host.is_clustered:
        with suppress(OSError):
            ensure(host.run, host.root)


def wait_for_store(host: Host, patience: float = 15.0) -> None:
    """Wait up to ``patience`` seconds until the etcd store answers; also start the agent if no agent is running.

    The wait is needed after a reboot, because the agent first has to start this host's etcd member.
    """
    try:
        if memberships.load(host.root) is None:
            return
    except Unavailable:  # another version of hawse wrote the membership: do not wait
        return
    ensure_agent(host)
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            with connected(host) as (client, _):
                client.count("/hawse/shared/cluster")
                return
        except EngineError:
            time.sleep(0.2)


def create(host: Host, request: NetworkCreate) -> Created:
    """Create a cluster network in the etcd store; the kernel is not changed until a container uses the network."""
    with managing(host, NOT_IN_SWARM) as (client, membership):
        record = _checked(host, request, shared_networks.all_networks(client))
        record = shared_networks.create(client, record)
        local_networks.import_network(host, record, membership)
    return Created(record.id)


def _checked(host: Host, request: NetworkCreate, shared: Sequence[NetworkRecord]) -> NetworkRecord:
    with host.store.read() as reader:
        existing = reader.networks()
    if any(n.name == request.name for n in [*existing, *shared]):
        raise network_name_taken(request.name)
    if request.ingress and request.attachable:
        raise InvalidArgument("rpc error: code = InvalidArgument desc = ingress network cannot be attachable")
    if request.name.strip():
        check_name(request.name)
    ingress = next((n for n in shared if n.ingress), None)
    if request.ingress and ingress is not None:
        raise Conflict(f"rpc error: code = AlreadyExists desc = ingress network ({ingress.id}) is already present")
    request = check_network_create(request, existing, available(), clustered=True)
    record = new_record(request)

    with translate_driver_errors():
        host.driver(record.driver).check_network(network_spec(record), [])
    return record


def remove(host: Host, record: NetworkRecord) -> None:
    """Remove a cluster network that no endpoint of any host uses."""
    with managing(host) as (client, _):
        shared_networks.remove(client, record)
    local_networks.delete_planned(host, record.id)


def import_network(host: Host, reference: str, *, attach: bool = True) -> None:
    """Record a cluster network on this host, so that the caller then finds the network in the local store.

    With ``attach``, the caller will attach a container; without ``attach``, the caller will remove the network. Raises
    Forbidden with Docker's message if the network is not attachable. Raises NotFound if ``attach`` is True and neither
    the host nor the cluster has the network. A worker does not record networks that the worker does not use. Therefore
    a worker cannot remove such networks.
    """
    if not host.is_clustered:
        return
    with host.store.read() as reader:
        networks = reader.find_networks(reference)
    if networks and networks[0].scope != SWARM:
        return
    membership = memberships.load(host.root)
    if membership is None or not (attach or membership.is_manager):
        return
    if not networks and reference:
        networks = _shared(host, reference)
    if attach and not networks:
        raise NotFound(
            f"Could not attach to network {reference}: rpc error: code = NotFound desc = network {reference} not found"
        )
    if attach:
        check_attachable(networks[0])
    with host.store.read() as reader:
        known = reader.network(networks[0].id) if networks else None
    if len(networks) == 1 and known is None:
        local_networks.import_network(host, networks[0], membership)


def _shared(host: Host, reference: str) -> list[NetworkRecord]:
    with connected(host) as (client, _):
        return shared_networks.find(client, reference)


def check_attachable(record: NetworkRecord) -> None:
    """Raise Forbidden for a cluster network to which users may not attach containers (created without
    ``--attachable``).
    """
    if record.scope == SWARM and not record.attachable:
        raise Forbidden(
            f"Could not attach to network {record.name}: rpc error: code = PermissionDenied "
            f"desc = network {record.name} not manually attachable"
        )


def check_used_here(host: Host, record: NetworkRecord) -> None:
    """Raise NotFound, as Docker does, for a cluster network that no container of this host uses."""
    if record.scope == SWARM:
        with host.store.read() as reader:
            if not reader.endpoints(network_id=record.id):
                raise NotFound(f"network {record.name} not found")


def after_activate(host: Host, record: NetworkRecord) -> None:
    """Program the endpoints of other hosts as peers of a network whose kernel objects this host has just created."""
    driver = host.driver(record.driver)
    if record.scope != SWARM or not isinstance(driver, PeerProgrammer):
        return
    with peers.programming(host.run), connected(host) as (client, membership), translate_driver_errors():
        seen = snapshot.load(client)
        driver.program_peers(
            encryption.spec(record, membership, seen.nodes.values()), peers.of(seen, record.id, membership.node_id)
        )


def add_cluster_fields(host: Host, record: NetworkRecord, document: Json) -> Json:
    """Return ``document`` (a network's inspect document) with the additional fields that come from the cluster."""
    if record.scope != SWARM:
        return document

    view, membership = current_view(host)
    return complete(document, record, view, membership)


def current_view(host: Host) -> tuple[View | None, ClusterMembership | None]:
    """Return the current snapshot of the etcd store's records and this host's membership.

    The snapshot is read from the etcd store. If the store does not answer, the last snapshot saved on disk is returned.
    """
    try:
        with connected(host) as (client, membership):
            return snapshot.load(client), membership
    except EngineError:
        return snapshot.saved(host.root), memberships.load(host.root)
