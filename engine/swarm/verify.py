"""Compare this host's endpoints and peer tables (FDB and neighbour tables) with the etcd store.

Each comparison is for one cluster network.
"""

from __future__ import annotations

from msgspec.structs import replace

from drivers.api import PeerProgrammer
from engine.cluster import encryption, endpoint_sync, peers, shared_networks, snapshot
from engine.cluster.etcd import Client
from engine.cluster.local_networks import NETWORKS_LOCK, SWARM, with_host_options
from engine.cluster.membership import connected
from engine.cluster.model import ClusterMembership
from engine.cluster.snapshot import View
from engine.errors import NotFound
from engine.host import Host, translate_driver_errors
from engine.model import NetworkRecord
from engine.store.locks import locked


def find(host: Host, reference: str) -> list[NetworkRecord]:
    """Return the cluster's networks with the name, id or id prefix ``reference``; [] on a host in no cluster.

    The records come from etcd. Their phase is ``planned``, even if a container on this host uses the network.
    """
    if not host.is_clustered:
        return []
    with connected(host) as (client, membership):
        return [with_host_options(each, membership) for each in shared_networks.find(client, reference)]


def verify(host: Host, record: NetworkRecord, *, fix: bool) -> list[str]:
    """Compare this host's objects of a network with the etcd store; return a line of text for each difference.

    The objects are the host's endpoints and its peer tables (FDB and neighbour tables). With ``fix``, the differences
    are repaired. Raises NotFound if the network is not a cluster network.
    """
    if not spans_hosts(host, record):
        raise NotFound(f"network {record.name} does not span hosts: there is nothing to compare")
    with connected(host) as (client, membership):
        if fix:
            return repair(host, record, membership, client)
        with peers.programming(host.run):
            return compare(host, record, membership, snapshot.load(client))


def repair(host: Host, record: NetworkRecord, membership: ClusterMembership, client: Client) -> list[str]:
    """Repair this host's endpoints and peer tables of a network; return a line of text for each difference.

    Another command may have deleted the network since the caller read ``record``. Therefore the record is read again
    under `NETWORKS_LOCK`, which prevents a later deletion. The peer tables are repaired only if the phase of the new
    record is "live".
    """
    with locked(host.run, *NETWORKS_LOCK), peers.programming(host.run):
        with host.store.read() as reader:
            current = reader.network(record.id) or replace(record, phase="planned")
        return compare(host, current, membership, snapshot.load(client), client)


def spans_hosts(host: Host, record: NetworkRecord) -> bool:
    """Return whether the network can have endpoints on other hosts, so that its driver keeps peer tables for them."""
    return record.scope == SWARM and isinstance(host.driver(record.driver), PeerProgrammer)


def compare(
    host: Host, record: NetworkRecord, membership: ClusterMembership, view: View, client: Client | None = None
) -> list[str]:
    """Return a line of text for each difference between a network on this host and ``view``.

    This host's endpoints are compared. If the network has kernel objects on this host (phase "live"), its peer tables
    (FDB and neighbour tables) are compared too. With a ``client``, the differences are also repaired, and each endpoint
    that could not be repaired gives another line. The caller holds the lock `peers.programming`, and for a repair also
    `NETWORKS_LOCK`.
    """
    driver = host.driver(record.driver)
    assert isinstance(driver, PeerProgrammer)
    lines = endpoint_sync.differences(host, view, record, membership)
    if client is not None and lines:
        lines += endpoint_sync.sync_endpoints(host, client, membership)
    if record.phase == "live":
        with translate_driver_errors():
            spec = encryption.spec(record, membership, view.nodes.values())
            programmed = peers.of(view, record.id, membership.node_id)
            lines += [difference.line for difference in driver.verify(spec, programmed, client is not None)]
    return lines
