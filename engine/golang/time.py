"""Parse Go's durations and Docker's times (``until``, ``--since``): a duration before now, a date, or Unix seconds."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime, timedelta, timezone, tzinfo

from engine.errors import InvalidArgument
from engine.golang.strconv import parse_int, quote, whole_number

UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
PART = re.compile(r"([0-9]*)(\.[0-9]*)?([^0-9.]*)")
LIMIT = 1 << 63
MOST_DIGITS = 30  # characters of a fraction that are read, dot included; the other digits are less than a nanosecond
PIECES = {
    "2006": "[0-9]{4}", "-": "-", "01": "[0-9]{2}", "02": "[0-9]{2}", "T": "T", "15": "[0-9]{1,2}", ":": ":",
    "04": "[0-9]{2}", "05": "[0-9]{2}(?:[.,][0-9]+)?", ".999999999": "", "Z07:00": "Z|[+-][0-9]{2}:[0-9]{2}",
}  # fmt: skip
"""Maps each element of Go's time layouts to a regular expression for the texts that the element accepts."""
DATE = ["2006", "-", "01", "-", "02"]
DASHES_WITH_ZONE = 3  # dashes in a date with a negative UTC offset: two in the date itself, and the minus sign
CLOCK = ["T", "15", ":", "04", ":", "05"]
LIMITS = {
    "01": [("month", 0, 1, 12)], "15": [("hour", 0, 0, 23)], "04": [("minute", 0, 0, 59)], "05": [("second", 0, 0, 59)],
    "Z07:00": [("time zone offset minute", 4, 0, 60), ("time zone offset hour", 1, 0, 24)],
}  # fmt: skip
"""Maps an element of Go's time layouts to the numbers in its text: (name, position, lowest value, highest value)."""
UTC = timezone.utc  # noqa: UP017


def parse_duration(text: str) -> int:
    """Parse a Go duration such as ``1h30m`` or ``-1.5s`` into nanoseconds.

    Raises ValueError with the error text that Go prints.
    """
    invalid = ValueError(f"time: invalid duration {quote(text)}")
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    if not rest:
        raise invalid
    total = 0
    while rest:
        match = PART.match(rest)
        whole, fraction, unit = match.groups() if match else ("", None, "")
        if not whole and not (fraction or ".")[1:]:
            raise invalid
        if not unit:
            raise ValueError(f"time: missing unit in duration {quote(text)}")
        if unit not in UNITS:
            raise ValueError(f"time: unknown unit {quote(unit)} in duration {quote(text)}")
        digits = (fraction or ".")[1:MOST_DIGITS]
        total += whole_number(whole) * UNITS[unit] + whole_number(digits) * UNITS[unit] // 10 ** len(digits)
        if total > LIMIT or (total == LIMIT and text[0] != "-"):
            raise invalid
        rest = rest[match.end() :] if match else ""
    return -total if text.startswith("-") else total


def parse_moment(text: str, now: float) -> float:
    """Parse a time (a duration before ``now``, a date, or Unix seconds) into Unix seconds.

    ``now`` is in Unix seconds. A date without a zone has the UTC offset that is local at the time ``now``. Raises
    `InvalidArgument` for any other text.
    """
    try:
        return moment(text, datetime.fromtimestamp(now).astimezone())
    except ValueError as error:
        raise InvalidArgument(str(error)) from None


def moment(text: str, now: datetime) -> float:
    """Parse a time (a duration before ``now``, a date, or Unix seconds) into Unix seconds.

    A date without a zone is in the zone of ``now``. For a duration, the result is rounded down to a whole second, as in
    Docker. The text ``0`` is Unix seconds, not a duration. Raises ValueError if the text is none of the three forms.
    """
    if text != "0":
        with suppress(ValueError):
            return float(int(now.timestamp() - parse_duration(text) / 10**9))
    try:
        return _date(text, now.tzinfo)
    except ValueError:
        if "-" in text:
            raise
    try:
        return unix_nanoseconds(text) / 10**9
    except ValueError:
        raise ValueError(f"failed to parse value as time or duration: {quote(text)}") from None


def nanoseconds(text: str, now: datetime) -> int:
    """Parse a time (a duration before ``now``, a date, or Unix seconds) into nanoseconds since 1970.

    A date without a zone is in the zone of ``now``. Unix seconds and RFC 3339 times with a zone keep all digits. Other
    dates are exact only to about a microsecond. Raises ValueError if the text is none of the three forms.
    """
    if "-" not in text:
        with suppress(ValueError):
            return unix_nanoseconds(text)
    with suppress(ValueError):
        return parse_rfc3339(text)
    return round(moment(text, now) * 10**9)


