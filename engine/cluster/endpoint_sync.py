"""Compares this host's own endpoints with the etcd store, and writes the differences to the etcd store."""

from __future__ import annotations

from drivers.linux import process
from engine.cluster import node_operations, shared_endpoints
from engine.cluster.etcd import Client
from engine.cluster.local_networks import SWARM
from engine.cluster.model import ClusterMembership, SharedEndpoint
from engine.cluster.snapshot import View
from engine.host import Host
from engine.model import FORMER, EndpointRecord, NetworkRecord
from engine.store.codec import encode


def own_endpoints(host: Host) -> dict[str, EndpointRecord]:
    """Return this host's endpoints on cluster networks, by endpoint id."""
    with host.store.read() as reader:
        shared = {n.id for n in reader.networks() if n.scope == SWARM}
        return {e.id: e for e in reader.endpoints() if e.network_id in shared}


def differences(host: Host, view: View, network: NetworkRecord, membership: ClusterMembership) -> list[str]:
    """Return a line of text for each endpoint of ``network`` that only this host or only the etcd store has.

    ``view`` is the snapshot of the etcd store. Only this host's own endpoints are compared. Endpoints that are being
    created are ignored.
    """
    here = {i: e for i, e in own_endpoints(host).items() if e.network_id == network.id}
    there = {e.id: e for e in view.endpoints(network.id) if e.node == membership.node_id}
    lines = [f"missing in the store: endpoint {i} ({here[i].ipv4})" for i in here.keys() - there.keys()]
    surplus = [i for i in there.keys() - here.keys() if not process.is_owner_running(there[i].owner)]
    return sorted(lines + [f"unexpected in the store: endpoint {i} ({there[i].ipv4})" for i in surplus])


def sync_endpoints(host: Host, client: Client, membership: ClusterMembership) -> None:
    """Make the etcd store hold exactly this host's current endpoints; endpoints of other hosts are not changed.

    An endpoint that is only in the etcd store is kept while the process that created the endpoint still runs.
    """
    there = {e.id: e for e in shared_endpoints.of_node(client, membership.node_id)}
    here = own_endpoints(host)
    for identity in there.keys() - here.keys():
        if not process.is_owner_running(there[identity].owner) and identity not in own_endpoints(host):
            node_operations.perform(
                client, membership, "release", network=there[identity].network_id, endpoint=identity
            )
    for identity, endpoint in here.items():
        shared = shared_endpoint(endpoint, membership)
        if identity not in there or published(there[identity]) != published(shared):
            node_operations.perform(client, membership, "restore", endpoint=encode(shared))


def published(endpoint: SharedEndpoint) -> tuple[tuple[str, ...], bool]:
    """Return the values of an endpoint that may change after its reservation: its names, and whether it is former."""
    return endpoint.names, endpoint.former


def shared_endpoint(endpoint: EndpointRecord, membership: ClusterMembership) -> SharedEndpoint:
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
        owner=endpoint.owner,
        former=endpoint.phase == FORMER,
    )
