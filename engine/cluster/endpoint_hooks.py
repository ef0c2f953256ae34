"""The cluster's part of commands on endpoints: reserve and release endpoints on networks that span hosts.

This module only calls the steps in order. The code that changes records in etcd is in `shared_endpoints`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from drivers.api import TunnelGuard
from drivers.linux import process
from engine import names
from engine.cluster import local_networks, node_operations
from engine.cluster.local_networks import NETWORKS_LOCK, SWARM, deactivate_if_unused
from engine.cluster.membership import connected
from engine.cluster.model import SharedEndpoint
from engine.cluster.network_hooks import check_attachable
from engine.errors import EngineError, Forbidden
from engine.host import Host, network_spec, translate_driver_errors
from engine.model import FORMER, ContainerRecord, EndpointRecord, NetworkAttachment, NetworkRecord
from engine.store.codec import decode, encode
from engine.store.locks import locked

if TYPE_CHECKING:
    from engine.cluster.etcd import Client
    from engine.cluster.model import ClusterMembership


@contextmanager
def reserve_endpoints(
    host: Host, container: ContainerRecord, networks: Sequence[NetworkRecord]
) -> Iterator[Mapping[str, EndpointRecord]]:
    """Reserve a container's endpoints on the cluster networks among ``networks``.

    Yields the endpoints by network id. Inside the ``with`` block, the caller records the endpoints in the local store
    and activates the endpoints' networks. If the block fails, all reservations are released. The networks lock is held
    during the block.
    """
    shared = [n for n in networks if n.scope == SWARM]
    if not shared:
        yield {}
        return

    with host.store.read() as reader:
        former = {e.network_id: e for e in reader.endpoints(container_id=container.id) if e.phase == FORMER}
    made: list[SharedEndpoint] = []
    try:
        with connected(host) as (client, membership):
            for network in shared:
                check_attachable(network)
                _shut(host, network)
                made.append(_reserve(client, membership, container, network, former.get(network.id)))
        with locked(host.run, *NETWORKS_LOCK):
            _import_again(host, shared, membership)
            yield {e.network_id: _record(e) for e in made}
    except BaseException:
        with suppress(EngineError), connected(host) as (client, membership):
            for endpoint in made:
                node_operations.perform(
                    client, membership, "release", network=endpoint.network_id, endpoint=endpoint.id
                )
        for network in shared:
            deactivate_if_unused(host, network.id)
        raise


def _shut(host: Host, network: NetworkRecord) -> None:
    """Make the driver block the packets that containers send into the network's tunnels.

    The caller calls this function before it reserves the endpoint. Other hosts accept this host's packets from the
    reservation on.
    """
    driver = host.driver(network.driver)
    if isinstance(driver, TunnelGuard):
        with translate_driver_errors():
            driver.shut(network_spec(network))


def _import_again(host: Host, networks: Sequence[NetworkRecord], membership: ClusterMembership) -> None:
    """Record each of ``networks`` on this host again if another command has deleted the record, because the network was
    unused at that time.
    """
    with host.store.read() as reader:
        dropped = [n for n in networks if reader.network(n.id) is None]
    for network in dropped:
        local_networks.import_network(host, network, membership)


def _record(endpoint: SharedEndpoint) -> EndpointRecord:
    return EndpointRecord(
        id=endpoint.id,
        network_id=endpoint.network_id,
        container_id=endpoint.container_id,
        mac=endpoint.mac,
        ipv4=endpoint.ipv4,
        ipv6=endpoint.ipv6,
        names=endpoint.names,
        granted=True,
    )


def _reserve(
    client: Client,
    membership: ClusterMembership,
    container: ContainerRecord,
    network: NetworkRecord,
    former: EndpointRecord | None,
) -> SharedEndpoint:
    """Reserve an endpoint, if possible with the addresses of the container's endpoint ``former`` of the last boot."""
    settings = attachment(container, network).settings
    ipam = settings.ipam
    endpoint = SharedEndpoint(
        id=names.generate_id(),
        network_id=network.id,
        container_id=container.id,
        node=membership.node_id,
        mac=names.parse_mac(settings.mac_address) if settings.mac_address else names.random_mac(),
        names=names.dns_names(container, settings),
        owner=process.identity(),
    )
    ipv4, ipv6 = (ipam.ipv4, ipam.ipv6) if ipam else ("", "")

    def reserve(ipv4: str, ipv6: str) -> SharedEndpoint:
        made = node_operations.perform(client, membership, "reserve", endpoint=encode(endpoint), ipv4=ipv4, ipv6=ipv6)
        return decode(SharedEndpoint, made["endpoint"])

    if former is not None:
        node_operations.perform(client, membership, "release", network=network.id, endpoint=former.id)
        with suppress(Forbidden):  # another host may have one of the addresses now
            return reserve(*(own or last.partition("/")[0] for own, last in ((ipv4, former.ipv4), (ipv6, former.ipv6))))
    return reserve(ipv4, ipv6)


def attachment(container: ContainerRecord, network: NetworkRecord) -> NetworkAttachment:
    """Return the container's configuration for a network. The container's record names the network by id or by name."""
    return next(
        a for a in container.attachments if network.id == a.network_id or a.network in (network.name, network.id)
    )


def release_endpoint(host: Host, network: NetworkRecord, endpoint: EndpointRecord) -> None:
    """Release an endpoint in the etcd store; if this store is unreachable, the agent releases the endpoint later.

    If no endpoint on this host uses the network any more, this host's kernel objects of the network are deleted too.
    """
    if network.scope != SWARM:
        return

    with suppress(EngineError), connected(host) as (client, membership):
        node_operations.perform(client, membership, "release", network=network.id, endpoint=endpoint.id)
    deactivate_if_unused(host, network.id)
