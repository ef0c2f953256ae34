"""Durations and moments as Docker reads --since and --until."""

from datetime import datetime, timedelta, timezone

import pytest

from cli.options.times import parse_duration, parse_timestamp

NOW = datetime(2026, 5, 1, 12, 0, 0, tzinfo=timezone(timedelta(hours=2)))


def moment(*parts: int, hours: int = 2) -> float:
    return datetime(*parts, tzinfo=timezone(timedelta(hours=hours))).timestamp()


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("0", 0), ("1h30m", 5400 * 10**9), ("-1.5s", -1_500_000_000), ("1.s", 10**9), (".5ms", 500_000), ("3us", 3000)],
)
def test_durations(text, nanoseconds):
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x", 'time: invalid duration "x"'),
        ("", 'time: invalid duration ""'),
        ("3", 'time: missing unit in duration "3"'),
        ("3x", 'time: unknown unit "x" in duration "3x"'),
        ("--", 'time: invalid duration "--"'),
        ("9999999h", 'time: invalid duration "9999999h"'),
    ],
)
def test_bad_durations(text, problem):
    with pytest.raises(ValueError) as caught:
        parse_duration(text)
    assert str(caught.value) == problem


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10m", NOW.timestamp() - 600),
        ("2026-05-01", moment(2026, 5, 1)),
        ("2026-05-01Z", moment(2026, 5, 1, hours=0)),
        ("2026-05-01T10", moment(2026, 5, 1, 10)),
        ("2026-05-01T10:30", moment(2026, 5, 1, 10, 30)),
        ("2026-05-01T10:30:15", moment(2026, 5, 1, 10, 30, 15)),
        ("2026-05-01T10:30:15.25", moment(2026, 5, 1, 10, 30, 15) + 0.25),
        ("2026-05-01T10:30:15Z", moment(2026, 5, 1, 10, 30, 15, hours=0)),
        ("2026-05-01T10:30:15-03:00", moment(2026, 5, 1, 10, 30, 15, hours=-3)),
        ("0", 0.0),
        ("1136073600.000000001", 1136073600.000000001),
    ],
)
def test_moments(text, seconds):
    assert parse_timestamp(text, NOW) == seconds


def test_what_is_no_moment():
    with pytest.raises(ValueError, match=r'^failed to parse value as time or duration: "bogus"$'):
        parse_timestamp("bogus", NOW)
    with pytest.raises(ValueError, match=r'^parsing time "2026-13-01": month out of range$'):
        parse_timestamp("2026-13-01", NOW)