def unix_nanoseconds(text: str) -> int:
    """Parse Unix seconds with an optional fraction into nanoseconds since 1970.

    Raises ValueError with the error text that Go prints. As in Docker, the fraction may have a sign, which takes the
    place of a digit: "1.+5" is 1.05 s, and "1.-5" is 0.95 s.
    """
    whole, point, fraction = text.partition(".")
    seconds, number = parse_int(whole, base=10), parse_int(fraction, base=10) if point else 0
    return seconds * 10**9 + number * 10**9 // int(10 ** len(fraction))


def _date(text: str, local: tzinfo | None) -> float:
    fields = _read(text, _pieces(text, zoned=_is_zoned(text)))
    second, _, fraction = fields.get("05", "").replace(",", ".").partition(".")
    zone = UTC if "Z07:00" in fields else local
    year, month, day, hour, minute = (int(fields.get(piece, 0)) for piece in ("2006", "01", "02", "15", "04"))
    try:
        date = datetime(year, month, day, hour, minute, int(second or 0), tzinfo=zone)
    except ValueError:
        raise ValueError(f"parsing time {_quoted(text)}: day out of range") from None
    return date.timestamp() - _offset(fields.get("Z07:00", "Z")) + float(f"0.{fraction or 0}")


def parse_rfc3339(text: str) -> int:
    """Parse an RFC 3339 time with a zone into nanoseconds since 1970, negative before 1970.

    Raises ValueError with the error text that Go prints.
    """
    fields = _read(text, [*DATE, *CLOCK, "Z07:00"])
    seconds, _, fraction = fields["05"].replace(",", ".").partition(".")
    numbers = [int(fields[piece]) for piece in ("2006", "01", "02", "15", "04")]
    try:
        date = datetime(*numbers, int(seconds), tzinfo=UTC)  # type: ignore[arg-type,misc]
    except ValueError:
        raise ValueError(f"parsing time {_quoted(text)}: day out of range") from None
    whole = (date - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) - _offset(fields["Z07:00"])
    return whole * 10**9 + int(fraction[:9].ljust(9, "0"))


def _is_zoned(text: str) -> bool:
    return bool(re.search("[zZ+]", text)) or text.count("-") == DASHES_WITH_ZONE


def _pieces(text: str, *, zoned: bool) -> list[str]:
    """Return the elements of the Go time layout that Docker guesses for the date ``text``, such as "2006", "-", "01".

    ``zoned`` says whether the date has a time zone. Docker guesses the layout from the dots, the letter T and the
    number of colons in the date.
    """
    pieces = list(DATE)
    if "." in text:
        pieces += [*CLOCK, ".999999999"]
    elif "T" in text:
        in_zone = zoned and not re.search("[zZ]", text) and ":" in text
        pieces += CLOCK[: 2 + 2 * min(text.count(":") - in_zone, 2)]
    return [*pieces, "Z07:00"] if zoned else pieces


def _read(text: str, pieces: list[str]) -> dict[str, str]:
    """Split a date by the elements ``pieces`` of its Go time layout; return the text of each element.

    A key of the result is an element as Go's layout has it, such as "2006" for the year. Raises ValueError with the
    error texts of Go's time.Parse.
    """
    fields: dict[str, str] = {}
    rest, fault = text, f"parsing time {_quoted(text)}"
    for piece in pieces:
        match = re.match(PIECES[piece], rest)
        if match is None:
            layout = "".join(pieces)
            raise ValueError(f'{fault} as "{layout}": cannot parse {_quoted(rest)} as "{piece}"')
        fields[piece], rest = match[0], rest[match.end() :]
        for name, start, low, high in LIMITS.get(piece, ()) if match[0] != "Z" else ():
            if not low <= int(match[0][start : start + 2]) <= high:
                raise ValueError(f"{fault}: {name} out of range")
    if rest:
        raise ValueError(f"{fault}: extra text: {_quoted(rest)}")
    return fields


def _offset(zone: str) -> int:
    """Return the offset from UTC in seconds of the time zone ``zone``, which is ``Z`` or ``±HH:MM``.

    Python's class timezone is not used, because Go's largest offset, +24:60, is too large for it.
    """
    if zone == "Z":
        return 0
    seconds = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
    return -seconds if zone[0] == "-" else seconds


def _quoted(text: str) -> str:
    r"""Quote ``text`` as Go's package time does; control characters and bytes beyond ASCII become ``\xNN``."""
    data = text.encode("utf-8", "surrogateescape")
    characters = (f"\\x{byte:02x}" if byte < 0x20 or byte >= 0x80 else chr(byte) for byte in data)
    return '"' + "".join(f"\\{c}" if c in '"\\' else c for c in characters) + '"'
