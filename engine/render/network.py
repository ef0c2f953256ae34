"""Render the NetworkResource document of GET /networks and GET /networks/{id}."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.model import EndpointRecord, NetworkRecord, PoolRecord
from engine.render import Json


def network_document(record: NetworkRecord, endpoints: Sequence[tuple[EndpointRecord, str]] = ()) -> Json:
    """Render a network's document.

    ``endpoints`` has the network's live endpoints, each with the name of its container. In a list of networks,
    ``endpoints`` is empty.
    """
    return {
        "Name": record.name,
        "Id": record.id,
        "Created": record.created,
        "Scope": record.scope,
        "Driver": record.driver,
        "EnableIPv6": record.enable_ipv6,
        "IPAM": {
            "Driver": record.ipam_driver,
            "Options": _sorted_map(record.ipam_options),
            "Config": [_pool(pool) for pool in record.pools] or None,
        },
        "Internal": record.internal,
        "Attachable": record.attachable,
        "Ingress": record.ingress,
        "ConfigFrom": {"Network": record.config_from},
        "ConfigOnly": record.config_only,
        "Containers": _members(endpoints) if endpoints else {},
        "Options": _sorted_map(record.options),
        "Labels": _sorted_map(record.labels),
    }


def _pool(pool: PoolRecord) -> Json:
    document: Json = {"Subnet": pool.subnet_typed or pool.subnet}
    if pool.ip_range:
        document["IPRange"] = pool.ip_range
    if pool.gateway and pool.gateway_shown:
        document["Gateway"] = pool.gateway_typed or pool.gateway
    if pool.aux_addresses and not pool.automatic:
        document["AuxiliaryAddresses"] = _sorted_map(pool.aux_addresses)
    return document


def _members(endpoints: Sequence[tuple[EndpointRecord, str]]) -> Json:
    by_container = sorted(endpoints, key=lambda pair: pair[0].container_id)
    return {endpoint.container_id: _member(endpoint, name) for endpoint, name in by_container}


def _member(endpoint: EndpointRecord, name: str) -> Json:
    return {
        "Name": name,
        "EndpointID": endpoint.id,
        "MacAddress": endpoint.mac,
        "IPv4Address": endpoint.ipv4,
        "IPv6Address": endpoint.ipv6,
    }


def _sorted_map(mapping: Mapping[str, str] | None) -> dict[str, str] | None:
    if mapping is None:
        return None
    return dict(sorted(mapping.items())) if len(mapping) > 1 else dict(mapping)
