"""Parse ``--network`` (a name, or ``name=…,alias=…,ip=…``) and combine it with flags such as ``--ip``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from cli.options.address import mac_address
from cli.pflag.csv import csv_fields
from engine.golang.strconv import parse_int, quote
from engine.model import EndpointIPAM, EndpointSettings
from engine.names import is_user_defined

_LONG_SYNTAX = re.compile(r"\w=\w", re.ASCII)  # matches the same values as Docker's \w+=\w+, in linear time
_SINGLE = {"name": "target", "ip": "ipv4", "ip6": "ipv6", "mac-address": "mac"}
_LISTS = {"alias": "aliases", "link-local-ip": "link_local"}


class NetworkOption(Struct, frozen=True):
    """The settings of one ``--network``, or of separate flags such as ``--ip``; an empty field means "not given".

    ``target`` is the name or id of the network; "default" is Docker's default network. ``links`` are legacy links,
    ``container[:alias]``. The network with the highest ``gw_priority`` has the default gateway.
    """

    target: str = "default"
    aliases: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    ipv4: str = ""
    ipv6: str = ""
    link_local: tuple[str, ...] = ()
    mac: str = ""
    driver_opts: Mapping[str, str] = field(default_factory=dict)
    gw_priority: int = 0


# Settings that the user may give in --network or by a separate flag, but not by both. Each row has the field's name,
# the flag, and the name that Docker's error text uses for the setting in --network.
_CONFLICTS = (
    ("aliases", "--network-alias", "alias"),
    ("links", "--link", "links"),
    ("ipv4", "--ip", "IPv4 address"),
    ("ipv6", "--ip6", "IPv6 address"),
    ("mac", "--mac-address", "MAC address"),
    ("link_local", "--link-local-ip", "link-local IP addresses"),
)


def parse_network(value: str) -> NetworkOption:
    """Parse one ``--network`` value; raises ValueError.

    The value is a network's name, or has the form ``key=value,…``. In this form, keys and values are converted to lower
    case, as in Docker.
    """
    if not _LONG_SYNTAX.search(value):
        return NetworkOption(value)
    option = NetworkOption("")
    for entry in csv_fields(value):
        key, equals, content = entry.lower().partition("=")
        if not equals or not key:
            raise ValueError(f"invalid field {entry}")
        option = _with_field(option, key.strip(), content.strip())
    if not option.target:
        raise ValueError("network name/id is not specified")
    return option


def _with_field(option: NetworkOption, key: str, content: str) -> NetworkOption:
    change: dict[str, Any]
    if key in _SINGLE:
        change = {_SINGLE[key]: content}
    elif key in _LISTS:
        change = {_LISTS[key]: (*getattr(option, _LISTS[key]), content)}
    elif key == "driver-opt":
        change = {"driver_opts": {**option.driver_opts, **_driver_opt(content)}}
    elif key == "gw-priority":  # the key "gw-priority" exists only in Docker versions newer than 26
        change = {"gw_priority": _gw_priority(content)}
    else:
        raise ValueError(f"invalid field key {key}")
    return replace(option, **change)


def _driver_opt(text: str) -> dict[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ValueError("invalid key value pair format in driver options")
    return {key.strip(): value.strip()}


def _gw_priority(text: str) -> int:
    try:
        return parse_int(text, base=10)
    except ValueError as error:
        reason = str(error).rpartition(": ")[2]
        raise ValueError(f"invalid gw-priority ({text}): {reason}") from None


def network_mode(networks: Sequence[NetworkOption]) -> str:
    """Return the value for HostConfig.NetworkMode: the first network's name, or "default" if there is no network."""
    return networks[0].target if networks else "default"


def endpoint_settings(networks: Sequence[NetworkOption], flags: NetworkOption) -> dict[str, EndpointSettings]:
    """Return the value for NetworkingConfig.EndpointsConfig: each network's settings, by the network's name or id.

    ``networks`` has one item for each ``--network``. ``flags`` holds the values of ``--ip`` and similar flags, which
    apply to the first network only. Without networks, the result has the key "default". For a single network without
    settings or flags, the result is empty.

    Raises ValueError in these cases:

    - a setting is invalid or does not fit its network
    - a setting of the first network is in ``flags`` too
    - a network is given several times
    - some networks are user-defined, and others are not, such as host
    """
    if not networks:
        return {"default": _settings(_combine(NetworkOption("default"), flags))}
    endpoints: dict[str, EndpointSettings] = {}
    for index, network in enumerate(networks):
        settings = _settings(_combine(network, flags) if index == 0 else network)
        if network.target in endpoints:
            raise ValueError(f"network {quote(network.target)} is specified multiple times")
        if len(networks) == 1 and settings == EndpointSettings():
            continue  # omit a network without settings, because NetworkMode already names this network
        endpoints[network.target] = settings
    if len({is_user_defined(network.target) for network in networks}) == 2:
        raise ValueError("conflicting options: cannot attach both user-defined and non-user-defined network-modes")
    return endpoints


def _combine(network: NetworkOption, flags: NetworkOption) -> NetworkOption:
    for name, flag, key in _CONFLICTS:
        if getattr(network, name) and getattr(flags, name):
            raise ValueError(f"conflicting options: cannot specify both {flag} and per-network {key}")
    overrides = {name: getattr(flags, name) for name, _, _ in _CONFLICTS if getattr(flags, name)}
    if network.target == "default":
        overrides.pop("links", None)  # for the default bridge, HostConfig.Links already holds the legacy links
    return replace(network, **overrides)


def _settings(option: NetworkOption) -> EndpointSettings:
    if not option.target.strip():
        raise ValueError("no name set for network")
    if not is_user_defined(option.target):
        if option.aliases:
            raise ValueError("network-scoped aliases are only supported for user-defined networks")
        if option.links:
            raise ValueError("links are only supported for user-defined networks")
    if option.mac:
        mac_address(option.mac)
    addresses = option.ipv4 or option.ipv6 or option.link_local
    return EndpointSettings(
        ipam=EndpointIPAM(option.ipv4, option.ipv6, option.link_local) if addresses else None,
        links=option.links or None,
        aliases=option.aliases or None,
        driver_opts=option.driver_opts or None,
        mac_address=option.mac,
        gw_priority=option.gw_priority,
    )
