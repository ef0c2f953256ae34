"""Choose the gateways that a network offers to an endpoint, for the drivers that share this rule."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address

from drivers.model import IPAddress


def first_of_each_version(addresses: Iterable[IPAddress]) -> tuple[IPv4Address | None, IPv6Address | None]:
    """Return the first IPv4 address and the first IPv6 address; None for a version without an address."""
    known = list(addresses)
    first4 = next((address for address in known if isinstance(address, IPv4Address)), None)
    return first4, next((address for address in known if isinstance(address, IPv6Address)), None)
