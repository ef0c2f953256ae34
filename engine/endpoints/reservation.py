"""Reserve an endpoint in the store (id, addresses, MAC), and release the endpoints of a container.

Releasing is idempotent.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Interface, ip_address, ip_network
from pathlib import Path

from drivers.registry import facts
from engine import ipam, names
from engine.cluster import endpoint_hooks
from engine.dispatch import pool_key
from engine.endpoints import links, sandbox
from engine.endpoints.sandbox import JoinedEndpoint
from engine.errors import EngineError, Forbidden, InvalidArgument, KernelFailure
from engine.host import Host
from engine.model import (
    ContainerRecord,
    EndpointRecord,
    NetworkAttachment,
    NetworkRecord,
    PoolRecord,
)
from engine.store.api import Taken, Transaction


def reserve(
    tx: Transaction, network: NetworkRecord, container: ContainerRecord, attachment: NetworkAttachment
) -> EndpointRecord:
    """Reserve an id, addresses and a MAC address for a new endpoint, in the caller's transaction.

    Raises Forbidden or KernelFailure with Docker's error text if an address is not available, and InvalidArgument if a
    link-local address of the settings is not link-local.
    """
    endpoint_id = names.generate_id()
    settings = attachment.settings
    ipam = settings.ipam
    link_local = [_link_local(a) for a in ipam.link_local] if ipam else []
    ipv4 = _allocate_in_pools(tx, network, 4, ipam.ipv4 if ipam else "", endpoint_id)
    ipv6 = _allocate_in_pools(tx, network, 6, ipam.ipv6 if ipam else "", endpoint_id)
    return EndpointRecord(
        id=endpoint_id,
        network_id=network.id,
        container_id=container.id,
        mac=_mac(network, settings.mac_address, ipv4),
        ipv4=ipv4,
        ipv6=ipv6,
        link_local=link_local,
        names=names.served_names(container, settings),
        default_route=settings.default_route,
    )


def _mac(network: NetworkRecord, requested: str, ipv4: str) -> str:
    if facts(network.driver).singleton:
        return ""
    if requested:
        return names.parse_mac(requested)
    return names.mac_from_ipv4(IPv4Interface(ipv4).ip) if ipv4 else names.random_mac()


def _link_local(text: str) -> str:
    """Return a link-local address with its prefix length; raises InvalidArgument for any other address."""
    address = ip_address(text)
    if not address.is_link_local:
        raise InvalidArgument(f"invalid link local IP address: {address}")
    return f"{address}/{16 if address.version == 4 else 64}"


def _allocate_in_pools(tx: Transaction, network: NetworkRecord, version: int, requested: str, holder: str) -> str:
    """Reserve the address ``requested``, or an address in the first subnet of the IP version that has a free address.

    Return the address with its prefix length, or "" if the network has no subnet for it. Raises Forbidden or
    KernelFailure.
    """
    subnets = [(pool, ip_network(pool.subnet)) for pool in network.pools if not pool.unused]
    pools = [pool for pool, subnet in subnets if subnet.version == version]
    if requested:
        pools = [pool for pool in pools if ip_address(requested) in ip_network(pool.subnet)]
    for pool in pools[:-1]:
        with suppress(KernelFailure):  # the subnet is full
            return _allocate(tx, network, pool, requested, holder)
    return _allocate(tx, network, pools[-1], requested, holder) if pools else ""


def _allocate(tx: Transaction, network: NetworkRecord, pool: PoolRecord, requested: str, holder: str) -> str:
    """Reserve the address ``requested`` in a subnet for ``holder``. If ``requested`` is "", reserve the lowest free
    address.

    Return the reserved address with the subnet's prefix length.
    """
    key, subnet = pool_key(network, pool), ip_network(pool.subnet)
    used = tx.addresses(key)
    try:
        if requested:
            chosen = ipam.check_address(subnet, used, ip_address(requested))
        else:
            chosen = ipam.lowest_free(subnet, used, ip_network(pool.ip_range) if pool.ip_range else None)
        tx.reserve_address(key, int(chosen), holder)
    except (Taken, ipam.AddressInUse, ipam.OutOfPool) as error:
        raise Forbidden(ipam.IN_USE) from error
    except ipam.NoFreeAddress as error:
        family = f"IPv{subnet.version}"
        message = f"no available {family} addresses on this network's address pools: {network.name} ({network.id})"
        raise KernelFailure(message) from error
    return f"{chosen}/{subnet.prefixlen}"


def memberships(host: Host, container_id: str) -> list[JoinedEndpoint]:
    """Return the container's endpoints with their networks, in the order of their creation."""
    with host.store.read() as reader:
        pairs = [(reader.network(e.network_id), e) for e in reader.endpoints(container_id=container_id)]
    return [JoinedEndpoint(network, endpoint) for network, endpoint in pairs if network is not None]


def release_endpoints(host: Host, record: ContainerRecord, *, alive: bool) -> None:
    """Remove all endpoints of a container from its sandbox, and delete the endpoints' records.

    If the removal of one endpoint fails, the other endpoints are still removed. The first error is raised at the end.
    """
    failures: list[EngineError] = []
    members = memberships(host, record.id)
    for number, member in enumerate(members, 1):
        try:
            release_endpoint(host, record, member, members[number:], alive=alive)
        except EngineError as error:
            failures.append(error)
    if failures:
        raise failures[0]


def release_endpoint(
    host: Host, record: ContainerRecord, member: JoinedEndpoint, others: Sequence[JoinedEndpoint], *, alive: bool
) -> None:
    """Remove one endpoint from its sandbox and delete the endpoint's record.

    The ports are unpublished before the interface is removed, so that no new connections arrive. The record is deleted
    even if a step fails. ``others`` are the endpoints that the container keeps.
    """
    with host.store.write() as tx:
        # Set the phase "leaving", because a firewall repair skips endpoints in this phase. A concurrent repair then
        # does not restore the rules of this endpoint.
        tx.put_endpoint(replace(member.endpoint, phase="leaving"))
    try:
        sandbox.dismiss_siblings(host, member, others)
        links.close_links(host, record, member)
        sandbox.unpublish(host, record, member, member.endpoint.ports, leaving=True)
        sandbox.leave(host, record, member, alive=alive)
    finally:
        with host.store.write() as tx:
            tx.delete_endpoint(member.endpoint.id)
        endpoint_hooks.release_endpoint(host, member.network, member.endpoint)


def close_sandbox(record: ContainerRecord) -> None:
    """Remove the symbolic link to the sandbox's network namespace.

    As in Docker, the container's record keeps the path of the link.
    """
    path = Path(record.sandbox_path)
    if record.kind == "process" and path.is_symlink():
        path.unlink(missing_ok=True)
