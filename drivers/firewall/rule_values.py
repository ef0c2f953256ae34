"""Compare a packet's values with those of a rule in nftables' JSON form (libnftables-json(5)), and combine conditions.

A condition is true, false, or None if it is unknown for the packet.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import Any

NUMBERS = {"icmp": 1, "tcp": 6, "udp": 17, "ipv6-icmp": 58, "icmpv6": 58}


def options_of(right: Any) -> list[Any]:
    """Return the values on the right side of a match: the members of an anonymous set, or the only value."""
    if isinstance(right, dict) and "set" in right:
        return list(right["set"])
    return right if isinstance(right, list) else [right]


def is_equal(value: Any, option: Any) -> bool | None:
    """Return whether the packet's ``value`` matches ``option``; None if unknown.

    ``option`` is one value, prefix or range on the right side of a match. ``value`` is False if the packet does not
    have the compared field. The result is then False.
    """
    if isinstance(option, dict) and "elem" in option:
        option = option["elem"].get("val")
    if isinstance(option, dict) and "concat" in option:
        option = option["concat"]
    if isinstance(value, list):
        if not isinstance(option, list) or len(option) != len(value):
            return None
        return all_of(is_equal(a, b) for a, b in zip(value, option, strict=True))
    if value is False:
        return False
    if isinstance(option, dict) and "prefix" in option:
        network = ip_network(f"{option['prefix']['addr']}/{option['prefix']['len']}", strict=False)
        return not isinstance(value, (str, int)) and value.version == network.version and value in network
    if isinstance(option, dict) and "range" in option:
        low, high = option["range"]
        return low <= value <= high if isinstance(value, int) else _between(value, low, high)
    if isinstance(option, dict):
        return None
    if isinstance(value, str):
        if isinstance(option, int):
            return NUMBERS.get(value) == option
        return value == option or (str(option).endswith("*") and value.startswith(str(option)[:-1]))
    return value == option if isinstance(value, int) else str(value) == str(option)


def _between(value: Any, low: Any, high: Any) -> bool | None:
    try:
        return bool(ip_address(low) <= value <= ip_address(high))
    except (TypeError, ValueError):
        return None


def as_list(value: Any) -> list[Any]:
    """Return a list as it is, and another value as a list of one element."""
    return value if isinstance(value, list) else [value]


def all_of(conditions: Iterable[bool | None]) -> bool | None:
    """Return whether all conditions are true, or None if that is unknown."""
    known = list(conditions)
    if False in known:
        return False
    return None if None in known else True


def any_of(conditions: Iterable[bool | None]) -> bool | None:
    """Return whether at least one condition is true, or None if that is unknown."""
    known = list(conditions)
    if True in known:
        return True
    return None if None in known else False


def turned(known: bool | None, inverted: int) -> bool | None:
    """Return ``known``, or its opposite if ``inverted`` is not 0; None (unknown) stays None."""
    return None if known is None else known != bool(inverted)
