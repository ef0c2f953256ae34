"""How full a pool is, as Docker 28 and later tell in ``network inspect`` (IPAM.Status of API 1.52)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from engine.ipam.addresses import usable
from engine.ipam.overlap import IPNetwork, bounds


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
