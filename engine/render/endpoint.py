"""Render EndpointSettings documents: the full NetworkSettings.Networks of a container, and the short form for lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.model import ContainerRecord, EndpointIPAM, EndpointRecord, NetworkAttachment
from engine.names import dns_names, is_container_mode, is_user_defined
from engine.render import Json, copied_list


def networks_document(record: ContainerRecord, endpoints: Sequence[EndpointRecord]) -> dict[str, Json]:
    """Render NetworkSettings.Networks of a container, sorted by network name; ``endpoints`` are its live endpoints."""
    by_network = {endpoint.network_id: endpoint for endpoint in endpoints}
    return {
        attachment.network: endpoint_settings_document(record, attachment, by_network.get(attachment.network_id))
        for attachment in _shown(record)
    }


def listed_networks_document(record: ContainerRecord, endpoints: Sequence[EndpointRecord]) -> dict[str, Json]:
    """Render NetworkSettings.Networks as in GET /containers/json.

    Links, aliases, options and DNS names are null in this short form.
    """
    by_network = {endpoint.network_id: endpoint for endpoint in endpoints}
    return {a.network: _listed_document(a, by_network.get(a.network_id)) for a in _shown(record)}


def endpoint_settings_document(
    record: ContainerRecord, attachment: NetworkAttachment, endpoint: EndpointRecord | None
) -> Json:
    """Render one network of a container in the full form; ``attachment`` has the settings for this network.

    ``endpoint`` is None if the container has no endpoint on the network.
    """
    settings = attachment.settings
    return {
        "IPAMConfig": _ipam(_shown_ipam(attachment, endpoint)),
        "Links": copied_list(settings.links),
        "Aliases": copied_list(settings.aliases),
        "MacAddress": _mac(attachment, endpoint),
        "NetworkID": attachment.network_id,
        "EndpointID": endpoint.id if endpoint else "",
        **address_document(endpoint),
        "DriverOpts": None if settings.driver_opts is None else dict(sorted(settings.driver_opts.items())),
        "DNSNames": _dns_names(record, attachment),
    }


def _listed_document(attachment: NetworkAttachment, endpoint: EndpointRecord | None) -> Json:
    ipam = _ipam(_shown_ipam(attachment, endpoint))
    return {
        "IPAMConfig": ipam and {key: ipam[key] for key in ipam if key != "LinkLocalIPs"},
        "Links": None,
        "Aliases": None,
        "MacAddress": _mac(attachment, endpoint),
        "NetworkID": attachment.network_id,
        "EndpointID": endpoint.id if endpoint else "",
        **address_document(endpoint),
        "DriverOpts": None,
        "DNSNames": None,
    }


def address_document(endpoint: EndpointRecord | None) -> Json:
    """Render an endpoint's gateways and addresses. If ``endpoint`` is None, all values are empty."""
    ipv4, prefix4 = _split(endpoint.ipv4 if endpoint else "")
    ipv6, prefix6 = _split(endpoint.ipv6 if endpoint else "")
    return {
        "Gateway": endpoint.gateway4 if endpoint else "",
        "IPAddress": ipv4,
        "IPPrefixLen": prefix4,
        "IPv6Gateway": endpoint.gateway6 if endpoint else "",
        "GlobalIPv6Address": ipv6,
        "GlobalIPv6PrefixLen": prefix6,
    }


def _shown(record: ContainerRecord) -> Sequence[NetworkAttachment]:
    """Return the container's attachments to networks, sorted by name.

    A container in ``container:`` mode uses the sandbox of another container, and has an attachment that names this mode
    instead of a network. That attachment is left out. Networks that the user connected while the container was stopped
    are included.
    """
    attachments = [attachment for attachment in record.attachments if not is_container_mode(attachment.network)]
    return sorted(attachments, key=lambda attachment: attachment.network)


def _split(interface: str) -> tuple[str, int]:
    address, _, prefix = interface.partition("/")  # the store's text is canonical, so it need not be parsed
    return address, int(prefix or 0)


def _shown_ipam(attachment: NetworkAttachment, endpoint: EndpointRecord | None) -> EndpointIPAM | None:
    """Return the addresses for the field IPAMConfig of one network, or None if there are none.

    These are the addresses that the user requested. If the cluster has allocated the endpoint's addresses, the result
    has the allocated addresses instead, as in Docker.
    """
    if endpoint is None or not endpoint.granted:
        return attachment.settings.ipam
    return EndpointIPAM(_split(endpoint.ipv4)[0], _split(endpoint.ipv6)[0])


def _ipam(ipam: EndpointIPAM | None) -> Json | None:
    if ipam is None:
        return None
    fields: Mapping[str, Any] = {
        "IPv4Address": ipam.ipv4,
        "IPv6Address": ipam.ipv6,
        "LinkLocalIPs": list(ipam.link_local),
    }
    return {key: value for key, value in fields.items() if value}


def _dns_names(record: ContainerRecord, attachment: NetworkAttachment) -> list[str] | None:
    # As in Docker, DNS names are empty until ``network connect`` or the first start has connected the container to the
    # network.
    known = attachment.network_id or attachment.named
    return dns_names(record, attachment.settings) if known and is_user_defined(attachment.network) else None


def _mac(attachment: NetworkAttachment, endpoint: EndpointRecord | None) -> str:
    """Return the endpoint's MAC address, or "" for a container that has run and is stopped.

    Before the container's first start, the result is the MAC address that the user requested, as typed.
    """
    if endpoint and endpoint.mac:
        return endpoint.mac
    return attachment.settings.mac_address if endpoint or not attachment.network_id else ""
