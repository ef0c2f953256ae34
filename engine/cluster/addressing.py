"""Chooses the next free address of a pool.

The module has no side effects: the caller passes the addresses that are in use.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from ipaddress import ip_address, ip_interface, ip_network
from itertools import chain, islice

from engine.errors import Forbidden
from engine.ipam import address_of, automatic
from engine.model import NetworkRecord, PoolRecord

NO_ADDRESS = (
    "attaching to network failed, make sure your network options are correct and check manager logs: "
    "context deadline exceeded"
)
"""Error message that Docker prints, after 20 seconds, if the requested address is taken or no address is free."""


def pools_for_endpoint(network: NetworkRecord, ipv4: str, ipv6: str) -> list[tuple[PoolRecord, str]]:
    """Return the pools from which an endpoint gets its addresses: at most one IPv4 pool, then at most one IPv6 pool.

    Each pool comes with the address that the user requested from it (``ipv4`` or ``ipv6``), or "" if none was
    requested. If no pool contains a requested address, the result has no pool of this address family.
    """
    chosen: dict[int, tuple[PoolRecord, str]] = {}
    for pool in network.pools:
        subnet = ip_network(pool.subnet)
        requested = ipv4 if subnet.version == 4 else ipv6
        if not pool.unused and subnet.version not in chosen and (not requested or ip_address(requested) in subnet):
            chosen[subnet.version] = (pool, requested)
    return [chosen[version] for version in sorted(chosen)]


def pick_address(pool: PoolRecord, last: int, used: Collection[str], requested: str = "", skip: int = 0) -> str:
    """Return the address ``requested``, or the next free address after ``last`` if ``requested`` is empty.

    ``last`` is the address that was allocated last, as an integer. ``used`` has the addresses in use. The first
    ``skip`` free addresses are passed over; if there are fewer, the last free one is returned. After a conflict, each
    host skips a random number of addresses, so that two hosts do not choose the same address again. Raises Forbidden if
    the requested address is taken, or if no address is free.
    """
    taken = {pool.gateway, *pool.aux_addresses.values(), *used}
    if requested:
        if str(ip_address(requested)) in taken:
            raise Forbidden(NO_ADDRESS)
        return str(ip_address(requested))
    free = list(islice((address for address in candidates(pool, last) if address not in taken), skip + 1))
    if not free:
        raise Forbidden(NO_ADDRESS)
    return free[-1]


def candidates(pool: PoolRecord, last: int) -> Iterator[str]:
    """Yield each address of a pool that automatic allocation can choose, whether it is free or in use.

    First come the addresses after ``last`` (an address as an integer) in ascending order. Then come those from the
    start of the pool up to ``last``. The pool's gateway and auxiliary addresses are included.
    """
    subnet = ip_network(pool.subnet)
    first, end = automatic(subnet, ip_network(pool.ip_range) if pool.ip_range else None)
    start = last + 1 if first <= last < end else first
    for number in chain(range(start, end + 1), range(first, start)):
        yield str(address_of(subnet, number))


def is_usable(pool: PoolRecord, interface: str) -> bool:
    """Return whether an endpoint of the pool may have the address ``interface``, a text ``ADDRESS/LENGTH``.

    The text must be in canonical form, and LENGTH must be the prefix length of the pool's subnet. The gateway and the
    auxiliary addresses are not usable. Raises ValueError if the text is no address.
    """
    address = ip_interface(interface)
    reserved = {pool.gateway, *pool.aux_addresses.values()}
    return str(address) == interface and address.network == ip_network(pool.subnet) and str(address.ip) not in reserved
