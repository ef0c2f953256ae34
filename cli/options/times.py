"""``--since`` and ``--until``: Go durations, RFC 3339 times with parts left out, and Unix seconds."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from decimal import Decimal

from cli.quoting import quote

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PART = re.compile(r"([0-9]*)(\.[0-9]*)?([^0-9.]*)")
_LIMIT = 1 << 63
_UNIX = re.compile(r"([+-]?[0-9]+)(?:\.([+-]?[0-9]+))?")
_DATE = r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
_CLOCK = r"T(?P<hour>[0-9]{2})"
_MINUTE = r":(?P<minute>[0-9]{2})"
_SECOND = r":(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]+))?"
_ZONE = r"(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})"
_GO = {"date": "2006-01-02", "hour": "T15", "minute": ":04", "second": ":05"}


def parse_duration(text: str) -> int:
    """Read a Go duration such as ``1h30m`` or ``-1.5s`` as nanoseconds."""
    invalid = ValueError(f"time: invalid duration {quote(text)}")
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    if not rest:
        raise invalid
    total = 0
    while rest:
        found = _PART.match(rest)
        whole, fraction, unit = found.groups() if found else ("", None, "")
        if not whole and not (fraction or ".")[1:]:
            raise invalid
        if not unit:
            raise ValueError(f"time: missing unit in duration {quote(text)}")
        if unit not in _UNITS:
            raise ValueError(f"time: unknown unit {quote(unit)} in duration {quote(text)}")
        total += int(Decimal((whole or "0") + (fraction or "").rstrip(".")) * _UNITS[unit])
        if total > _LIMIT or (total == _LIMIT and text[0] != "-"):
            raise invalid
        rest = rest[found.end() :] if found else ""
    return -total if text.startswith("-") else total


def parse_timestamp(text: str, now: datetime) -> float:
    """Read a moment as Unix seconds; a duration counts back from ``now`` (aware, its zone is the local one)."""
    try:
        if text != "0":
            return float(int(now.timestamp() - parse_duration(text) / 10**9))
    except ValueError:
        pass
    local = not (re.search("[zZ+]", text) or text.count("-") == 3)
    layout = _layout(text, local=local)
    try:
        return _read_moment(text, layout, local=local, zone=now.tzinfo)
    except ValueError:
        if "-" in text:
            raise
        return _unix(text)


def _layout(text: str, *, local: bool) -> list[str]:
    """Name the parts that must be there, by Docker's guess from dots, the T and the number of colons."""
    if "." in text:
        return ["date", "hour", "minute", "second"]
    if "T" not in text:
        return ["date"]
    colons = text.count(":")
    if not local and not re.search("[zZ]", text) and colons:
        colons -= 1  # the one in the zone
    return ["date", "hour", "minute", "second"][: 2 + min(colons, 2)]


def _read_moment(text: str, layout: list[str], *, local: bool, zone: tzinfo | None) -> float:
    patterns = {"date": _DATE, "hour": _CLOCK, "minute": _MINUTE, "second": _SECOND}
    found = re.fullmatch("".join(patterns[part] for part in layout) + ("" if local else _ZONE), text)
    go_layout = (
        "".join(_GO[part] for part in layout) + (".999999999" if "." in text else "") + ("" if local else "Z07:00")
    )
    if not found:
        raise ValueError(f'parsing time {quote(text)} as {quote(go_layout)}: cannot parse {quote(text)} as "2006"')
    groups = found.groupdict()
    if not local:
        zone = _zone(groups["zone"])
    try:
        moment = datetime.fromisoformat(groups["date"]).replace(
            hour=int(groups.get("hour") or 0),
            minute=int(groups.get("minute") or 0),
            second=int(groups.get("second") or 0),
            tzinfo=zone,
        )
    except ValueError as error:
        raise ValueError(f"parsing time {quote(text)}: {_out_of_range(str(error))}") from None
    return moment.timestamp() + float("0." + (groups.get("fraction") or "0"))


def _zone(text: str) -> timezone:
    if text == "Z":
        return timezone.utc  # noqa: UP017
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[4:6]))
    return timezone(-offset if text[0] == "-" else offset)


def _out_of_range(problem: str) -> str:
    part = next((part for part in ("month", "day", "hour", "minute", "second") if part in problem), "day")
    return f"{part} out of range"


def _unix(text: str) -> float:
    if not (found := _UNIX.fullmatch(text)):
        raise ValueError(f"failed to parse value as time or duration: {quote(text)}")
    seconds, nanoseconds = found.groups()
    return float(f"{seconds}.{nanoseconds or 0}")
