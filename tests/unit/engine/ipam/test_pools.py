"""Automatic subnets are chosen from Docker's pools in Docker's order.

The subnets never overlap, and the choice is fast for pools of any size.
"""

from __future__ import annotations

from ipaddress import IPv4Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import ipam
from engine.ipam import LOCAL_POOLS, DefaultPool, Occupied, PoolsExhausted, bounds, overlapping, ula_pool

SMALL = (DefaultPool(ip_network("10.0.0.0/22"), 24), DefaultPool(ip_network("10.1.0.0/23"), 25))


def allocate_pool(defaults, version, in_use, **options):
    return ipam.allocate_pool(defaults, version, map(bounds, in_use), **options)


def fill(defaults, version=4, in_use=()):
    """Allocate subnets until no subnet is left; return the subnets.

    Each search begins after the previously allocated subnet.
    """
    allocated, last = [], None
    while True:
        try:
            last = allocate_pool(defaults, version, [*in_use, *allocated], last=last)
        except PoolsExhausted:
            return allocated
        allocated.append(last)


def test_dockers_default_pools_give_subnets_in_dockers_order():
    subnets = [str(subnet) for subnet in fill(LOCAL_POOLS)]
    assert subnets[:15] == [f"172.{n}.0.0/16" for n in range(17, 32)]
    assert subnets[15:] == [f"192.168.{n}.0/20" for n in range(0, 256, 16)]


def test_exhausted_pools_give_dockers_error_text():
    with pytest.raises(PoolsExhausted) as raised:
        allocate_pool(LOCAL_POOLS, 4, [ip_network("0.0.0.0/0")])
    text = "could not find an available, non-overlapping IPv{} address pool among the defaults to assign to the network"
    assert str(raised.value) == text.format(4)
    with pytest.raises(PoolsExhausted) as raised:
        allocate_pool(LOCAL_POOLS, 6, [])
    assert str(raised.value) == text.format(6)


def test_a_freed_subnet_is_not_reused_at_once_and_the_search_wraps():
    taken = [ip_network(f"172.{n}.0.0/16") for n in (17, 18, 20)]
    after_20 = allocate_pool(LOCAL_POOLS, 4, taken, last=taken[-1])
    assert str(after_20) == "172.21.0.0/16"
    end = ip_network("192.168.240.0/20")
    assert str(allocate_pool(LOCAL_POOLS, 4, taken, last=end)) == "172.19.0.0/16"


def test_the_last_allocated_subnet_is_reused_if_no_other_is_free():
    last = ip_network("10.0.1.0/24")
    others = [subnet for subnet in fill(SMALL) if subnet != last]
    assert allocate_pool(SMALL, 4, others, last=last) == last


def test_a_last_subnet_outside_all_pools_starts_from_the_beginning():
    for last in ("172.18.0.0/16", "10.0.0.0/25", "fd00::/64"):
        assert str(allocate_pool(SMALL, 4, [], last=ip_network(last))) == "10.0.0.0/24"


def test_subnets_on_host_interfaces_are_skipped_even_by_one_address():
    on_host = [ip_network("172.17.255.255/32"), ip_network("172.18.0.0/15")]
    assert str(allocate_pool(LOCAL_POOLS, 4, on_host)) == "172.20.0.0/16"


def test_another_prefix_length_is_taken_from_the_same_pools_from_the_start():
    last = ip_network("172.20.0.0/16")
    assert str(allocate_pool(LOCAL_POOLS, 4, [], last=last, size=24)) == "172.17.0.0/24"
    assert str(allocate_pool(LOCAL_POOLS, 4, [ip_network("172.17.0.0/24")], size=24)) == "172.17.1.0/24"
    with pytest.raises(PoolsExhausted):
        allocate_pool(LOCAL_POOLS, 4, [], size=15)


def test_a_pool_cannot_be_split_into_larger_parts():
    for size in (15, 33):
        with pytest.raises(ValueError, match="cannot be split"):
            DefaultPool(ip_network("10.0.0.0/16"), size)


def test_a_host_has_an_ipv6_pool_of_its_own():
    pool = ula_pool("some-host-id")
    assert pool == ula_pool("some-host-id") != ula_pool("another")
    assert (pool.base.prefixlen, pool.size) == (48, 64)
    assert pool.base.subnet_of(ip_network("fd00::/8"))
    first = allocate_pool([pool], 6, [])
    second = allocate_pool([pool], 6, [first], last=first)
    assert first.network_address == pool.base.network_address and second != first


@given(st.lists(st.integers(0, 1023).map(lambda n: IPv4Network((0x0A000000 + n, 32))), max_size=12), st.integers(0, 7))
def test_every_free_subnet_is_allocated_and_no_used_one(in_use, start):
    candidates = [*ip_network("10.0.0.0/22").subnets(new_prefix=24), *ip_network("10.1.0.0/23").subnets(new_prefix=25)]
    free = [candidate for candidate in candidates if overlapping(candidate, in_use) is None]
    turned = candidates[start + 1 :] + candidates[: start + 1]
    expected = next((candidate for candidate in turned if candidate in free), None)
    if expected is None:
        with pytest.raises(PoolsExhausted):
            allocate_pool(SMALL, 4, in_use, last=candidates[start])
    else:
        assert allocate_pool(SMALL, 4, in_use, last=candidates[start]) == expected
    assert sorted(fill(SMALL, in_use=in_use)) == sorted(free)


class Counting(Occupied):
    """A double of the list of address ranges in use. The double counts how often the list is queried."""

    asked = 0

    def last_within(self, first, last):
        Counting.asked += 1
        return super().last_within(first, last)


@pytest.mark.parametrize(
    ("base", "size", "in_use"),
    [
        ("10.0.0.0/22", 24, "10.0.0.0/24"),
        ("10.0.0.0/8", 30, "10.0.0.0/9"),
        ("fd00::/8", 64, "fd00::/9"),
        ("fd00::/8", 128, "fd00::/10"),
    ],
)
def test_a_huge_pool_needs_as_few_queries_as_a_small_one(monkeypatch, base, size, in_use):
    monkeypatch.setattr(ipam, "Occupied", Counting)
    Counting.asked = 0
    used, pool = ip_network(in_use), DefaultPool(ip_network(base), size)
    allocated = allocate_pool([pool], pool.base.version, [used])
    assert int(allocated[0]) == int(used[-1]) + 1
    assert Counting.asked == 2
