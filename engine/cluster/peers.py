"""Endpoints of other hosts as drivers see them."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface, ip_address

from drivers.api import Peer
from engine.cluster.model import SharedEndpoint
from engine.cluster.view import View


def of(view: View, network_id: str, node: str) -> list[Peer]:
    """The peers of a network, seen from ``node``: endpoints of hosts whose lease holds."""
    nodes = view.nodes
    return [peer(e, nodes[e.node].data_address) for e in view.elsewhere(network_id, node) if e.node in nodes]


def peer(endpoint: SharedEndpoint, vtep: str) -> Peer:
    """One endpoint, on a host whose underlay address is ``vtep``."""
    return Peer(
        endpoint_id=endpoint.id,
        mac=endpoint.mac,
        ipv4=IPv4Interface(endpoint.ipv4).ip if endpoint.ipv4 else None,
        ipv6=IPv6Interface(endpoint.ipv6).ip if endpoint.ipv6 else None,
        vtep=ip_address(vtep),
    )
