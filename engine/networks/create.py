"""Create a network: check the request, allocate subnets, record the network, and call its driver.

The transaction that records the network also allocates the subnets, gateways and reserved addresses. The driver then
creates the network in the kernel.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address, ip_network

from msgspec.structs import replace

from drivers.linux import process
from drivers.linux.host import interface_ranges
from drivers.model import NetworkSpec
from drivers.registry import available, facts
from engine import ipam, names
from engine.agent.client import keep_agent
from engine.api import Created
from engine.cluster import hooks
from engine.config import Config
from engine.errors import EngineError, Forbidden, InvalidArgument, hinted
from engine.events import record as events
from engine.golang import timestamps
from engine.host import (
    Host,
    begin_intent,
    end_intent,
    network_spec,
    pool_key,
    rollback_on_error,
    save_driver_state,
    translate_driver_errors,
)
from engine.ipam import IN_USE, IPNetwork, Occupied, Range, bounds
from engine.model import IPAMConfig, NetworkCreate, NetworkRecord, PoolRecord
from engine.networks.activate import destroy
from engine.ports.allocation import GATEWAY_MODES
from engine.resolv_conf import read_host_files
from engine.store.api import IntentKind, Reader, Taken, Transaction
from engine.validate.network import check_network_create, network_name_taken

CURSOR = "pool-cursor-{version}"
"""The store's key for the subnet that was allocated last. Each IP version has its own key."""
OVERLAP = "Pool overlaps with other one on this address space"


def with_default_options(request: NetworkCreate, config: Config) -> NetworkCreate:
    """Return the request with additional driver options: the defaults from daemon.json's key default-network-opts.

    Options that the user gave take precedence. As in Docker, a network with ``config_from`` takes its options only from
    the configuration network.
    """
    if request.config_from:
        return request
    return replace(
        request, options={**config.default_network_opts.get(request.driver or "bridge", {}), **request.options}
    )


def create(host: Host, request: NetworkCreate) -> Created:
    """Create a network: record the network, then let its driver create the network in the kernel.

    If a step fails, all steps are undone. A cluster network is only recorded, in the cluster's store.
    """
    if hooks.is_cluster_network(host, request):
        return hooks.create_network(host, request)
    record, spec = _reserve(host, request)
    if spec is None:
        return Created(record.id)
    driver = host.driver(record.driver)
    with rollback_on_error(host, IntentKind.NETWORK_CREATE, record.id, destroy), translate_driver_errors():
        driver.create_network(spec)
        with host.store.write() as tx:
            save_driver_state(tx, driver)
            tx.put_network(replace(record, phase="live", owner=""))
            events.network(tx, record, "create")
            end_intent(tx, IntentKind.NETWORK_CREATE, record.id)
    keep_agent(host, driver)
    return Created(record.id, host.health_warnings([(record.driver, spec)]))


def _reserve(host: Host, request: NetworkCreate) -> tuple[NetworkRecord, NetworkSpec | None]:
    """Record the network with the phase "creating", and reserve its subnets and addresses.

    Return the record and the specification for the driver. A configuration network (--config-only) is recorded as live,
    and its specification is None, because no driver creates it.
    """
    concerned = (4, 6) if request.enable_ipv6 or request.config_from else (4,)
    on_host = used_ranges(concerned)
    pools: list[PoolRecord] = []
    try:
        with host.store.write() as tx:
            clustered = request.config_only and host.is_clustered
            request = check_network_create(request, _possible_conflicts(tx, request), available(), clustered=clustered)
            record = _new_record(request)
            if not request.config_only and not facts(request.driver).singleton:
                for pool in allocate_pools(tx, request, host.config, host_id(tx), on_host):
                    pools.append(pool)  # one by one, because `pass_over` needs the pools allocated before an error
                record = reserve_fixed(tx, replace(record, pools=tuple(ordered(pools))))
            else:
                record = replace(record, pools=tuple(configured_pools(request)))
            spec = None if record.config_only else network_spec(record)
            if spec is not None:
                _check_with_driver(host, tx, record, spec)
                begin_intent(tx, IntentKind.NETWORK_CREATE, record.id)
            tx.put_network(record)
            if spec is None:
                events.network(tx, record, "create")
    except Taken as error:
        raise network_name_taken(request.name) from error
    except EngineError:
        if pools:
            with host.store.write() as tx:
                pass_over(tx, pools)
        raise
    return record, spec


