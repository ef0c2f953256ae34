"""The configuration file: Docker's daemon.json keys that mean something here.

``$HAWSE_CONFIG``, else /etc/hawse/daemon.json; a missing file is an empty one. Keys of Docker's that concern other
parts of a container engine are accepted and ignored, so that an existing daemon.json can be used as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.ipam.pools import LOCAL_POOLS, DefaultPool


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration; addresses are canonical strings, "" means "not given"."""

    default_address_pools: tuple[DefaultPool, ...] = LOCAL_POOLS
    bip: str = ""  # the default bridge's own address with prefix, "192.168.5.1/24"
    bip6: str = ""
    fixed_cidr: str = ""  # the default bridge's range for containers
    fixed_cidr_v6: str = ""
    default_gateway: str = ""
    default_gateway_v6: str = ""
    mtu: int = 0  # bytes; 0 leaves the kernel's
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_opts: tuple[str, ...] = ()
    icc: bool = True
    ip: str = "0.0.0.0"  # the default host address of published ports
    ip_forward: bool = True
    ip_masq: bool = True
    iptables: bool = True
    ip6tables: bool = True
    ipv6: bool = False  # on the default bridge
    host_gateway_ip: str = ""
    default_network_opts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # driver -> option -> value


def load_config(path: Path | None = None) -> Config:
    """Read the configuration; raises `engine.errors.InvalidArgument` that names the file and the key."""
    raise NotImplementedError
