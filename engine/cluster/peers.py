"""Converts endpoints of other hosts to the peers that drivers program. Also defines the lock of the peer tables."""

from __future__ import annotations

from contextlib import AbstractContextManager
from ipaddress import IPv4Interface, IPv6Interface, ip_address
from pathlib import Path

from drivers.api import Peer
from engine.cluster.model import SharedEndpoint
from engine.cluster.snapshot import View
from engine.store.locks import locked


def programming(run: Path) -> AbstractContextManager[None]:
    """Hold the lock of this host's peer tables (FDB and neighbour tables).

    A command reads the etcd store inside this lock, so that the command does not overwrite newer table entries of the
    agent.
    """
    return locked(run, "cluster", "tables")


def of(view: View, network_id: str, node: str) -> list[Peer]:
    """Return the peers of a network for the host ``node``: the endpoints on all other hosts that have a lease.

    Hosts with the same underlay address (``data_address``) as ``node`` are excluded, because frames sent to that
    address would come back to ``node``.
    """
    nodes = view.nodes
    address = nodes[node].data_address if node in nodes else ""
    addresses = {n.id: n.data_address for n in nodes.values() if n.data_address != address}
    return [peer(e, addresses[e.node]) for e in view.endpoints_on_other_hosts(network_id, node) if e.node in addresses]


def peer(endpoint: SharedEndpoint, vtep: str) -> Peer:
    """Return an endpoint as a peer; ``vtep`` is the underlay address of the endpoint's host, to which VXLAN
    packets go.
    """
    return Peer(
        endpoint_id=endpoint.id,
        mac=endpoint.mac,
        ipv4=IPv4Interface(endpoint.ipv4).ip if endpoint.ipv4 else None,
        ipv6=IPv6Interface(endpoint.ipv6).ip if endpoint.ipv6 else None,
        vtep=ip_address(vtep),
    )
