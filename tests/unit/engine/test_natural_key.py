"""Names and ports are sorted in natural order, as in Docker."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.names import natural_key


@pytest.mark.parametrize(
    "ordered",
    [
        ["n2", "n9", "n10", "n10a", "n11"],
        ["10", "-x", "B", "a"],
        ["1", "01", "2", "a", "a1", "a01", "a2"],
        ["9/tcp", "80/tcp -> 0.0.0.0:80", "80/tcp -> 0.0.0.0:9000", "80/tcp -> [::]:80", "443/tcp"],
        ["", "a", "ä"],
        ["a", "a0", "a00", "a1", "a1b", "a1b2", "a01", "a\0", "a\0b", "a\1", "ab"],
        ["n" + "9" * 999, "n1" + "0" * 999],
    ],
)
def test_names_are_sorted_in_natural_order(ordered):
    shuffled = random.Random(1).sample(ordered, len(ordered))
    assert sorted(shuffled, key=natural_key) == ordered


def parts(text):
    """Return a sort key that follows the definition of natural order directly.

    Digits sort before other bytes. Numbers sort by value, and equal numbers by length.
    """
    pieces = re.findall(rb"[0-9]+|[^0-9]+", text.encode("utf-8", "surrogateescape"))
    return [(0, int(part), len(part)) if part.isdigit() else (1, part) for part in pieces]


TEXTS = st.text("0129a.\0\1\xffé网\udc80", max_size=8)


@given(TEXTS, TEXTS)
def test_keys_compare_as_the_parts_of_the_texts_do(first, second):
    assert (natural_key(first) < natural_key(second)) is (parts(first) < parts(second))
    assert (natural_key(first) == natural_key(second)) is (parts(first) == parts(second))
