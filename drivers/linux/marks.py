"""The marks in the alias of the links that hawse makes, by which it knows them from those of others."""

from __future__ import annotations

NETWORK, ENDPOINT = "hawse network ", "hawse endpoint "


def of_network(network_id: str) -> str:
    """The mark of a network's own link: a bridge, or the parent of sub-interfaces."""
    return NETWORK + network_id


def of_endpoint(endpoint_id: str) -> str:
    """The mark of an endpoint's link: the host end of a veth pair, or a sub-interface in its sandbox."""
    return ENDPOINT + endpoint_id
