"""Match ``--ip-range``, ``--gateway`` and ``--aux-address`` values to their ``--subnet``, before the engine is called.

This module makes the checks that Docker's command line makes, with Docker's error texts. The engine checks all other
properties of the values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from cli.app import StatusError
from cli.options.address import parse_cidr
from engine.model import IPAMConfig
from engine.validate.addresses import parse_address

Configs = dict[str, IPAMConfig]


def ipam_configs(
    subnets: Sequence[str], ranges: Sequence[str], gateways: Sequence[str], aux_addresses: Mapping[str, str]
) -> tuple[IPAMConfig, ...]:
    """Return one IPAM configuration per subnet, with the range, the gateway and the auxiliary addresses of this subnet.

    ``aux_addresses`` maps names to addresses. A single subnet without a range, a gateway and auxiliary addresses is not
    checked here, but later by the engine. Otherwise, raises StatusError in these cases:

    - there are more ranges or more gateways than subnets
    - two subnets overlap
    - a range, a gateway or an auxiliary address is malformed, or is in no subnet
    - a subnet has two ranges or two gateways
    - a subnet is malformed
    """
    if len(subnets) < max(len(ranges), len(gateways)):
        raise StatusError("every ip-range or gateway must have a corresponding subnet")
    configs: Configs = {}
    for subnet in subnets:
        if any(_matches_either(subnet, other) for other in configs):
            raise StatusError("multiple overlapping subnet configuration is not supported")
        configs[subnet] = IPAMConfig(subnet=subnet)
    for ip_range in ranges:
        _assign(configs, ip_range, "range", _with_range)
    for gateway in gateways:
        _assign(configs, gateway, "gateway", _with_gateway)
    for name, address in aux_addresses.items():
        _assign(configs, address, "aux-address", _with_aux_address(name))
    return tuple(configs.values())


def _assign(configs: Configs, data: str, what: str, change: Callable[[IPAMConfig, str], IPAMConfig]) -> None:
    matching = [subnet for subnet in configs if _contains(subnet, data)]
    if not matching:
        raise StatusError(f"no matching subnet for {what} {data}")
    for subnet in matching:
        configs[subnet] = change(configs[subnet], data)


def _with_range(config: IPAMConfig, ip_range: str) -> IPAMConfig:
    if config.ip_range:
        both = f"({ip_range}, {config.ip_range})"
        raise StatusError(f"cannot configure multiple ranges {both} on the same subnet ({config.subnet})")
    return replace(config, ip_range=ip_range)


def _with_gateway(config: IPAMConfig, gateway: str) -> IPAMConfig:
    if config.gateway:
        both = f"({gateway}, {config.gateway})"
        raise StatusError(f"cannot configure multiple gateways {both} for the same subnet ({config.subnet})")
    return replace(config, gateway=gateway)


def _with_aux_address(name: str) -> Callable[[IPAMConfig, str], IPAMConfig]:
    return lambda config, address: replace(config, aux_addresses={**config.aux_addresses, name: address})


def _matches_either(first: str, second: str) -> bool:
    return _contains(first, second) | _contains(second, first)


def _contains(subnet: str, data: str) -> bool:
    """Return whether ``data``, an address such as ``10.0.0.1`` or ``10.0.0.1/24``, is in a subnet.

    Raises StatusError for an invalid ``subnet``, and for an invalid address with a prefix length. For an invalid
    address without a prefix length, return False.
    """
    try:
        network = parse_cidr(subnet).network
    except ValueError as error:
        raise StatusError(f"invalid subnet: {error}") from error
    try:
        address = parse_cidr(data).ip if "/" in data else parse_address(data)
    except ValueError as error:
        raise StatusError(str(error)) from error
    return address is not None and address in network
