"""hawse finds overlapping networks of any size by comparing ranges of integers."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_network

from hypothesis import given
from hypothesis import strategies as st

from engine.ipam import Occupied, bounds, overlapping


@st.composite
def small_networks(draw):
    """Return a random network within 10.0.0.0/24. This range is so small that the networks often overlap."""
    prefix = draw(st.integers(25, 32))
    return IPv4Network((0x0A000000 + draw(st.integers(0, 255)), prefix), strict=False)


def test_networks_of_different_families_never_overlap():
    assert overlapping(ip_network("0.0.0.0/0"), [ip_network("::/0")]) is None


def test_the_first_overlapping_network_is_returned():
    others = [ip_network(n) for n in ("10.1.0.0/16", "10.0.5.0/24", "10.0.0.0/8")]
    assert overlapping(ip_network("10.0.0.0/16"), others) == ip_network("10.0.5.0/24")
    assert overlapping(ip_network("10.0.5.128/32"), others) == ip_network("10.0.5.0/24")
    assert overlapping(ip_network("11.0.0.0/16"), others) is None


@given(small_networks(), st.lists(small_networks(), max_size=5))
def test_overlapping_agrees_with_shared_addresses(network, others):
    shared = [other for other in others if set(network) & set(other)]
    assert overlapping(network, others) == next(iter(shared), None)


@given(st.lists(small_networks(), max_size=6), small_networks())
def test_occupied_agrees_with_the_union_of_addresses(networks, window):
    first, last = int(window[0]), int(window[-1])
    union = {int(address) for network in networks for address in network}
    inside = [address for address in range(first, last + 1) if address in union]
    highest = Occupied(map(bounds, networks)).last_within(first, last)
    if not inside:
        assert highest is None
    else:
        assert highest >= max(inside) and set(range(max(inside), highest + 1)) <= union


@given(st.lists(small_networks(), max_size=6), st.lists(small_networks(), max_size=6))
def test_occupied_answers_do_not_depend_on_earlier_queries(networks, windows):
    occupied = Occupied(map(bounds, networks))
    for window in map(bounds, windows):
        assert occupied.last_within(*window) == Occupied(map(bounds, networks)).last_within(*window)
