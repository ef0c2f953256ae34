"""Endpoints of other hosts as drivers see them, and the lock for programming them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from ipaddress import IPv4Interface, IPv6Interface, ip_address
from pathlib import Path

from drivers.api import Peer
from engine.cluster.model import SharedEndpoint
from engine.cluster.snapshot import View
from engine.store.locks import locked


def programming(run: Path) -> AbstractContextManager[None]:
    """Hold the lock of this host's peer tables.

    A command reads the store inside this lock, so that it does not overwrite newer entries of the agent.
    """
    return locked(run, "cluster", "tables")


def of(view: View, network_id: str, node: str) -> list[Peer]:
    """Return the peers of a network, seen from ``node``: endpoints of other hosts that have a lease.

    Hosts with the same data address as this host are left out, because frames to them would come back.
    """
    nodes = view.nodes
    address = nodes[node].data_address if node in nodes else ""
    elsewhere = {n.id: n.data_address for n in nodes.values() if n.data_address != address}
    return [peer(e, elsewhere[e.node]) for e in view.elsewhere(network_id, node) if e.node in elsewhere]


def peer(endpoint: SharedEndpoint, vtep: str) -> Peer:
    """Return one endpoint as a peer on a host with the underlay address ``vtep``."""
    return Peer(
        endpoint_id=endpoint.id,
        mac=endpoint.mac,
        ipv4=IPv4Interface(endpoint.ipv4).ip if endpoint.ipv4 else None,
        ipv6=IPv6Interface(endpoint.ipv6).ip if endpoint.ipv6 else None,
        vtep=ip_address(vtep),
    )
