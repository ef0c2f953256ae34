"""Converts endpoints of other hosts to the peers in the drivers' tables. Also defines the lock of these tables."""

from __future__ import annotations

from contextlib import AbstractContextManager
from ipaddress import IPv4Interface, IPv6Interface, ip_address
from pathlib import Path

from drivers.model import Peer
from engine.cluster import encryption
from engine.cluster.model import Node, SharedEndpoint
from engine.cluster.snapshot import View
from engine.store.locks import locked


def programming(run: Path) -> AbstractContextManager[None]:
    """Return a context manager that holds the lock of this host's peer tables (FDB and neighbour tables).

    A command must hold the lock while it reads the etcd store and writes the tables. Otherwise it could overwrite newer
    table entries of the agent.
    """
    return locked(run, "cluster", "tables")


def of(view: View, network_id: str, node: str) -> list[Peer]:
    """Return the peers of a network for the host ``node`` (a node id): the endpoints on the other hosts.

    Endpoints on three kinds of host are left out:

    - Hosts without a lease (`View.alive`).
    - Hosts with the same underlay address (``data_address``) as ``node``. Frames to them would come back to ``node``.
    - Hosts with an underlay address of another IP version, because a VXLAN device sends with one IP version only.

    Former endpoints are left out too.
    """
    nodes = view.nodes
    own = nodes.get(node)
    others = {n.id: n for n in nodes.values() if own is None or _reaches(own, n)}
    return [peer(e, others[e.node]) for e in view.endpoints_on_other_hosts(network_id, node) if e.node in others]


def _reaches(own: Node, other: Node) -> bool:
    """Return whether the underlay addresses of two hosts let VXLAN packets of the host ``own`` reach ``other``."""
    same_version = (":" in own.data_address) == (":" in other.data_address)
    return same_version and own.data_address != other.data_address


def peer(endpoint: SharedEndpoint, host: Node) -> Peer:
    """Return another host's endpoint as a peer. VXLAN packets for the peer go to ``host``."""
    return Peer(
        endpoint_id=endpoint.id,
        mac=endpoint.mac,
        ipv4=IPv4Interface(endpoint.ipv4).ip if endpoint.ipv4 else None,
        ipv6=IPv6Interface(endpoint.ipv6).ip if endpoint.ipv6 else None,
        vtep=ip_address(host.data_address),
        tunnel=ip_address(encryption.tunnel_address(host.index)),
    )
