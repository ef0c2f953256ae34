"""Address management: selects the subnet of a network and the address of an endpoint.

The module does no I/O and reads no clock.

- Subnets: the caller passes the address ranges that networks and host interfaces use. The pools are searched in
  Docker's order. The search starts after the last allocated subnet and wraps around, so that a freed subnet is not
  reused immediately.
- Addresses: the caller passes a subnet, its used addresses in ascending order, and optionally the range for automatic
  addresses. The time for a search grows only with the logarithm of the number of used addresses.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from msgspec import Struct

IPNetwork = IPv4Network | IPv6Network


Range = tuple[int, int]
"""The first and the last address of a range, as integers."""


def bounds(network: IPNetwork) -> Range:
    """Return a subnet's first address and its last address as integers."""
    return int(network.network_address), int(network.broadcast_address)


def overlapping(network: IPNetwork, others: Iterable[IPNetwork]) -> IPNetwork | None:
    """Return the first network in ``others`` that overlaps ``network``, or None if no network overlaps.

    Networks of different IP versions never overlap.
    """
    first, last = bounds(network)
    for other in others:
        if other.version == network.version:
            other_first, other_last = bounds(other)
            if other_first <= last and first <= other_last:
                return other
    return None


class Occupied:
    """The address ranges of one IP version that are in use; each range has its first and its last address.

    The ranges are first kept in an unsorted list, and a query scans this list. The first query that finds an overlap
    sorts and merges the list, so that later queries are faster. Often no query finds an overlap, and sorting is saved.
    """

    def __init__(self, ranges: Iterable[Range]) -> None:
        self._ranges = list(ranges)
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def last_within(self, first: int, last: int) -> int | None:
        """Return the last address of the highest used range that overlaps the range ``first`` to ``last``.

        All addresses are integers, and each range includes its last address. Used ranges without a gap between them
        count as one range. Returns None if no used range overlaps.
        """
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
    """No default pool has a free subnet left; the message is Docker's error text."""

    def __init__(self, version: int) -> None:
        super().__init__(
            f"could not find an available, non-overlapping IPv{version} address pool "
            "among the defaults to assign to the network"
        )
        self.version = version


class DefaultPool(Struct, frozen=True):
    """A range of addresses ``base``, from which subnets of prefix length ``size`` are allocated.

    Corresponds to one entry of default-address-pools in daemon.json.
    """

    base: IPNetwork
    size: int

    def __post_init__(self) -> None:
        if not self.base.prefixlen <= self.size <= self.base.max_prefixlen:
            raise ValueError(f"{self.base} cannot be split into /{self.size}")


LOCAL_POOLS: tuple[DefaultPool, ...] = (
    *(DefaultPool(IPv4Network(f"172.{n}.0.0/16"), 16) for n in range(17, 32)),
    DefaultPool(IPv4Network("192.168.0.0/16"), 20),
)
"""Docker's default pools for networks with local scope: 15 subnets with prefix length 16, then 16 subnets with prefix
length 20.
"""


def ula_pool(host_id: str) -> DefaultPool:
    """Return the pool from which this host allocates IPv6 subnets.

    The pool is a /48 in fd00::/8 (RFC 4193), which is split into /64 subnets. The /48 is computed only from
    ``host_id``. Therefore it never changes.
    """
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
    """Return the next free subnet of IP version ``version`` after ``last``, the subnet that was allocated last.

    - ``defaults``: the address pools to choose from
    - ``in_use``: the used ranges of this IP version, as (first address, last address) in integers
    - ``last``: None if no subnet was allocated before
    - ``size``: a prefix length that the user requested, as in ``0.0.0.0/24``; None means each pool's own prefix length.
      A search with ``size`` always begins with the first pool.

    Raises `PoolsExhausted` if there is no free subnet.
    """
    pools = [pool for pool in defaults if pool.base.version == version]
    if size is not None:
        pools, last = [DefaultPool(p.base, size) for p in pools if p.base.prefixlen <= size], None
    occupied = Occupied(in_use)
    for base, prefix, start in _after(pools, last):
        chosen = _first_free(base, prefix, start, occupied)
        if chosen is not None:
            return chosen
    raise PoolsExhausted(version)


