"""Durations and sizes as Docker prints them."""

import pytest

from engine.golang.units import human_duration, human_size

HOUR, DAY = 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "Less than a second"),
        (0.9, "Less than a second"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (60, "About a minute"),
        (1800, "30 minutes"),
        (3599, "59 minutes"),
        (HOUR, "About an hour"),
        (1.49 * HOUR, "About an hour"),
        (1.5 * HOUR, "2 hours"),
        (47 * HOUR, "47 hours"),
        (2 * DAY, "2 days"),
        (13 * DAY, "13 days"),
        (14 * DAY, "2 weeks"),
        (59 * DAY, "8 weeks"),
        (60 * DAY, "2 months"),
        (729 * DAY, "24 months"),
        (730 * DAY, "2 years"),
    ],
)
def test_a_duration_is_rounded_to_dockers_words(seconds, words):
    assert human_duration(seconds) == words


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0B"), (999, "999B"), (1000, "1kB"), (4_250_000, "4.25MB"), (2_746_000_000, "2.746GB")]
)
def test_a_size_has_a_decimal_unit_and_four_digits(size, words):
    assert human_size(size) == words
    assert human_size(1_234_000, 3) == "1.23MB"
