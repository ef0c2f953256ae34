"""Giving a new network its subnets, gateways and reserved addresses, inside the transaction that records it."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network

from drivers.linux.host import interface_ranges
from engine.config import Config
from engine.dispatch.specs import pool_key
from engine.errors import Forbidden, InvalidArgument
from engine.etc_files.resolv_conf import parse, read_host_resolv_conf
from engine.ipam import addresses, pools
from engine.ipam.addresses import IN_USE
from engine.ipam.pools import IPNetwork, Occupied, Range, bounds
from engine.model import IPAMConfig, NetworkCreate, NetworkRecord, PoolRecord
from engine.store.api import Taken, Transaction

CURSOR = "pool-cursor-{version}"
OVERLAP = "Pool overlaps with other one on this address space"


def allocate_pools(
    tx: Transaction, request: NetworkCreate, config: Config, host_id: str, on_host: Mapping[int, Sequence[Range]]
) -> list[PoolRecord]:
    """Choose the network's subnets: the user's own, and automatic ones for families that it has none of.

    ``on_host`` are the ranges on the host's interfaces by IP version, which automatic choice avoids.
    """
    taken = {version: tx.subnets(version) for version in (4, 6)}
    own = [_own_pool(c, request) for c in request.ipam_config if c.subnet and not _is_size_only(c)]
    for pool in own:
        subnet = ip_network(pool.subnet)
        if not pool.unused and Occupied(taken[subnet.version]).last_within(*bounds(subnet)) is not None:
            raise Forbidden(OVERLAP)
        taken[subnet.version].append(bounds(subnet))
    sized = dict(map(_size, filter(_is_size_only, request.ipam_config)))
    families = {ip_network(p.subnet).version for p in own if not p.unused}
    occupied = {version: [*ranges, *on_host[version]] for version, ranges in taken.items()}
    automatic = []
    if request.enable_ipv4 is not False and 4 not in families:
        automatic.append(_automatic(tx, 4, config.default_address_pools, occupied[4], sized.get(4)))
    if request.enable_ipv6 and 6 not in families:
        defaults = (*config.default_address_pools, pools.ula_pool(host_id))
        automatic.append(_automatic(tx, 6, defaults, occupied[6], sized.get(6)))
    return _ordered(own, automatic)


def pass_over(tx: Transaction, given_back: Iterable[PoolRecord]) -> None:
    """Go on after subnets that were chosen for a network that failed: what is given back is not used again at once."""
    for pool in given_back:
        if pool.automatic:
            tx.set_meta(CURSOR.format(version=ip_network(pool.subnet).version), pool.subnet)


def configured_pools(request: NetworkCreate) -> list[PoolRecord]:
    """The subnets of a network that allocates nothing itself (a configuration for others, or one without a switch)."""
    return [_own_pool(c, request) for c in request.ipam_config if c.subnet]


def reserve_fixed(tx: Transaction, network: NetworkRecord) -> NetworkRecord:
    """Reserve gateways and auxiliary addresses; the record with automatic gateways filled in."""
    return replace(network, pools=[_reserve_pool(tx, network, p) for p in network.pools])


def _reserve_pool(tx: Transaction, network: NetworkRecord, pool: PoolRecord) -> PoolRecord:
    if pool.unused:
        return pool
    key, subnet = pool_key(network, pool), ip_network(pool.subnet)
    within = ip_network(pool.ip_range) if pool.ip_range else None
    gateway = pool.gateway
    try:
        if not gateway:
            gateway = str(addresses.lowest_free(subnet, tx.addresses(key), within))
        else:
            addresses.check_address(subnet, tx.addresses(key), ip_address(gateway))
        tx.reserve_address(key, int(ip_address(gateway)), f"gateway:{network.id}")
    except (Taken, addresses.AddressInUse, addresses.OutOfPool) as error:
        raise Forbidden(f"failed to allocate gateway ({gateway}): {IN_USE}") from error
    except addresses.NoFreeAddress as error:
        raise Forbidden(f"failed to allocate gateway (): {error}") from error
    for name, address in pool.aux_addresses.items():
        _reserve_aux(tx, network, key, subnet, name, address)
    return replace(pool, gateway=gateway)


def _reserve_aux(tx: Transaction, network: NetworkRecord, key: str, subnet: IPNetwork, name: str, address: str) -> None:
    try:
        addresses.check_address(subnet, tx.addresses(key), ip_address(address))
        tx.reserve_address(key, int(ip_address(address)), f"aux:{network.id}:{name}")
    except (Taken, addresses.AddressInUse, addresses.OutOfPool) as error:
        text = f"failed to allocate secondary ip address ({name}:{address}): {IN_USE}"
        raise Forbidden(text) from error


def _own_pool(config: IPAMConfig, request: NetworkCreate) -> PoolRecord:
    subnet = ip_network(config.subnet, strict=False)
    gateway = str(ip_address(config.gateway)) if config.gateway else ""
    return PoolRecord(
        subnet=str(subnet),
        subnet_typed=config.subnet if config.subnet != str(subnet) else "",
        ip_range=config.ip_range,
        gateway=gateway,
        gateway_typed=config.gateway if config.gateway != gateway else "",
        gateway_shown=bool(config.gateway),
        aux_addresses=dict(config.aux_addresses),
        unused=subnet.version == 6 and not request.enable_ipv6,
    )


def _automatic(
    tx: Transaction,
    version: int,
    defaults: Sequence[pools.DefaultPool],
    occupied: Iterable[Range],
    size: int | None,
) -> PoolRecord:
    cursor = CURSOR.format(version=version)
    last = tx.meta(cursor)
    try:
        chosen = pools.allocate_pool(defaults, version, occupied, last=ip_network(last) if last else None, size=size)
    except pools.PoolsExhausted as error:
        raise InvalidArgument(str(error)) from error
    tx.set_meta(cursor, str(chosen))
    return PoolRecord(subnet=str(chosen), automatic=True)


def _ordered(own: Sequence[PoolRecord], automatic: Sequence[PoolRecord]) -> list[PoolRecord]:
    """IPv4 before IPv6 among the user's own, which come before what was chosen for him."""
    return [*sorted(own, key=lambda p: ip_network(p.subnet).version), *automatic]


def _is_size_only(config: IPAMConfig) -> bool:
    """Tell whether the user asked only for a prefix length: ``0.0.0.0/24`` or ``::/64``."""
    return config.subnet.partition("/")[0] in ("0.0.0.0", "::") and not config.subnet.endswith("/0")


def _size(config: IPAMConfig) -> tuple[int, int]:
    subnet = ip_network(config.subnet)
    return subnet.version, subnet.prefixlen


def used_ranges(versions: Container[int] = (4, 6)) -> dict[int, Sequence[Range]]:
    """What is on the host's interfaces, and its name servers: by IP version, nothing of one that is not asked for."""
    found = {version: interface_ranges(version) if version in versions else [] for version in (4, 6)}
    for server in parse(read_host_resolv_conf()).servers:
        address = ip_address(server.partition("%")[0])
        if address.version in versions:
            found[address.version].append((int(address), int(address)))
    return dict(found)