def _after(pools: Sequence[DefaultPool], last: IPNetwork | None) -> Iterator[tuple[IPNetwork, int, int]]:
    """Yield the address ranges in which to search for a free subnet, in the order of the search.

    Each item is a tuple (range, prefix length of the subnet, first address to try as an integer). The pool of ``last``
    is the pool that contains ``last`` and allocates subnets of the same size. The order is:

    - the addresses after ``last`` in this pool,
    - the pools that follow this pool, then the pools that precede it,
    - this whole pool again.

    If ``last`` is None or has no such pool, all pools are yielded in order.
    """
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
    """Return the lowest free subnet of prefix length ``prefix`` in the range ``base``, or None if no subnet is free.

    The search begins at the address ``start`` (an integer), which must be a multiple of the subnet's size.
    """
    block, end = 1 << (base.max_prefixlen - prefix), bounds(base)[1]
    while start + block - 1 <= end:
        taken_until = occupied.last_within(start, start + block - 1)
        if taken_until is None:
            return IPv4Network((start, prefix)) if base.version == 4 else IPv6Network((start, prefix))
        start = (taken_until // block + 1) * block
    return None


IPAddress = IPv4Address | IPv6Address

IN_USE = "Address already in use"
"""Docker's error text for an address that another endpoint uses."""


class AddressInUse(Exception):
    """The requested address is already reserved, or is the subnet's network or broadcast address."""

    def __init__(self, address: IPAddress) -> None:
        super().__init__(IN_USE)
        self.address = address


class OutOfPool(Exception):
    """The requested address is not in the subnet."""

    def __init__(self, address: IPAddress, subnet: IPNetwork) -> None:
        super().__init__(f"{address} is not in {subnet}")
        self.address, self.subnet = address, subnet


class NoFreeAddress(Exception):
    """All usable addresses of a subnet are in use; the message is Docker's error text."""

    def __init__(self, subnet: IPNetwork) -> None:
        super().__init__("no available addresses on this pool")
        self.subnet = subnet


def usable(subnet: IPNetwork) -> tuple[int, int]:
    """Return the first and the last usable address of a subnet, as integers.

    A usable address is one that an endpoint may get. The network address is not usable, nor is the broadcast address in
    IPv4. IPv4 subnets of /31 and /32 have no network and broadcast addresses (RFC 3021). If no address is usable, the
    first returned number is greater than the last.
    """
    first, last = bounds(subnet)
    if subnet.version == 6:
        return first + 1, last
    return (first, last) if subnet.prefixlen >= 31 else (first + 1, last - 1)


def automatic(subnet: IPNetwork, ip_range: IPNetwork | None) -> Range:
    """Return the first and the last address that automatic allocation can choose, as integers.

    If ``ip_range`` is given, only its addresses are chosen. As in Docker, only the host part of a range outside the
    subnet counts: 10.6.0.128/25 means 10.5.0.128/25 in 10.5.0.0/24. Only the key fixed-cidr of daemon.json can give
    such a range.
    """
    first, last = usable(subnet)
    if ip_range is None:
        return first, last
    low, high = bounds(ip_range)
    if not subnet.overlaps(ip_range):
        low, high = (int(subnet.network_address) + (value & int(subnet.hostmask)) for value in (low, high))
    return max(first, low), min(last, high)


def lowest_free(subnet: IPNetwork, used: Sequence[int], ip_range: IPNetwork | None = None) -> IPAddress:
    """Return the lowest free address of ``ip_range``, or of the subnet if ``ip_range`` is None.

    This function also chooses automatic gateways. ``used`` has the used addresses of the subnet as integers, in
    ascending order and without duplicates. Raises `NoFreeAddress` if no address is free.
    """
    first, last = automatic(subnet, ip_range)
    address = _first_gap(used, first)
    if address > last:
        raise NoFreeAddress(subnet)
    return address_of(subnet, address)


def check_address(subnet: IPNetwork, used: Sequence[int], address: IPAddress) -> IPAddress:
    """Check that an address is free in a subnet, and return the address.

    An address outside the network's ip range is accepted, because an ip range limits only automatic addresses. ``used``
    has the used addresses of the subnet as integers, in ascending order.

    - Raises `OutOfPool` if the address is not in the subnet.
    - Raises `NoFreeAddress` if the address is not free, and no other address of the subnet is free either.
    - Raises `AddressInUse` if the address is not free, but another address is.
    """
    if address not in subnet:
        raise OutOfPool(address, subnet)
    value, (first, last) = int(address), usable(subnet)
    index = bisect_left(used, value)
    if not first <= value <= last or (index < len(used) and used[index] == value):
        raise AddressInUse(address) if usage(subnet, used).available else NoFreeAddress(subnet)
    return address


def _first_gap(used: Sequence[int], start: int) -> int:
    """Return the lowest integer that is at least ``start`` and is not in ``used``.

    ``used`` is ascending and has no duplicates, so ``used[i] - i`` never decreases with ``i``. Therefore a bisection
    finds the end of the consecutive numbers that begin at ``start``.
    """
    low = bisect_left(used, start)
    run = bisect_left(range(low, len(used)), True, key=lambda i: used[i] - (i - low) != start)
    return start + run


def address_of(subnet: IPNetwork, value: int) -> IPAddress:
    """Convert the integer ``value`` to an address of the subnet's IP version."""
    return IPv4Address(value) if subnet.version == 4 else IPv6Address(value)


class Usage(Struct, frozen=True):
    """The numbers of used and available addresses of a subnet.

    ``in_use`` counts all addresses that cannot be allocated now, including the network and broadcast addresses.
    ``available`` counts the free addresses that automatic allocation can choose.
    """

    in_use: int
    available: int


def usage(subnet: IPNetwork, used: Sequence[int], ip_range: IPNetwork | None = None) -> Usage:
    """Return the number of used addresses of a subnet, and the number that automatic allocation can still choose.

    ``used`` has the used addresses as integers, in ascending order. If ``ip_range`` is given, automatic allocation
    chooses only addresses in it. The call's duration grows with the logarithm of the number of used addresses.
    """
    low, high = bounds(subnet)
    first, last = usable(subnet)
    first_free, last_free = automatic(subnet, ip_range)
    within = bisect_right(used, last_free) - bisect_left(used, first_free)
    return Usage(len(used) + (first - low) + (high - last), max(0, last_free - first_free + 1 - within))
