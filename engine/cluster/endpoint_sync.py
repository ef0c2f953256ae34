"""Compares this host's own endpoints with the etcd store, and writes the differences to the etcd store."""

from __future__ import annotations

from collections.abc import Mapping

from drivers.linux import process
from engine.cluster import node_operations, shared_endpoints
from engine.cluster.etcd import Client, EtcdUnavailable
from engine.cluster.local_networks import SWARM
from engine.cluster.model import ClusterMembership, SharedEndpoint
from engine.cluster.snapshot import View
from engine.errors import EngineError
from engine.host import Host
from engine.model import FORMER, EndpointRecord, NetworkRecord
from engine.store.codec import encode

NOT_WRITTEN = "another endpoint has one of its addresses, or the store's records have changed meanwhile"


def own_endpoints(host: Host) -> dict[str, EndpointRecord]:
    """Return this host's endpoints on cluster networks, by endpoint id."""
    with host.store.read() as reader:
        shared = {n.id for n in reader.networks() if n.scope == SWARM}
        return {e.id: e for e in reader.endpoints() if e.network_id in shared}


def differences(host: Host, view: View, network: NetworkRecord, membership: ClusterMembership) -> list[str]:
    """Return a line of text for each endpoint of ``network`` that only this host or only the etcd store has.

    Endpoints of other hosts are not compared. An endpoint that only the etcd store has is ignored while the process
    that created it still runs.
    """
    here = {i: e for i, e in own_endpoints(host).items() if e.network_id == network.id}
    there = {e.id: e for e in view.all_endpoints(network.id) if e.node == membership.node_id}
    lines = [f"missing in the store: endpoint {i} ({here[i].ipv4})" for i in here.keys() - there.keys()]
    surplus = [i for i in there.keys() - here.keys() if not process.is_owner_running(there[i].owner)]
    return sorted(lines + [f"unexpected in the store: endpoint {i} ({there[i].ipv4})" for i in surplus])


def sync_endpoints(host: Host, client: Client, membership: ClusterMembership) -> list[str]:
    """Make the etcd store hold exactly this host's current endpoints; endpoints of other hosts are not changed.

    An endpoint that is only in the etcd store is kept while the process that created the endpoint still runs. Returns a
    line of text for each endpoint that could not be written to the etcd store or deleted there. Raises EtcdUnavailable
    if the etcd store does not answer, and Unavailable if a manager has removed this host.
    """
    there = {e.id: e for e in shared_endpoints.of_node(client, membership.node_id)}
    here = own_endpoints(host)
    failures = []
    for identity in there.keys() - here.keys():
        if not process.is_owner_running(there[identity].owner) and identity not in own_endpoints(host):
            arguments = {"network": there[identity].network_id, "endpoint": identity}
            failures += _attempt(client, membership, "release", identity, arguments)
    for identity, endpoint in here.items():
        if identity not in there or published(there[identity]) != published_here(endpoint):
            arguments = {"endpoint": encode(_shared_endpoint(endpoint, membership))}
            failures += _attempt(client, membership, "restore", identity, arguments)
    return failures


def _attempt(
    client: Client, membership: ClusterMembership, act: str, identity: str, arguments: Mapping[str, str]
) -> list[str]:
    """Run the operation ``act`` for one endpoint; return [], or one line of text with the reason of the failure.

    ``act`` is "release" or "restore" of `node_operations`, and ``arguments`` are the operation's arguments.
    ``identity`` is the endpoint's id for the line of text. Raises EtcdUnavailable if the etcd store does not answer.
    Raises Unavailable if a manager has removed this host. In both cases, the operation would fail for every endpoint.
    """
    reason = NOT_WRITTEN
    try:
        if node_operations.perform(client, membership, act, **arguments).get("done", True):
            return []
    except EtcdUnavailable:
        raise
    except EngineError as error:
        if str(error) == shared_endpoints.REMOVED:
            raise
        reason = str(error)
    return [f"cannot {act} endpoint {identity} in the store: {reason}"]


def published(endpoint: SharedEndpoint) -> tuple[tuple[str, ...], bool]:
    """Return the values in an endpoint's etcd record that may change after the endpoint's reservation.

    They are the endpoint's names, and whether the endpoint is former.
    """
    return endpoint.names, endpoint.former


def published_here(endpoint: EndpointRecord) -> tuple[tuple[str, ...], bool]:
    """Return a local endpoint's names, and whether the endpoint is former, to compare them with `published`."""
    return endpoint.names, endpoint.phase == FORMER


def _shared_endpoint(endpoint: EndpointRecord, membership: ClusterMembership) -> SharedEndpoint:
    """Return this host's endpoint as the record that all hosts can read in the etcd store."""
    return SharedEndpoint(
        id=endpoint.id,
        network_id=endpoint.network_id,
        container_id=endpoint.container_id,
        node=membership.node_id,
        mac=endpoint.mac,
        ipv4=endpoint.ipv4,
        ipv6=endpoint.ipv6,
        names=endpoint.names,
        former=endpoint.phase == FORMER,
    )
