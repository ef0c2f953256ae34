"""Which address of a pool an endpoint, a gateway or an auxiliary host gets.

Knows a pool's shape (subnet, range for automatic addresses, addresses that nobody may have) and a sorted list of what
is in use; keeps no state of its own. Cost grows with the logarithm of the addresses in use, never with the pool's size.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from engine.ipam.pools import IPNetwork, bounds

IPAddress = IPv4Address | IPv6Address

IN_USE = "Address already in use"
"""Docker's text for an address that another endpoint holds."""


class AddressInUse(Exception):
    """The address asked for is reserved already, or is the subnet's network or broadcast address."""

    def __init__(self, address: IPAddress) -> None:
        super().__init__("Address already in use")
        self.address = address


class OutOfPool(Exception):
    """The address asked for is not in the subnet."""

    def __init__(self, address: IPAddress, subnet: IPNetwork) -> None:
        super().__init__(f"{address} is not in {subnet}")
        self.address, self.subnet = address, subnet


class NoFreeAddress(Exception):
    """Every address that may be handed out is in use; the message is Docker's for a gateway."""

    def __init__(self, subnet: IPNetwork) -> None:
        super().__init__("no available addresses on this pool")
        self.subnet = subnet


def usable(subnet: IPNetwork) -> tuple[int, int]:
    """Give the first and last address that anybody may have, as integers (first > last where there is none).

    The network address of any subnet is not handed out, nor IPv4's broadcast address; IPv4's /31 and /32 have neither
    (RFC 3021).
    """
    first, last = bounds(subnet)
    if subnet.version == 6:
        return first + 1, last
    return (first, last) if subnet.prefixlen >= 31 else (first + 1, last - 1)


def lowest_free(subnet: IPNetwork, used: Sequence[int], ip_range: IPNetwork | None = None) -> IPAddress:
    """Choose the lowest free address of ``ip_range`` (default: the subnet); also how an automatic gateway is chosen.

    ``used`` are the pool's addresses in use, ascending and without repeats. Raises `NoFreeAddress`.
    """
    first, last = usable(subnet)
    if ip_range is not None:
        range_first, range_last = bounds(ip_range)
        first, last = max(first, range_first), min(last, range_last)
    address = _first_gap(used, first)
    if address > last:
        raise NoFreeAddress(subnet)
    return _address(subnet, address)


def check_address(subnet: IPNetwork, used: Sequence[int], wanted: IPAddress) -> IPAddress:
    """Give ``wanted`` back if it can be had; an ip range does not limit explicit addresses.

    Raises `OutOfPool` or `AddressInUse`. ``used`` as for `lowest_free`.
    """
    if wanted not in subnet:
        raise OutOfPool(wanted, subnet)
    value, (first, last) = int(wanted), usable(subnet)
    index = bisect_left(used, value)
    if not first <= value <= last or (index < len(used) and used[index] == value):
        raise AddressInUse(wanted)
    return wanted


def _first_gap(used: Sequence[int], start: int) -> int:
    """Find the lowest integer from ``start`` on that ``used`` lacks.

    In an ascending list without repeats ``used[i] - i`` never falls, so where the unbroken run from ``start`` ends can
    be bisected.
    """
    low = bisect_left(used, start)
    run = bisect_left(range(low, len(used)), True, key=lambda i: used[i] - (i - low) != start)
    return start + run


def _address(subnet: IPNetwork, value: int) -> IPAddress:
    return IPv4Address(value) if subnet.version == 4 else IPv6Address(value)


@dataclass(frozen=True, slots=True)
class Usage:
    """``in_use`` counts addresses of the subnet that nobody can get any more, its network and broadcast ones included.

    ``available`` counts those that automatic allocation can still hand out.
    """

    in_use: int
    available: int


def usage(subnet: IPNetwork, used: Sequence[int], ip_range: IPNetwork | None = None) -> Usage:
    """Count; ``used`` are the pool's addresses in use, ascending. Costs the logarithm of their number."""
    low, high = bounds(subnet)
    first, last = usable(subnet)
    if ip_range is not None:
        range_first, range_last = bounds(ip_range)
        first_free, last_free = max(first, range_first), min(last, range_last)
    else:
        first_free, last_free = first, last
    within = bisect_right(used, last_free) - bisect_left(used, first_free)
    return Usage(len(used) + (first - low) + (high - last), max(0, last_free - first_free + 1 - within))
