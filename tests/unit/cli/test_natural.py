"""Natural order as Docker sorts names and ports."""

from __future__ import annotations

import random

import pytest

from cli.natural import natural_key


@pytest.mark.parametrize(
    "ordered",
    [
        ["n2", "n9", "n10", "n10a", "n11"],
        ["10", "-x", "B", "a"],
        ["1", "01", "2", "a", "a1", "a01", "a2"],
        ["9/tcp", "80/tcp -> 0.0.0.0:80", "80/tcp -> 0.0.0.0:9000", "80/tcp -> [::]:80", "443/tcp"],
        ["", "a", "ä"],
    ],
)
def test_order(ordered):
    shuffled = random.Random(1).sample(ordered, len(ordered))
    assert sorted(shuffled, key=natural_key) == ordered
