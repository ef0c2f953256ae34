"""Quotas that clients share fairly. A place in a quota stands for one connection, flow or query.

The tests check how many places one client may take, and how many several clients may take together. They also check how
many places always stay free.
"""

from __future__ import annotations

import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from engine.eventloop.quota import Claim, Quota


def fill(quota: Quota, *claims: Claim) -> int:
    """Take places for the clients in ``claims`` until the quota refuses; return the number of taken places."""
    taken = 0
    while quota.take(claims):
        taken += 1
    return taken


def test_a_greedy_client_gets_half_of_the_free_places():
    quota = Quota(1000)
    assert fill(quota, Claim("a")) == 500
    assert fill(quota, Claim("b")) == 250
    assert fill(quota, Claim("c")) == 125


def test_a_group_member_leaves_places_to_its_group_and_a_group_to_others():
    quota = Quota(1000)
    assert fill(quota, Claim("a"), Claim("group", 2)) == 500
    assert fill(quota, Claim("b"), Claim("group", 2)) == 167
    assert fill(quota, Claim("c"), Claim("group", 2)) == 0
    assert fill(quota, Claim("stranger"), Claim("elsewhere", 2)) == 167


def test_place_given_back_can_be_taken_again():
    quota = Quota(2)
    assert quota.take([Claim("a")])
    assert not quota.take([Claim("a")])
    quota.give([Claim("a")])
    assert quota.free == 2
    assert quota.take([Claim("a")])


def test_the_last_free_place_is_for_a_client_without_places():
    quota = Quota(4)
    for holder in "aab":
        assert quota.take([Claim(holder)])
    assert not quota.take([Claim("a")])
    assert quota.take([Claim("c")])
    assert not quota.take([Claim("d")])


@given(st.integers(1, 50), st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=200))
def test_no_more_places_than_exist_are_taken_and_all_are_released(total, steps):
    quota, open_places = Quota(total), []
    for holder, take in steps:
        claims = (Claim(holder), Claim("all", 4))
        if take and quota.take(claims):
            open_places.append(claims)
        elif not take and open_places:
            quota.give(open_places.pop())
        assert 0 <= quota.free == total - len(open_places)
    for claims in open_places:
        quota.give(claims)
    assert quota.free == total and not quota.over([Claim(holder) for holder in "abcd"])


class SlowHolder:
    """A holder whose thread lets other threads run each time when the quota looks the holder up."""

    def __hash__(self) -> int:
        time.sleep(0.01)
        return 1


def test_threads_at_once_do_not_take_the_same_place():
    quota, claims, taken = Quota(2), [Claim(SlowHolder())], list[bool]()
    threads = [threading.Thread(target=lambda: taken.append(quota.take(claims))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [False, False, False, True]
    assert quota.free == 1
