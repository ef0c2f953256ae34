"""List and inspect networks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from ipaddress import ip_network

from engine.api import Documents, Json
from engine.cluster import hooks
from engine.cluster.local_networks import INGRESS_SANDBOX
from engine.filters import networks
from engine.host import Host, pool_key
from engine.ipam import IPAddress, usage
from engine.model import EndpointRecord, Filters, NetworkRecord, NetworkSummary
from engine.names import PRESENT, natural_key, pick_network
from engine.render.network import network_document
from engine.runtime.adopted_namespace import still_exists
from engine.store.api import Reader

LARGEST_COUNT = (1 << 64) - 1
"""The largest number of addresses that `inspect` shows. As in Docker, larger numbers are shown as this one."""


def list_documents(host: Host, filters: Filters) -> Documents:
    """Return the NetworkResource document (JSON of Docker's API) of each network that matches the filters.

    The documents do not list the networks' containers.
    """
    return [network_document(n, []) for n in _matching(host, filters)]


def list_summaries(host: Host, filters: Filters) -> Sequence[NetworkSummary]:
    """Return summaries of all networks that match the filters, sorted by name in natural order.

    The full records are read only for a label filter, because summaries have no labels.
    """
    if "label" in filters:
        chosen = sorted(_matching(host, filters), key=lambda n: natural_key(n.name))
        return [NetworkSummary(n.id, n.name, n.driver, n.scope, n.predefined) for n in chosen]
    with host.store.read() as reader:
        return networks.filter_summaries(reader.network_summaries(PRESENT), filters)


def _matching(host: Host, filters: Filters) -> list[NetworkRecord]:
    with host.store.read() as reader:
        return networks.filter_networks([n for n in reader.networks() if n.phase in PRESENT], filters)


def inspect(host: Host, reference: str, *, verbose: bool = False) -> Json:
    """Return the NetworkResource document of one network, including its containers.

    ``reference`` is a name, an id or the beginning of an id. With ``verbose``, the document also has the numbers of
    used and available addresses, which Docker 26 does not show. Raises NotFound if no network matches, and
    InvalidArgument if several match.
    """
    with host.store.read() as reader:
        record = pick_network(reader.find_networks(reference), reference, inspect=True)
        members = list(_members(reader, record))
        used = {pool.subnet: reader.addresses(pool_key(record, pool)) for pool in record.pools} if verbose else {}
    status = _ipam_status(record, used, hooks.used_addresses(host, record)) if verbose else {}
    return {**hooks.add_cluster_fields(host, record, network_document(record, members)), **status}


def _members(reader: Reader, record: NetworkRecord) -> Iterator[tuple[EndpointRecord, str]]:
    """Yield the endpoints that ``network inspect`` lists for a network, each with its name in this list."""
    known = reader.container_names(record.id)
    gone = {container.id for container in reader.containers(adopted=True) if not still_exists(container)}
    for endpoint in reader.endpoints(network_id=record.id):
        if endpoint.container_id == INGRESS_SANDBOX:
            yield endpoint, f"gateway_{INGRESS_SANDBOX}"
        elif endpoint.phase == "live" and endpoint.container_id in known and endpoint.container_id not in gone:
            container = reader.container(endpoint.container_id) if hooks.is_gateway(record) else None
            yield endpoint, hooks.shown_name(record, container) if container else known[endpoint.container_id]


def _ipam_status(record: NetworkRecord, local: Mapping[str, Sequence[int]], shared: Collection[IPAddress]) -> Json:
    """Return the numbers of used and available addresses of each subnet, in the form of Engine API 1.52.

    - ``local``: for each subnet, such as "172.18.0.0/16", the addresses that this host has reserved, as integers
    - ``shared``: the addresses of a cluster network that any host of the cluster has reserved
    """
    subnets = {}
    for pool in record.pools:
        if not pool.unused:
            subnet, within = ip_network(pool.subnet), ip_network(pool.ip_range) if pool.ip_range else None
            used = {*local[pool.subnet], *(int(address) for address in shared if address in subnet)}
            counted = usage(subnet, sorted(used), within)
            subnets[pool.subnet] = {
                "IPsInUse": min(counted.in_use, LARGEST_COUNT),
                "DynamicIPsAvailable": min(counted.available, LARGEST_COUNT),
            }
    return {"Status": {"IPAM": {"Subnets": subnets}}}
