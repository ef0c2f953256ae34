"""The moment a person names: a duration before now, a date, or Unix seconds (Docker's ``until`` filters)."""

from __future__ import annotations

import re
from datetime import datetime

from engine.errors import InvalidArgument

UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
TERM = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?P<unit>ns|us|µs|μs|ms|s|m|h)")
DURATION = re.compile(
    rf"(?P<sign>[+-]?)(?:0|(?P<terms>(?:{TERM.pattern.replace('?P<number>', '?:').replace('?P<unit>', '?:')})+))"
)
DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}(?::[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?)?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?"
)
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
    if DATE.fullmatch(text):
        return _parse_date(text)
    raise InvalidArgument(f'failed to parse value as time or duration: "{text}"')


def _parse_date(text: str) -> float:
    date, _, clock = text.partition("T")
    month, day = int(date[5:7]), int(date[8:10])
    try:
        return datetime.fromisoformat(text if len(clock) != 2 else f"{text}:00").timestamp()
    except ValueError:
        part = "month" if not 1 <= month <= 12 else "day" if not 1 <= day <= 31 else "hour"
        raise InvalidArgument(f'parsing time "{text}": {part} out of range') from None
