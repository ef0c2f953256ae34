"""Check POST /networks/create and DELETE /networks/{id} requests, in the daemon's order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from drivers.model import DriverFacts, IPInterface
from engine.errors import Conflict, Forbidden, InvalidArgument, InvalidSettings, NotFound, shown
from engine.model import EndpointRecord, IPAMConfig, NetworkCreate, NetworkRecord, PoolRecord
from engine.names import PREDEFINED_NAMES
from engine.validate.addresses import family_name, join_errors, parse_address, parse_prefix
from engine.validate.nearest import nearest

OWN_OPTIONS = ("com.hawse.", "hawse.")
NOT_IN_SWARM = (
    'This node is not a swarm manager. Use "hawse swarm init" or "hawse swarm join" '
    "to connect this node to swarm and try again."
)


def check_network_create(
    request: NetworkCreate,
    existing: Sequence[NetworkRecord],
    drivers: Mapping[str, DriverFacts],
    *,
    clustered: bool,
) -> NetworkCreate:
    """Check a request to create a network as dockerd does before it allocates subnets; return the completed request.

    Raises Docker's errors. If the request names a configuration network, the settings of that network are copied into
    the returned request. ``existing`` are networks that may conflict with the request. ``drivers`` maps each known
    driver type to the driver's properties. With ``clustered``, this host can have swarm-scoped networks.
    """
    driver = request.driver or "bridge"
    if request.name in PREDEFINED_NAMES:
        raise Forbidden(f"operation is not permitted on predefined {request.name} network ")
    if driver == "overlay" and not clustered:
        raise Forbidden(NOT_IN_SWARM)
    check_ipam(request.ipam_config, enable_ipv6=request.enable_ipv6)
    if not request.name.strip():
        raise InvalidArgument(f"invalid name: {request.name}")
    if any(network.name == request.name for network in existing):
        raise network_name_taken(request.name)
    _check_configuration(request)
    _check_own_options(request.options, drivers)
    if request.config_only:
        return replace(request, driver="null")
    _check_driver(request, driver, drivers)
    completed = _apply_config_from(replace(request, driver=driver), existing)
    if request.scope == "swarm" and not clustered:
        raise Forbidden("cannot create a swarm scoped network when swarm is not active")
    _check_ipam_driver(completed, drivers[driver], clustered=clustered)
    if drivers[driver].singleton and any(n.driver == driver and not n.config_only for n in existing):
        raise Forbidden(f'only one instance of "{driver}" network is allowed')
    return _without_unused_subnets(completed)


def _without_unused_subnets(request: NetworkCreate) -> NetworkCreate:
    """Return the request without the IPv4 subnets of a network that has IPv4 disabled."""
    if request.enable_ipv4 is not False:
        return request
    return replace(request, ipam_config=tuple(c for c in request.ipam_config if not c.subnet or ":" in c.subnet))


def network_name_taken(name: str) -> Conflict:
    """Return the error for creating a network with a name that another network has."""
    return Conflict(f"network with name {name} already exists")


def check_network_remove(
    network: NetworkRecord, endpoints: Sequence[EndpointRecord], existing: Sequence[NetworkRecord]
) -> None:
    """Check that a network may be removed, by Docker's rules; raises Forbidden.

    A network may not be removed in three cases:

    - It is predefined.
    - It is configuration-only, and another network in ``existing`` uses its settings.
    - It has endpoints (``endpoints``).

    ``existing`` may be empty if the network is not configuration-only.
    """
    if network.predefined:
        raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
    if network.config_only and any(n.config_from == network.name for n in existing):
        raise Forbidden(f'error while removing network: configuration network "{network.name}" is in use')
    if endpoints:
        raise Forbidden(f"error while removing network: network {network.name} id {network.id} has active endpoints")


def _check_configuration(request: NetworkCreate) -> None:
    if request.config_only and (request.ingress or request.internal or request.attachable or request.scope):
        raise Forbidden(
            "configuration network can only contain network specific fields. Network operator fields like "
            "[ ingress | internal | attachable | scope ] are not supported."
        )
    if not request.config_from:
        return
    if request.config_only:
        raise Forbidden("a configuration network cannot depend on another configuration network")
    own_ipam_driver = request.ipam_driver not in ("", "default")
    configured = request.enable_ipv6 or request.labels or request.ipam_options or request.ipam_config
    if own_ipam_driver or configured:
        raise Forbidden(
            "user specified configurations are not supported if the network depends on a configuration network"
        )
    if request.options:
        raise Forbidden("network driver options are not supported if the network depends on a configuration network")


def _check_own_options(options: Mapping[str, str], drivers: Mapping[str, DriverFacts]) -> None:
    """Check that all options with one of hawse's own prefixes (`OWN_OPTIONS`) are known; raises InvalidArgument.

    ``options`` are the driver options of a new network. ``drivers`` maps each driver type to the driver's properties.
    An option is known if any driver has it. If hawse ignored a mistyped option, the network could be less protected
    than the user expects. Unknown options without these prefixes are accepted, as in Docker.
    """
    known = sorted({key for facts in drivers.values() for key in facts.options if key.startswith(OWN_OPTIONS)})
    for key in options:
        if key.startswith(OWN_OPTIONS) and key not in known:
            meant = nearest(key, known)
            remedy = f"did you mean {meant}?" if meant else f"hawse's own options are {' and '.join(known)}"
            raise InvalidArgument(f"unknown option {shown(key)} ({remedy})")


def _check_driver(request: NetworkCreate, driver: str, drivers: Mapping[str, DriverFacts]) -> None:
    if driver not in drivers:
        raise NotFound(f'plugin "{driver}" not found')
    spans_hosts = drivers[driver].scope == "swarm"
    if request.scope == "local" and spans_hosts:
        raise Forbidden(f"cannot downgrade network scope for {driver} networks")
    if request.ingress and not spans_hosts:
        raise Forbidden("Ingress network can only be global scope network")


def _apply_config_from(request: NetworkCreate, existing: Sequence[NetworkRecord]) -> NetworkCreate:
    if not request.config_from:
        return request
    source = next((n for n in existing if n.name == request.config_from and n.config_only), None)
    if source is None:
        raise NotFound(f'configuration network "{request.config_from}" does not exist')
    return replace(
        request,
        enable_ipv6=source.enable_ipv6,
        ipam_driver=source.ipam_driver,
        ipam_options=source.ipam_options or {},
        ipam_config=tuple(_configured(pool) for pool in source.pools),
        options=source.options or {},
        labels=source.labels or {},
    )


def _configured(pool: PoolRecord) -> IPAMConfig:
    gateway = (pool.gateway_typed or pool.gateway) if pool.gateway_shown else ""
    return IPAMConfig(pool.subnet_typed or pool.subnet, pool.ip_range, gateway, pool.aux_addresses)


def _check_ipam_driver(request: NetworkCreate, driver: DriverFacts, *, clustered: bool) -> None:
    if driver.singleton and not clustered:
        return  # as in Docker, the networks host and null ignore their IPAM driver
    if request.ipam_driver not in ("", "default", "null"):
        if clustered:
            lookup = f"error during lookup of plugin {request.ipam_driver}"
            raise InvalidArgument(f"rpc error: code = InvalidArgument desc = {lookup}")
        raise NotFound(f'plugin "{request.ipam_driver}" not found')
    if request.ipam_driver == "null" and not driver.singleton:
        raise InvalidArgument(_null_ipam_error(request))
    for config in request.ipam_config:
        for name, address in config.aux_addresses.items():
            if not address:
                raise InvalidArgument(
                    f"non parsable secondary ip address ({name}:{address}) passed for network {request.name}"
                )


def _null_ipam_error(request: NetworkCreate) -> str:
    """Return Docker's text for the refusal of the IPAM driver ``null``, which allocates no addresses.

    The text depends on the subnets and on IPv6. Docker refuses this IPAM driver for all network drivers except host and
    null. The caller has checked the network driver.
    """
    subnets = [config.subnet for config in request.ipam_config if config.subnet]
    if any(request.enable_ipv6 or ":" not in subnet for subnet in subnets):
        return "null ipam driver does not handle specific address pool requests"
    return (
        "null ipam driver does not handle IPv6 address pool requests" if request.enable_ipv6 else "ipv4 pool is empty"
    )


def check_ipam(configs: Sequence[IPAMConfig], *, enable_ipv6: bool) -> None:
    """Check the IPAM configuration of a network; raises InvalidSettings with all errors.

    IPv6 entries are checked only if IPv6 is enabled on the network.
    """
    errors = [error for config in configs for error in _config_errors(config, enable_ipv6)]
    if errors:
        raise InvalidSettings(join_errors("invalid network config", errors))


def _config_errors(config: IPAMConfig, enable_ipv6: bool) -> Iterator[str]:
    subnet = parse_prefix(config.subnet)
    if subnet is None:
        yield f"invalid subnet {config.subnet}: invalid CIDR block notation"
        return
    if subnet.version == 6 and not enable_ipv6:
        return
    if subnet.ip != subnet.network.network_address:
        yield f"invalid subnet {subnet}: it should be {subnet.network}"
    if config.ip_range:
        yield from _range_errors(config.ip_range, subnet)
    if fault := _address_fault(config.gateway, subnet):
        yield f"invalid gateway {config.gateway}: {fault}"
    for name, address in config.aux_addresses.items():
        if fault := _address_fault(address, subnet):
            yield f"invalid auxiliary address {name}: {fault}"


def _range_errors(text: str, subnet: IPInterface) -> Iterator[str]:
    ip_range = parse_prefix(text)
    if ip_range is None:
        yield f"invalid ip-range {text}: invalid CIDR block notation"
        return
    if ip_range.version != subnet.version:
        yield f"invalid ip-range {text}: parent subnet is an {family_name(subnet)} block"
        return
    if ip_range.network.prefixlen < subnet.network.prefixlen:
        yield f"invalid ip-range {text}: CIDR block is bigger than its parent subnet {subnet}"
    if ip_range.ip != ip_range.network.network_address:
        yield f"invalid ip-range {ip_range}: it should be {ip_range.network}"
    if not subnet.network.overlaps(ip_range.network):
        yield f"invalid ip-range {text}: parent subnet {subnet} doesn't contain ip-range"


def _address_fault(text: str, subnet: IPInterface) -> str:
    if not text:
        return ""
    address = parse_address(text)
    if address is None:
        return "invalid address"
    if (6 if ":" in text else 4) != subnet.version:  # ::ffff:1.2.3.4 is IPv6 here, but IPv4 in `parse_address`
        return f"parent subnet is an {family_name(subnet)} block"
    if address not in subnet.network:
        return f"parent subnet {subnet} doesn't contain this address"
    return ""
