"""Which subnet a network gets when the user names none.

Knows the default pools and Docker's order: the search goes on after the last subnet handed out and wraps, so that a
freed subnet is not reused at once. Who is in use is the caller's knowledge: networks, and ranges on host interfaces.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
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


class PoolsExhausted(Exception):
    """No default pool has a free subnet left; the message is Docker's."""

    def __init__(self, version: int) -> None:
        super().__init__(
            f"could not find an available, non-overlapping IPv{version} address pool "
            "among the defaults to assign to the network"
        )
        self.version = version


@dataclass(frozen=True, slots=True)
class DefaultPool:
    """A range that is split into subnets of ``size`` prefix bits (daemon.json's default-address-pools)."""

    base: IPNetwork
    size: int

    def __post_init__(self) -> None:
        if not self.base.prefixlen <= self.size <= self.base.max_prefixlen:
            raise ValueError(f"{self.base} cannot be split into /{self.size}")


LOCAL_POOLS: tuple[DefaultPool, ...] = (
    *(DefaultPool(IPv4Network(f"172.{n}.0.0/16"), 16) for n in range(17, 32)),
    DefaultPool(IPv4Network("192.168.0.0/16"), 20),
)
"""Docker's pools for networks of one host: 15 of /16, then 16 of /20."""


def ula_pool(host_id: str) -> DefaultPool:
    """Derive this host's own IPv6 pool, /64 subnets of an fd00::/8 /48 that depends on ``host_id`` alone (RFC 4193)."""
    global_id = int.from_bytes(sha256(host_id.encode()).digest()[3:8])
    return DefaultPool(IPv6Network((0xFD << 120 | global_id << 80, 48)), 64)


def allocate_pool(
    defaults: Sequence[DefaultPool],
    version: int,
    in_use: Iterable[Range],
    *,
    last: IPNetwork | None = None,
    size: int | None = None,
) -> IPNetwork:
    """Choose the next free subnet of family ``version`` after ``last``, the one handed out before.

    ``in_use`` are ranges of that family. ``size`` asks for another prefix length than the pools' own (a request such
    as ``0.0.0.0/24``); those are always searched from the start. Raises `PoolsExhausted`.
    """
    pools = [pool for pool in defaults if pool.base.version == version]
    if size is not None:
        pools, last = [DefaultPool(p.base, size) for p in pools if p.base.prefixlen <= size], None
    occupied = Occupied(in_use)
    for base, prefix, start in _after(pools, last):
        found = _first_free(base, prefix, start, occupied)
        if found is not None:
            return found
    raise PoolsExhausted(version)


def _after(pools: Sequence[DefaultPool], last: IPNetwork | None) -> Iterator[tuple[IPNetwork, int, int]]:
    """Yield (base, prefix, first address to try) from behind ``last`` through the end, then everything once more."""
    home = next((i for i, p in enumerate(pools) if last and p.size == last.prefixlen and _holds(p, last)), None)
    if home is not None and last is not None:
        yield pools[home].base, pools[home].size, bounds(last)[1] + 1
    for pool in pools[0 if home is None else home + 1 :]:
        yield pool.base, pool.size, bounds(pool.base)[0]
    for pool in pools[: 0 if home is None else home + 1]:
        yield pool.base, pool.size, bounds(pool.base)[0]


def _holds(pool: DefaultPool, subnet: IPNetwork) -> bool:
    return overlapping(subnet, (pool.base,)) is not None


def _first_free(base: IPNetwork, prefix: int, start: int, occupied: Occupied) -> IPNetwork | None:
    """Find the lowest free block of ``prefix`` bits in ``base`` from the block-aligned address ``start`` on."""
    block, end = 1 << (base.max_prefixlen - prefix), bounds(base)[1]
    while start + block - 1 <= end:
        taken_until = occupied.last_within(start, start + block - 1)
        if taken_until is None:
            return IPv4Network((start, prefix)) if base.version == 4 else IPv6Network((start, prefix))
        start = (taken_until // block + 1) * block
    return None
