"""Compares this host's peer tables (FDB and neighbour tables) and endpoints for a cluster network with the
etcd store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.api import PeerProgrammer
from engine.cluster import encryption, endpoint_sync, peers, snapshot
from engine.cluster.local_networks import SWARM
from engine.cluster.membership import connected
from engine.dispatch import translate_driver_errors
from engine.errors import NotFound
from engine.host import Host
from engine.networks.query import find

if TYPE_CHECKING:
    pass


def verify(host: Host, reference: str, *, fix: bool) -> list[str]:
    """Compare this host's endpoints and peer tables (FDB and neighbour tables) for a network with the etcd store;
    return a line for each difference.

    With ``fix``, the differences are repaired. Raises NotFound if the network is not a cluster network.
    """
    with host.store.read() as reader:
        record = find(reader, reference)
    driver = host.driver(record.driver)
    if record.scope != SWARM or not isinstance(driver, PeerProgrammer):
        raise NotFound(f"network {reference} does not span hosts: there is nothing to compare")
    with peers.programming(host.run), connected(host) as (client, membership):
        seen = snapshot.load(client)
        lines = endpoint_sync.differences(host, seen, record, membership)
        if fix and lines:
            endpoint_sync.sync_endpoints(host, client, membership)
        if record.phase == "live":
            with translate_driver_errors():
                spec = encryption.spec(record, membership, seen.nodes.values())
                lines += driver.verify(spec, peers.of(seen, record.id, membership.node_id), fix)
    return lines
