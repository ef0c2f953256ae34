"""Which address comes next: pure, from what is known to be in use."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface, ip_network
from itertools import chain, islice

from engine.errors import Forbidden
from engine.model import NetworkRecord, PoolRecord

NO_ADDRESS = (
    "attaching to network failed, make sure your network options are correct and check manager logs: "
    "context deadline exceeded"
)
"""What Docker says, after 20 seconds, of an address that is taken and of a network without a free one."""


def pools_for_endpoint(network: NetworkRecord, ipv4: str, ipv6: str) -> list[tuple[PoolRecord, str]]:
    """The pools that an endpoint gets addresses from, one a family, and what is asked of each."""
    found: dict[int, tuple[PoolRecord, str]] = {}
    for pool in network.pools:
        subnet = ip_network(pool.subnet)
        asked = ipv4 if subnet.version == 4 else ipv6
        if not pool.unused and subnet.version not in found and (not asked or ip_address(asked) in subnet):
            found[subnet.version] = (pool, asked)
    return [found[version] for version in sorted(found)]


def pick_address(pool: PoolRecord, last: int, used: Collection[str], asked: str = "", skip: int = 0) -> str:
    """The address asked for, else the next free one after ``last``; ``skip`` free ones are passed over if there are.

    Hosts that have been in each other's way skip at random, so that they are not so again.
    """
    taken = {pool.gateway, *pool.aux_addresses.values(), *used}
    if asked:
        if str(ip_address(asked)) in taken:
            raise Forbidden(NO_ADDRESS)
        return str(ip_address(asked))
    free = list(islice((address for address in candidates(pool, last) if address not in taken), skip + 1))
    if not free:
        raise Forbidden(NO_ADDRESS)
    return free[-1]


def candidates(pool: PoolRecord, last: int) -> Iterator[str]:
    """All usable addresses of a pool, from the one after ``last`` around to it."""
    subnet = ip_network(pool.subnet)
    span = ip_network(pool.ip_range) if pool.ip_range else subnet
    first, end = int(span[0]), int(span[-1])
    reserved = {int(subnet[0])}
    if subnet.version == 4 and subnet.prefixlen < 31:
        reserved.add(int(subnet[-1]))
    kind: type[IPv4Address] | type[IPv6Address] = IPv4Address if subnet.version == 4 else IPv6Address
    start = last + 1 if first <= last < end else first
    for number in chain(range(start, end + 1), range(first, start)):
        if number not in reserved:
            yield str(kind(number))


def is_usable(pool: PoolRecord, interface: str) -> bool:
    """Whether ``ADDRESS/LENGTH``, in its one proper spelling, is of a pool and not the pool's own."""
    given = ip_interface(interface)
    own = {pool.gateway, *pool.aux_addresses.values()}
    return str(given) == interface and given.network == ip_network(pool.subnet) and str(given.ip) not in own
