"""Which address ranges overlap.

Knows ranges of integers and nothing of networks' names or owners. Everything is bisected, never enumerated: a /8 or a
/64 costs what a /24 does.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network

IPNetwork = IPv4Network | IPv6Network

Range = tuple[int, int]
"""First and last address, as integers."""


def bounds(network: IPNetwork) -> Range:
    """Give a network's first and last address as integers."""
    return int(network.network_address), int(network.broadcast_address)


def overlapping(network: IPNetwork, others: Iterable[IPNetwork]) -> IPNetwork | None:
    """Find the first of ``others`` that shares an address with ``network``; families never overlap."""
    first, last = bounds(network)
    for other in others:
        if other.version == network.version:
            other_first, other_last = bounds(other)
            if other_first <= last and first <= other_last:
                return other
    return None


class Occupied:
    """The union of ranges of one family.

    Mostly it is asked about a place that is free, which one look at each range tells. Only when one is in the way are
    they sorted into disjoint ascending ones, for the questions after it.
    """

    def __init__(self, ranges: Iterable[Range]) -> None:
        self._ranges = list(ranges)
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def last_within(self, first: int, last: int) -> int | None:
        """Give the end of the highest occupied range that touches ``first`` to ``last``, or None where all is free."""
        if not self._firsts:
            if all(high < first or last < low for low, high in self._ranges):
                return None
            self._sort()
        index = bisect_right(self._firsts, last) - 1
        if index < 0 or self._lasts[index] < first:
            return None
        return self._lasts[index]

    def _sort(self) -> None:
        for first, last in sorted(self._ranges):
            if self._lasts and first <= self._lasts[-1] + 1:
                self._lasts[-1] = max(self._lasts[-1], last)
            else:
                self._firsts.append(first)
                self._lasts.append(last)