def _possible_conflicts(reader: Reader, request: NetworkCreate) -> list[NetworkRecord]:
    """Return the networks that may conflict with the request.

    The result has the networks with the requested name, and the network that ``config_from`` names. If the driver
    allows only one network, the result has all networks.
    """
    if facts(request.driver).singleton:
        return reader.networks()
    return [n for name in (request.name, request.config_from) for n in reader.find_networks(name)]


def _new_record(request: NetworkCreate) -> NetworkRecord:
    return NetworkRecord(
        id=names.generate_id(),
        name=request.name,
        created=timestamps.now(),
        driver=request.driver,
        scope=request.scope or "local",
        enable_ipv4=request.enable_ipv4 is not False,
        enable_ipv6=request.enable_ipv6,
        ipam_driver=request.ipam_driver or "default",
        ipam_options=None if request.ipam_options is None else dict(request.ipam_options),
        internal=request.internal,
        attachable=request.attachable,
        ingress=request.ingress,
        config_only=request.config_only,
        config_from=request.config_from,
        options=dict(request.options),
        labels=dict(request.labels),
        phase="live" if request.config_only else "creating",
        owner=process.identity(),
    )


def host_id(tx: Transaction) -> str:
    """Return this host's random id, from which automatic IPv6 subnets are derived. The first call generates the id."""
    known = tx.meta("host-id")
    if known is None:
        known = names.generate_id()
        tx.set_meta("host-id", known)
    return known


def _check_with_driver(host: Host, reader: Reader, record: NetworkRecord, spec: NetworkSpec) -> None:
    # If the new network has no options, compare it only with networks that have options. Two networks without options
    # cannot conflict, because their interface names are generated from their ids.
    optionless = not (record.options or record.host_options)
    similar = reader.networks(driver=record.driver, with_options=optionless)
    others = [network_spec(n) for n in similar if not n.config_only]
    with translate_driver_errors():
        host.driver(record.driver).check_network(spec, others)


def allocate_pools(
    tx: Transaction, request: NetworkCreate, config: Config, host_id: str, on_host: Mapping[int, Sequence[Range]]
) -> Iterator[PoolRecord]:
    """Yield the subnets of a new network, IPv4 first: the subnets that the user gave, and automatic subnets.

    An IP version of the network gets an automatic subnet if the user gave no subnet for the version.

    - ``host_id``: the host's random id, from which automatic IPv6 subnets are derived
    - ``on_host``: for each IP version, the address ranges that automatic subnets must not overlap (`used_ranges`)

    Raises Forbidden if a subnet that the user gave overlaps another network. Raises InvalidArgument if no automatic
    subnet is free.
    """
    requested = [_own_pool(c, request) for c in request.ipam_config if c.subnet and not _is_size_only(c)]
    sized = dict(map(_size, filter(_is_size_only, request.ipam_config)))
    defaults = {4: config.default_address_pools, 6: (*config.default_address_pools, ipam.ula_pool(host_id))}
    for version, needed in ((4, request.enable_ipv4 is not False), (6, request.enable_ipv6)):
        own = [pool for pool in requested if ip_network(pool.subnet).version == version]
        taken = list(tx.subnets(version))
        for pool in own:
            subnet = ip_network(pool.subnet)
            if not pool.unused and Occupied(taken).last_within(*bounds(subnet)) is not None:
                raise hinted(Forbidden(OVERLAP), _overlapping(tx, subnet))
            taken.append(bounds(subnet))
            yield pool
        if needed and not own:
            yield _automatic(tx, version, defaults[version], [*taken, *on_host[version]], sized.get(version))


def _overlapping(tx: Transaction, subnet: IPNetwork) -> str:
    """Return a hint with the name of a network that overlaps ``subnet``, or "" if no network overlaps."""
    for network in tx.networks():
        for pool in (ip_network(pool.subnet) for pool in network.pools if not pool.unused):
            if pool.version == subnet.version and pool.overlaps(subnet):
                return f"{subnet} overlaps with {pool} of the network {network.name}"
    return ""


def pass_over(tx: Transaction, released: Iterable[PoolRecord]) -> None:
    """Let the next search start after the subnets ``released``, which belong to a network that was not created.

    For each IP version, the search for an automatic subnet starts after the last allocated one. This function records
    the automatic subnets in ``released`` as the last allocated. Otherwise, the next network would get them again.
    """
    for pool in released:
        if pool.automatic:
            tx.set_meta(CURSOR.format(version=ip_network(pool.subnet).version), pool.subnet)


def configured_pools(request: NetworkCreate) -> list[PoolRecord]:
    """Return the subnets that the user gave for a config-only, host or null network. No address is allocated."""
    return [_own_pool(c, request) for c in request.ipam_config if c.subnet]


