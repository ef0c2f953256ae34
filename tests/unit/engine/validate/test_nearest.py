"""For a wrong name, hawse finds the name that the user probably meant."""

from __future__ import annotations

import pytest

from engine.validate.nearest import distance, nearest

NAMES = ("network", "node", "rm", "rmi", "run", "start", "stop", "system")


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("netwrok", "network"),
        ("stp", "stop"),
        ("rnu", "run"),
        ("rn", "rm"),
        ("sys", "system"),
        ("compose", ""),
        ("x", ""),
        ("", ""),
    ],
)
def test_the_name_nearest_to_a_mistyped_word_is_found(word, name):
    assert nearest(word, NAMES) == name


def test_distance_counts_a_swap_once():
    assert distance("ab", "ba") == 1
    assert distance("abc", "") == 3
    assert distance("kitten", "sitting") == 3
