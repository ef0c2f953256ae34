"""The moment a person names: a duration before now, a date, or Unix seconds (Docker's ``until`` filters)."""

from __future__ import annotations

import re
from datetime import datetime

from engine.errors import InvalidArgument

UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
TERM = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?P<unit>ns|us|µs|μs|ms|s|m|h)")
ONE_TERM = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h)"
DURATION = re.compile(rf"(?P<sign>[+-]?)(?:0|(?P<terms>(?:{ONE_TERM})+))")
DATE = re.compile(
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
    r"(?:T(?P<hour>[0-9]{2})(?::(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?P<fraction>\.[0-9]{1,9})?)?)?)?"
    r"(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})?"
)
DATE_UNITS = ("year", "month", "day", "hour", "minute", "second")
SECONDS = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")


def parse_duration(text: str) -> float | None:
    """Parse Go's durations (``1h30m``, ``-5m``, ``0``) into seconds, None for anything else."""
    match = DURATION.fullmatch(text)
    if match is None:
        return None
    seconds = sum(float(term["number"]) * UNITS[term["unit"]] for term in TERM.finditer(match["terms"] or ""))
    return -seconds if match["sign"] == "-" else seconds


def parse_moment(text: str, now: float) -> float:
    """Parse a duration before ``now``, a date (local time without zone) or Unix seconds, into Unix seconds."""
    duration = parse_duration(text)
    if duration is not None:
        return now - duration
    if SECONDS.fullmatch(text):
        return float(text)
    if match := DATE.fullmatch(text):
        return _parse_date(match)
    raise InvalidArgument(f'failed to parse value as time or duration: "{text}"')


def _parse_date(match: re.Match[str]) -> float:
    year, month, day, hour, minute, second = (int(match[unit] or 0) for unit in DATE_UNITS)
    clock = f"{hour:02}:{minute:02}:{second:02}{match['zone'] or ''}"
    try:
        moment = datetime.fromisoformat(f"{year:04}-{month:02}-{day:02}T{clock}")
    except ValueError:
        raise InvalidArgument(f'parsing time "{match[0]}": {_part_at_fault(match)} out of range') from None
    return moment.timestamp() + float(match["fraction"] or 0)


def _part_at_fault(match: re.Match[str]) -> str:
    limits = {"month": (1, 12), "hour": (0, 23), "minute": (0, 59), "second": (0, 59)}
    wrong = [unit for unit, (low, high) in limits.items() if not low <= int(match[unit] or 0) <= high]
    return wrong[0] if wrong else "day"
