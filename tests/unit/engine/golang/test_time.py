"""Moments as Docker's filters take them."""

import pytest

from engine.errors import InvalidArgument
from engine.golang.time import parse_duration, parse_moment

NOW, NEW_YEAR_2020 = 1_800_000_000.0, 1577836800
LAST_WHOLE_SECOND = 1_799_999_998  # a moment so long ago is a whole second


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h30m", 5400), ("-5m", -300), ("1.5s", 1.5), ("100ms", 0.1), ("0", 0), ("+2h", 7200), (".5m", 30)],
)
def test_a_duration(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "10", "h", "1x", "1h-2m", "1d"])
def test_what_is_no_duration(text):
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("24h", NOW - 86400),
        ("-5m", NOW + 300),
        ("1577836800", NEW_YEAR_2020),
        ("1577836800.5", NEW_YEAR_2020 + 0.5),
        ("2020-01-01T00:00:00Z", NEW_YEAR_2020),
        ("2020-01-01T01:00:00+01:00", NEW_YEAR_2020),
        ("2020-01-01T00:00:00.5Z", NEW_YEAR_2020 + 0.5),
        ("2020-01-01Z", NEW_YEAR_2020),
        ("2020-01-01T00Z", NEW_YEAR_2020),
        ("2020-01-01T00:00+00:00", NEW_YEAR_2020),
        ("1.5s", LAST_WHOLE_SECOND),
        ("0", 0),
    ],
)
def test_a_moment(text, moment):
    assert parse_moment(text, NOW) == moment


def test_a_date_without_zone_is_local():
    assert parse_moment("2020-01-01T10", NOW) - parse_moment("2020-01-01", NOW) == 36000


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("bogus", 'failed to parse value as time or duration: "bogus"'),
        ("", 'failed to parse value as time or duration: ""'),
        ("2020-13-01", 'parsing time "2020-13-01": month out of range'),
        ("2020-02-30", 'parsing time "2020-02-30": day out of range'),
        ("2020-01", 'parsing time "2020-01" as "2006-01-02": cannot parse "" as "-"'),
        ("2020-1-1", 'parsing time "2020-1-1" as "2006-01-02": cannot parse "1-1" as "01"'),
        ("2020-01-01 10:00", 'parsing time "2020-01-01 10:00": extra text: " 10:00"'),
        ("-1", 'parsing time "-1" as "2006-01-02": cannot parse "-1" as "2006"'),
        ("99999999h", 'failed to parse value as time or duration: "99999999h"'),
    ],
)
def test_a_malformed_moment(text, fault):
    with pytest.raises(InvalidArgument) as caught:
        parse_moment(text, NOW)
    assert str(caught.value) == fault
