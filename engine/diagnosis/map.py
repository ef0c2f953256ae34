"""Make the document of ``hawse network map``: networks, their containers, addresses, names, ports and hosts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from drivers.port_ranges import range_text
from drivers.scalars import socket_text
from engine.api import Json
from engine.cluster import hooks
from engine.cluster.hooks import shown_name
from engine.cluster.local_networks import SWARM
from engine.cluster.model import ClusterMembership, Node, SharedEndpoint
from engine.cluster.snapshot import View
from engine.containers.lookup import is_alive
from engine.host import Host
from engine.model import ContainerRecord, EndpointRecord, NetworkRecord, PortRecord
from engine.names import PRESENT, SHORT_ID, natural_key, pick_network
from engine.store.api import Reader


def document(host: Host, references: Sequence[str]) -> Json:
    """Return the map of the networks that ``references`` name, as a JSON document.

    ``references`` are names or ids. If empty, the map has the networks that are in use or that the user created.
    Each network lists its containers on this host. A cluster network also lists its containers on other hosts. Raises
    NotFound for an unknown reference, and InvalidArgument for an ambiguous one.
    """
    view, membership = _cluster(host)
    with host.store.read() as reader:
        records = (
            [pick_network(reader.find_networks(reference), reference) for reference in references]
            if references
            else _all(reader)
        )
        chosen = {record.id: record for record in records}
        networks = [_network(reader, record, view, membership) for record in chosen.values()]
    shown = [n for n in networks if references or n["Containers"] or not n["Predefined"]]
    return {"Host": os.uname().nodename, "Networks": sorted(shown, key=lambda n: natural_key(n["Name"]))}


def _cluster(host: Host) -> tuple[View | None, ClusterMembership | None]:
    # `is_clustered` is False for a user who may read the store, but not the cluster's files. Without this test,
    # `current_view` would raise PermissionError for such a user.
    return hooks.current_view(host) if host.is_clustered else (None, None)


def _all(reader: Reader) -> list[NetworkRecord]:
    return [n for n in reader.networks() if n.phase in PRESENT and not n.config_only]


def _network(reader: Reader, record: NetworkRecord, view: View | None, membership: ClusterMembership | None) -> Json:
    here, elsewhere = list(_members(reader, record)), []
    hosts: list[Json] = []
    if record.scope == SWARM and view is not None and membership is not None:
        others = view.endpoints_on_other_hosts(record.id, membership.node_id)
        elsewhere = [_remote(e, view) for e in others if e.node in view.nodes]
        used = {e.node for e in view.endpoints(record.id)} | ({membership.node_id} if here else set())
        nodes = (view.nodes[node] for node in used if node in view.nodes)
        hosts = [_host(n, membership) for n in nodes]
    members = sorted([*here, *elsewhere], key=lambda m: (natural_key(m["Host"]), m["HostId"], natural_key(m["Name"])))
    return {
        "Name": record.name,
        "Id": record.id,
        "Driver": record.driver,
        "Scope": record.scope,
        "Internal": record.internal,
        "Predefined": record.predefined or record.ingress,
        "Subnets": [{"Subnet": p.subnet, "Gateway": p.gateway} for p in record.pools if not p.unused],
        "Hosts": sorted(hosts, key=lambda h: (natural_key(h["Name"]), h["Id"])),
        "Containers": members,
    }


def _host(node: Node, membership: ClusterMembership) -> Json:
    here = node.id == membership.node_id
    return {"Id": node.id, "Name": node.hostname, "Address": node.data_address, "Here": here}


def _members(reader: Reader, network: NetworkRecord) -> Iterator[Json]:
    """Yield a JSON object for each container of this host that runs and is on the network."""
    for endpoint in reader.endpoints(network_id=network.id):
        container = reader.container(endpoint.container_id)
        if endpoint.phase == "live" and container is not None and is_alive(container):
            yield _member(network, endpoint, container)


def _member(network: NetworkRecord, endpoint: EndpointRecord, container: ContainerRecord) -> Json:
    name = shown_name(network, container)
    return {
        "Name": name,
        "Id": container.id,
        "Host": "",
        "HostId": "",
        "Interface": endpoint.interface,
        "MacAddress": endpoint.mac,
        "IPv4Address": endpoint.ipv4,
        "IPv6Address": endpoint.ipv6,
        "Names": _other_names(endpoint.names, name, container.id),
        "Ports": [_port_text(port) for port in endpoint.ports],
    }


def _remote(endpoint: SharedEndpoint, view: View) -> Json:
    """Return the JSON object for a container on another host; interface and ports are unknown, so they are empty."""
    name = endpoint.names[0] if endpoint.names else endpoint.container_id[:SHORT_ID]
    return {
        "Name": name,
        "Id": endpoint.container_id,
        "Host": view.nodes[endpoint.node].hostname,
        "HostId": endpoint.node,
        "Interface": "",
        "MacAddress": endpoint.mac,
        "IPv4Address": endpoint.ipv4,
        "IPv6Address": endpoint.ipv6,
        "Names": _other_names(endpoint.names, name, endpoint.container_id),
        "Ports": [],
    }


def _other_names(names: Iterable[str], shown: str, container_id: str) -> list[str]:
    """Return a container's DNS names (``names``) without its short id and the name in the map (``shown``)."""
    return [name for name in dict.fromkeys(names) if name not in (shown, container_id[:SHORT_ID])]


def _port_text(port: PortRecord) -> str:
    """Return a published port or range as ``ps`` prints it, such as ``0.0.0.0:8080->80/tcp``.

    Without a host port (gateway mode "routed"), the text has only the container's port.
    """
    if not port.host_port:
        return f"{range_text(port.port, port.port_end)}/{port.protocol}"
    published, ports = range_text(port.host_port, port.host_port_end), range_text(port.port, port.port_end)
    return f"{socket_text(port.host_ip, published)}->{ports}/{port.protocol}"
