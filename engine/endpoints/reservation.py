"""Reserves an endpoint in the store: its id, its addresses and its MAC."""

from __future__ import annotations

from ipaddress import IPv4Interface, ip_address, ip_network

from drivers.registry import facts
from engine import names
from engine.dispatch.specs import pool_key
from engine.errors import Forbidden, KernelFailure
from engine.ipam import addresses
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
    """Reserve an endpoint's id, addresses and MAC inside a transaction; raises Docker's texts when that fails."""
    endpoint_id = names.generate_id()
    settings = attachment.settings
    wanted = settings.ipam
    ipv4 = ipv6 = ""
    for pool in network.pools:
        version = ip_network(pool.subnet).version
        if pool.unused or (ipv4 if version == 4 else ipv6):
            continue
        asked = "" if wanted is None else (wanted.ipv4 if version == 4 else wanted.ipv6)
        if asked and ip_address(asked) not in ip_network(pool.subnet):
            continue
        address = _allocate(tx, network, pool, asked, endpoint_id)
        if version == 4:
            ipv4 = address
        else:
            ipv6 = address
    return EndpointRecord(
        id=endpoint_id,
        network_id=network.id,
        container_id=container.id,
        mac=_mac(network, settings.mac_address, ipv4),
        ipv4=ipv4,
        ipv6=ipv6,
        link_local=[_with_prefix(a) for a in wanted.link_local] if wanted else [],
        names=names.served_names(container, settings),
        default_route=settings.default_route,
    )


def _mac(network: NetworkRecord, asked: str, ipv4: str) -> str:
    if facts(network.driver).singleton:
        return ""
    if asked:
        return names.parse_mac(asked)
    return names.mac_from_ipv4(IPv4Interface(ipv4).ip) if ipv4 else names.random_mac()


def _with_prefix(address: str) -> str:
    return address if "/" in address else f"{address}/{16 if ip_address(address).version == 4 else 64}"


def _allocate(tx: Transaction, network: NetworkRecord, pool: PoolRecord, asked: str, holder: str) -> str:
    """Reserve the address asked for, else the pool's lowest free one; with the subnet's prefix length."""
    key, subnet = pool_key(network, pool), ip_network(pool.subnet)
    used = tx.addresses(key)
    try:
        if asked:
            chosen = addresses.check_address(subnet, used, ip_address(asked))
        else:
            chosen = addresses.lowest_free(subnet, used, ip_network(pool.ip_range) if pool.ip_range else None)
        tx.reserve_address(key, int(chosen), holder)
    except (Taken, addresses.AddressInUse, addresses.OutOfPool) as error:
        raise Forbidden(addresses.IN_USE) from error
    except addresses.NoFreeAddress as error:
        family = f"IPv{subnet.version}"
        message = f"no available {family} addresses on this network's address pools: {network.name} ({network.id})"
        raise KernelFailure(message) from error
    return f"{chosen}/{subnet.prefixlen}"
