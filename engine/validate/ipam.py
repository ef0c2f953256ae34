"""Checks of a network's IPAM.Config: subnets, ranges, gateways and auxiliary addresses, all errors at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from drivers.api import IPInterface
from engine.errors import InvalidSettings
from engine.model import IPAMConfig
from engine.validate.addresses import family_name, join_errors, parse_address, parse_prefix


def check_ipam(configs: Sequence[IPAMConfig], *, enable_ipv6: bool) -> None:
    """Refuse a malformed configuration, listing every fault; IPv6 entries count only on an IPv6 network."""
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
    if (6 if ":" in text else 4) != subnet.version:  # ::ffff:1.2.3.4 is IPv6 here
        return f"parent subnet is an {family_name(subnet)} block"
    if address not in subnet.network:
        return f"parent subnet {subnet} doesn't contain this address"
    return ""
