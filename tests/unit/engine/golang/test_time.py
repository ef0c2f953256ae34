"""hawse parses times in the forms that Docker's filters accept."""

from datetime import datetime, timedelta, timezone

import pytest

from engine.errors import InvalidArgument
from engine.golang.time import moment, nanoseconds, parse_duration, parse_moment

NOW, NEW_YEAR_2020 = 1_800_000_000.0, 1577836800
LAST_WHOLE_SECOND = 1_799_999_998  # 1.5 s before the constant NOW, rounded down to a whole second


NOON = datetime(2026, 5, 1, 12, 0, 0, tzinfo=timezone(timedelta(hours=2)))


def at(*parts: int, hours: int = 2) -> float:
    return datetime(*parts, tzinfo=timezone(timedelta(hours=hours))).timestamp()


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("1h30m", 5400 * 10**9),
        ("-1.5s", -1_500_000_000),
        ("+2h", 7200 * 10**9),
        (".5m", 30 * 10**9),
        ("1.s", 10**9),
        (".5ms", 500_000),
        ("3us", 3000),
    ],
)
def test_a_duration_is_parsed_as_in_go(text, nanoseconds):
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x", 'time: invalid duration "x"'),
        ("", 'time: invalid duration ""'),
        ("3", 'time: missing unit in duration "3"'),
        ("3x", 'time: unknown unit "x" in duration "3x"'),
        ("--", 'time: invalid duration "--"'),
        ("h", 'time: invalid duration "h"'),
        ("1h-2m", 'time: unknown unit "h-" in duration "1h-2m"'),
        ("1d", 'time: unknown unit "d" in duration "1d"'),
        ("9999999h", 'time: invalid duration "9999999h"'),
    ],
)
def test_a_wrong_duration_gives_gos_error(text, problem):
    with pytest.raises(ValueError) as caught:
        parse_duration(text)
    assert str(caught.value) == problem


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10m", NOON.timestamp() - 600),
        ("2026-05-01", at(2026, 5, 1)),
        ("2026-05-01Z", at(2026, 5, 1, hours=0)),
        ("2026-05-01T10", at(2026, 5, 1, 10)),
        ("2026-05-01T10:30", at(2026, 5, 1, 10, 30)),
        ("2026-05-01T10:30:15", at(2026, 5, 1, 10, 30, 15)),
        ("2026-05-01T10:30:15.25", at(2026, 5, 1, 10, 30, 15) + 0.25),
        ("2026-05-01T10:30:15Z", at(2026, 5, 1, 10, 30, 15, hours=0)),
        ("2026-05-01T10:30:15-03:00", at(2026, 5, 1, 10, 30, 15, hours=-3)),
        ("0", 0.0),
        ("1136073600.000000001", 1136073600.000000001),
        ("1.+5", 1.05),
        ("+5", 5.0),
        ("1." + "0" * 400, 1.0),
        ("9223372036854775807", 9223372036854775807.0),
        ("2026-05-01T10:30:15+24:00", at(2026, 4, 30, 10, 30, 15, hours=0)),
        ("2026-05-01T10:30:15.5-24:60", at(2026, 5, 2, 11, 30, 15, hours=0) + 0.5),
    ],
)
def test_moment_parses_valid_times(text, seconds):
    assert moment(text, NOON) == seconds


def test_moment_refuses_invalid_times():
    with pytest.raises(ValueError, match=r'^failed to parse value as time or duration: "bogus"$'):
        moment("bogus", NOON)
    with pytest.raises(ValueError, match=r'^parsing time "2026-13-01": month out of range$'):
        moment("2026-13-01", NOON)


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
def test_parse_moment_parses_valid_times(text, moment):
    assert parse_moment(text, NOW) == moment


@pytest.mark.parametrize("text", ["99999999999999999999", "1.99999999999999999999", "9" * 5000])
def test_seconds_beyond_64_bits_are_refused_as_in_docker_26_1_5(text):
    for parse in (moment, nanoseconds):
        with pytest.raises(ValueError) as caught:
            parse(text, NOON)
        assert str(caught.value) == f'failed to parse value as time or duration: "{text}"'
    assert nanoseconds("9223372036854775807.000000000000000000001", NOON) == 9223372036854775807 * 10**9


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
        ("é", 'failed to parse value as time or duration: "é"'),
        ("a\udcff", 'failed to parse value as time or duration: "a\\xff"'),
        ("2020-01-01é\n\udcff", r'parsing time "2020-01-01\xc3\xa9\x0a\xff": extra text: "\xc3\xa9\x0a\xff"'),
        ('2020-"\\', r'parsing time "2020-\"\\" as "2006-01-02": cannot parse "\"\\" as "01"'),
        ("99999999h", 'failed to parse value as time or duration: "99999999h"'),
        ("1.", 'failed to parse value as time or duration: "1."'),
        ("9" * 400, f'failed to parse value as time or duration: "{"9" * 400}"'),
        ("1.9223372036854775808", 'failed to parse value as time or duration: "1.9223372036854775808"'),
        ("2020-01-01+99:00", 'parsing time "2020-01-01+99:00": time zone offset hour out of range'),
        ("2020-01-01+99:99", 'parsing time "2020-01-01+99:99": time zone offset minute out of range'),
        ("2020-01-01T00:00:00+99:00x", 'parsing time "2020-01-01T00:00:00+99:00x": time zone offset hour out of range'),
    ],
)
def test_parse_moment_refuses_invalid_times(text, fault):
    with pytest.raises(InvalidArgument) as caught:
        parse_moment(text, NOW)
    assert str(caught.value) == fault
