"""Checks of EndpointSettings: what one container wants of one network, all errors at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_interface

from engine.errors import InvalidSettings
from engine.model import EndpointIPAM, EndpointSettings, NetworkRecord, PoolRecord
from engine.names import is_mac
from engine.validate.addresses import bullets, join_errors, parse_address
from engine.validate.host_config import is_user_defined


def check_endpoint_settings(name: str, settings: EndpointSettings, network: NetworkRecord | None) -> None:
    """Refuse settings that network ``name`` (as the user typed it) cannot meet; ``network`` is None if missing."""
    if fault := _fault(name, settings, network):
        raise InvalidSettings(fault)


def check_networking_config(
    settings: Mapping[str, EndpointSettings], networks: Mapping[str, NetworkRecord | None]
) -> None:
    """Check the settings of a container's creation; ``networks`` maps the same names to what was found."""
    errors = [
        f"invalid config for network {name}: {fault}"
        for name, wanted in settings.items()
        if (fault := _fault(name, wanted, networks.get(name)))
    ]
    if errors:
        raise InvalidSettings(bullets(errors))


def _fault(name: str, settings: EndpointSettings, network: NetworkRecord | None) -> str:
    if settings.mac_address and not is_mac(settings.mac_address):
        return f"invalid MAC address {settings.mac_address}"
    errors = _errors(name, settings, network)
    return join_errors("invalid endpoint settings", errors) if errors else ""


def _errors(name: str, settings: EndpointSettings, network: NetworkRecord | None) -> list[str]:
    ipam = settings.ipam or EndpointIPAM()
    errors = [*_predefined_errors(name, settings, ipam), *_syntax_errors(ipam)]
    if network is not None:
        errors += _range_errors(ipam, network)
    return errors


def _predefined_errors(name: str, settings: EndpointSettings, ipam: EndpointIPAM) -> Iterator[str]:
    if is_user_defined(name):
        return
    if ipam.ipv4 or ipam.ipv6:
        yield "user specified IP address is supported on user defined networks only"
    if settings.aliases:
        yield "network-scoped alias is supported only for containers in user defined networks"


def _syntax_errors(ipam: EndpointIPAM) -> Iterator[str]:
    if ipam.ipv4 and not _is_usable(ipam.ipv4, 4):
        yield f"invalid IPv4 address: {ipam.ipv4}"
    if ipam.ipv6 and not _is_usable(ipam.ipv6, 6):
        yield f"invalid IPv6 address: {ipam.ipv6}"
    for address in ipam.link_local:
        parsed = parse_address(address)
        if parsed is None or parsed.is_unspecified:
            yield f"invalid link-local IP address: {address}"


def _is_usable(text: str, version: int) -> bool:
    parsed = parse_address(text)
    return parsed is not None and parsed.version == version and not parsed.is_unspecified


def _range_errors(ipam: EndpointIPAM, network: NetworkRecord) -> Iterator[str]:
    for address, version in ((ipam.ipv4, 4), (ipam.ipv6, 6)):
        pools = [pool for pool in network.pools if ip_interface(pool.subnet).version == version]
        if address and (fault := _range_fault(address, [] if network.predefined else pools)):
            yield fault


def _range_fault(address: str, pools: Sequence[PoolRecord]) -> str:
    configured = [pool for pool in pools if not pool.automatic]
    if not configured:
        return "user specified IP address is supported only when connecting to networks with user configured subnets"
    parsed = parse_address(address)
    if any(parsed is not None and parsed in ip_interface(pool.subnet).network for pool in configured):
        return ""
    return f"no configured subnet or ip-range contain the IP address {address}"
