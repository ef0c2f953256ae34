"""hawse allocates the addresses of a subnet. The result is always the lowest free address of the subnet.

The allocation must be fast for subnets of any size.
"""

from __future__ import annotations

from ipaddress import IPv4Network, ip_address, ip_network

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.ipam import AddressInUse, NoFreeAddress, OutOfPool, check_address, lowest_free, usable


def hand_out(subnet, used=(), ip_range=None, limit=6):
    """Return the next addresses that the allocation gives, in order, at most ``limit``."""
    subnet, taken, given_out = ip_network(subnet), sorted(int(ip_address(a)) for a in used), []
    while len(given_out) < limit:
        try:
            address = lowest_free(subnet, taken, ip_network(ip_range) if ip_range else None)
        except NoFreeAddress:
            break
        taken = sorted([*taken, int(address)])
        given_out.append(str(address))
    return given_out


@pytest.mark.parametrize(
    ("subnet", "used", "ip_range", "expected"),
    [
        # Docker gives the first address of an unused subnet to the gateway, and the next addresses to containers.
        ("10.90.2.0/30", [], None, ["10.90.2.1", "10.90.2.2"]),
        ("10.90.0.0/31", [], None, ["10.90.0.0", "10.90.0.1"]),
        ("10.90.1.0/32", [], None, ["10.90.1.0"]),
        ("10.90.3.0/29", ["10.90.3.6"], None, ["10.90.3.1", "10.90.3.2", "10.90.3.3", "10.90.3.4", "10.90.3.5"]),
        ("10.90.4.0/24", [], "10.90.4.128/31", ["10.90.4.128", "10.90.4.129"]),
        ("10.90.5.0/24", ["10.90.5.1"], "10.90.5.128/31", ["10.90.5.128", "10.90.5.129"]),
        ("10.90.6.0/24", [], "10.90.6.0/30", ["10.90.6.1", "10.90.6.2", "10.90.6.3"]),
        ("10.90.7.0/24", [], "10.90.7.7/32", ["10.90.7.7"]),
        ("10.90.8.0/24", [], "10.90.8.255/32", []),
        ("10.90.9.0/24", [], "10.90.9.252/30", ["10.90.9.252", "10.90.9.253", "10.90.9.254"]),
        ("fd70:2::/127", [], None, ["fd70:2::1"]),
        ("fd70:3::/128", [], None, []),
        ("fd70:6::/126", [], None, ["fd70:6::1", "fd70:6::2", "fd70:6::3"]),
        ("fd70:5::/64", ["fd70:5::9"], "fd70:5::1:0/127", ["fd70:5::1:0", "fd70:5::1:1"]),
    ],
)
def test_addresses_are_allocated_in_dockers_order(subnet, used, ip_range, expected):
    assert hand_out(subnet, used, ip_range) == expected


def test_a_gap_is_filled_first():
    assert hand_out("10.0.0.0/24", ["10.0.0.1", "10.0.0.2", "10.0.0.4", "10.0.0.6"], limit=3) == [
        "10.0.0.3",
        "10.0.0.5",
        "10.0.0.7",
    ]


def test_an_exhausted_subnet_gives_dockers_error_text():
    with pytest.raises(NoFreeAddress, match=r"^no available addresses on this pool$"):
        lowest_free(ip_network("10.0.0.0/30"), [0x0A000001, 0x0A000002])


@pytest.mark.parametrize("requested", ["10.0.0.0", "10.0.0.255", "10.0.0.7"])
def test_network_broadcast_and_used_addresses_are_in_use(requested):
    with pytest.raises(AddressInUse, match=r"^Address already in use$"):
        check_address(ip_network("10.0.0.0/24"), [0x0A000007], ip_address(requested))


@pytest.mark.parametrize("requested", ["10.0.0.0", "10.0.0.1", "10.0.0.3"])
def test_a_requested_address_of_a_full_subnet_gives_the_text_of_an_exhausted_subnet(requested):
    with pytest.raises(NoFreeAddress, match=r"^no available addresses on this pool$"):
        check_address(ip_network("10.0.0.0/30"), [0x0A000001, 0x0A000002], ip_address(requested))


@pytest.mark.parametrize("requested", ["10.0.1.0", "9.255.255.255", "fd00::1"])
def test_an_address_of_another_subnet_is_refused(requested):
    with pytest.raises(OutOfPool):
        check_address(ip_network("10.0.0.0/24"), [], ip_address(requested))


def test_a_free_address_is_returned():
    for subnet, address in (("10.0.0.0/24", "10.0.0.9"), ("10.0.0.0/31", "10.0.0.0"), ("fd00::/64", "fd00::ffff")):
        assert check_address(ip_network(subnet), [0x0A000007], ip_address(address)) == ip_address(address)


@given(
    prefix=st.integers(24, 32),
    used=st.sets(st.integers(0, 255)),
    window=st.none() | st.tuples(st.integers(0, 255), st.integers(24, 32)),
)
def test_the_lowest_usable_address_in_range_or_none(prefix, used, window):
    base = 0x0A000000
    subnet = IPv4Network((base, prefix))
    ip_range = IPv4Network((base + window[0], window[1]), strict=False) if window else None
    assume(ip_range is None or subnet.overlaps(ip_range))
    first, last = usable(subnet)
    taken = sorted(base + n for n in used)
    free = [a for a in range(first, last + 1) if a not in taken and (not ip_range or ip_address(a) in ip_range)]
    if free:
        assert int(lowest_free(subnet, taken, ip_range)) == free[0]
    else:
        with pytest.raises(NoFreeAddress):
            lowest_free(subnet, taken, ip_range)


def test_only_the_host_part_of_a_range_outside_the_subnet_counts():
    """The expected addresses are those of Docker 26.1.5 with such a fixed-cidr."""
    subnet = IPv4Network("10.5.0.0/24")
    for text, address in (("10.6.0.0/25", "10.5.0.1"), ("10.6.0.128/25", "10.5.0.128")):
        assert lowest_free(subnet, [], IPv4Network(text)) == ip_address(address)


class Counting(list):
    """A list that counts how many of its elements are read."""

    looked = 0

    def __getitem__(self, index):
        Counting.looked += 1
        return super().__getitem__(index)


@pytest.mark.parametrize("subnet", ["10.0.0.0/24", "10.0.0.0/8", "fd00::/64", "::/0"])
@pytest.mark.parametrize("count", [0, 100, 100_000])
def test_the_search_reads_few_addresses_even_of_a_huge_pool(subnet, count):
    network = ip_network(subnet)
    first = usable(network)[0]
    used = Counting(range(first, first + min(count, network.num_addresses - 3)))
    Counting.looked = 0
    assert int(lowest_free(network, used)) == first + len(used)
    assert Counting.looked <= 2 * (len(used).bit_length() + 1)