def reserve_fixed(tx: Transaction, network: NetworkRecord) -> NetworkRecord:
    """Reserve a network's gateways and auxiliary addresses; return the network's record with all gateways.

    A subnet without a gateway gets an automatic gateway, except on a bridge network in the gateway mode "isolated" (as
    in Docker 28), which uses no gateway. Raises EngineError with Docker's error text if an address is not available.
    """
    return replace(network, pools=tuple(_reserve_pool(tx, network, p) for p in network.pools))


def _reserve_pool(tx: Transaction, network: NetworkRecord, pool: PoolRecord) -> PoolRecord:
    if pool.unused:
        return pool
    key, subnet = pool_key(network, pool), ip_network(pool.subnet)
    within = ip_network(pool.ip_range) if pool.ip_range else None
    gateway = pool.gateway
    mode = (network.options or {}).get(GATEWAY_MODES[subnet.version]) if network.driver == "bridge" else None
    try:
        if gateway:
            ipam.check_address(subnet, tx.addresses(key), ip_address(gateway))
        elif mode != "isolated":
            gateway = str(ipam.lowest_free(subnet, tx.addresses(key), within))
        if gateway:
            tx.reserve_address(key, int(ip_address(gateway)), f"gateway:{network.id}")
    except (Taken, ipam.AddressInUse, ipam.OutOfPool) as error:
        # Like Docker, the API answers with HTTP status 500. Therefore the error is a plain EngineError.
        raise EngineError(f"failed to allocate gateway ({gateway}): {IN_USE}") from error
    except ipam.NoFreeAddress as error:
        raise EngineError(f"failed to allocate gateway (): {error}") from error
    for name, address in pool.aux_addresses.items():
        _reserve_aux(tx, network, key, subnet, name, address)
    return replace(pool, gateway=gateway)


def _reserve_aux(tx: Transaction, network: NetworkRecord, key: str, subnet: IPNetwork, name: str, address: str) -> None:
    try:
        ipam.check_address(subnet, tx.addresses(key), ip_address(address))
        tx.reserve_address(key, int(ip_address(address)), f"aux:{network.id}:{name}")
    except ipam.OutOfPool as error:
        raise Forbidden(f"auxiliary address: ({name}:{address}) must belong to the master pool: {subnet}") from error
    except (Taken, ipam.AddressInUse, ipam.NoFreeAddress) as error:
        cause = str(error) if isinstance(error, ipam.NoFreeAddress) else IN_USE
        raise Forbidden(f"failed to allocate secondary ip address ({name}:{address}): {cause}") from error


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
    defaults: Sequence[ipam.DefaultPool],
    occupied: Iterable[Range],
    size: int | None,
) -> PoolRecord:
    cursor = CURSOR.format(version=version)
    last = None
    with suppress(ValueError):  # a damaged value has the same effect as none: the search begins at the first subnet
        last = ip_network(tx.meta(cursor) or "")
    try:
        chosen = ipam.allocate_pool(defaults, version, occupied, last=last, size=size)
    except ipam.PoolsExhausted as error:
        raise InvalidArgument(str(error)) from error
    tx.set_meta(cursor, str(chosen))
    return PoolRecord(subnet=str(chosen), automatic=True)


def ordered(pools: Iterable[PoolRecord]) -> list[PoolRecord]:
    """Return the subnets that the user gave, IPv4 before IPv6, followed by the automatic subnets."""
    return sorted(pools, key=lambda pool: (pool.automatic, ip_network(pool.subnet).version))


def _is_size_only(config: IPAMConfig) -> bool:
    """Return whether the user gave only the prefix length of a subnet: ``0.0.0.0/24`` or ``::/64``."""
    return config.subnet.partition("/")[0] in ("0.0.0.0", "::") and not config.subnet.endswith("/0")


def _size(config: IPAMConfig) -> tuple[int, int]:
    subnet = ip_network(config.subnet)
    return subnet.version, subnet.prefixlen


def used_ranges(versions: Container[int] = (4, 6)) -> dict[int, Sequence[Range]]:
    """Return the address ranges of this host that automatic subnets must not overlap, by IP version (4 and 6).

    A range is (first address, last address) as integers, both included. The ranges are those of the host's interfaces,
    and the addresses of the host's name servers. For an IP version that is not in ``versions``, the list is empty.
    """
    ranges = {version: interface_ranges(version) if version in versions else [] for version in (4, 6)}
    for server in read_host_files().servers:
        address = ip_address(server.partition("%")[0])
        if address.version in versions:
            ranges[address.version].append((int(address), int(address)))
    return dict(ranges)
