"""Convert Go's times and durations to text (Go package time).

The module implements RFC 3339, layouts (``2006-01-02``) and the text of durations. It supports UTC and fixed offsets,
but no named time zones. A raw time is the list ``[nanoseconds, seconds since year 1, zone offset in seconds or
None for UTC]``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from cli.gotemplate.gotypes import Raw

MONTHS = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
]  # fmt: skip
DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
_NANO = 1_000_000_000
_LAYOUT = (
    "January", "Monday", "Jan", "Mon", "MST", "2006", "Z07:00:00", "Z070000", "Z07:00", "Z0700", "Z07", "-07:00:00",
    "-070000", "-07:00", "-0700", "-07", "002", "01", "02", "03", "04", "05", "06", "__2", "_2", "15", "PM", "pm", "1",
    "2", "3", "4", "5",
)  # fmt: skip
_FIRST_RUNES = frozenset(element[0] for element in _LAYOUT) | set(".,")


class Civil:
    """The calendar date and the time of day of a raw time, both in the time zone of the raw time."""

    def __init__(self, raw: Raw) -> None:
        self.nanosecond, seconds, offset = raw
        self.offset: int = offset or 0
        self.utc = offset is None
        days, rest = divmod(seconds + self.offset, 86400)
        self.days = days
        self.hour, rest = divmod(rest, 3600)
        self.minute, self.second = divmod(rest, 60)
        # Limit the date to the years 1 to 9999, because Python's date has no other years; RFC 3339 ends at 9999 too.
        day = date.fromordinal(min(max(days + 1, 1), date.max.toordinal()))
        self.year, self.month, self.day = day.year, day.month, day.day
        self.weekday = (days + 1) % 7
        self.year_day = day.timetuple().tm_yday


def parse_rfc3339(text: str) -> Raw:
    """Parse a time in RFC 3339 form, and return it as a raw time; raises ValueError if the text is invalid."""
    day, _, clock = text.partition("T")
    offset = None
    if clock.endswith("Z"):
        clock = clock[:-1]
    else:
        sign = 1 if clock[-6:-5] == "+" else -1
        offset = sign * (int(clock[-5:-3]) * 3600 + int(clock[-2:]) * 60)
        clock = clock[:-6]
    whole, _, fraction = clock.partition(".")
    hour, minute, second = (int(part) for part in whole.split(":"))
    days = date.fromisoformat(day).toordinal() - 1
    seconds = days * 86400 + hour * 3600 + minute * 60 + second - (offset or 0)
    return [int(fraction[:9].ljust(9, "0")) if fraction else 0, seconds, offset]


def _zone(civil: Civil, colon: str, seconds: bool = False) -> str:
    sign = "-" if civil.offset < 0 else "+"
    hours, rest = divmod(abs(civil.offset), 3600)
    text = f"{sign}{hours:02d}{colon}{rest // 60:02d}"
    return text + (f"{colon}{rest % 60:02d}" if seconds else "")


def _layout_element(layout: str, at: int) -> str:
    rune = layout[at]
    if rune in ".,":
        end = at + 1
        while end < len(layout) and layout[end] == layout[at + 1]:
            end += 1
        if end > at + 1 and layout[at + 1] in "09" and not layout[end : end + 1].isdecimal():
            return layout[at:end]
        return ""
    for element in _LAYOUT:
        if layout.startswith(element, at):
            follows = layout[at + len(element) : at + len(element) + 1]
            if element in ("Jan", "Mon") and follows.islower():
                continue
            return element
    return ""


def _zone_element(civil: Civil, element: str) -> str:
    if element.startswith("Z") and civil.offset == 0:
        return "Z"
    if len(element) == 3:
        return _zone(civil, "")[:3]
    return _zone(civil, ":" if ":" in element else "", len(element) in (7, 9))


def _fraction(civil: Civil, element: str) -> str:
    digits = f"{civil.nanosecond:09d}"[: len(element) - 1].ljust(len(element) - 1, "0")
    if element[1] == "9":
        digits = digits.rstrip("0")
    return element[0] + digits if digits else ""


def _formatters() -> dict[str, Callable[[Civil], str]]:
    twelve: Callable[[Civil], int] = lambda c: c.hour % 12 or 12  # noqa: E731
    return {
        "2006": lambda c: f"{c.year:04d}",
        "06": lambda c: f"{c.year % 100:02d}",
        "January": lambda c: MONTHS[c.month - 1],
        "Jan": lambda c: MONTHS[c.month - 1][:3],
        "01": lambda c: f"{c.month:02d}",
        "1": lambda c: str(c.month),
        "Monday": lambda c: DAYS[c.weekday],
        "Mon": lambda c: DAYS[c.weekday][:3],
        "02": lambda c: f"{c.day:02d}",
        "_2": lambda c: f"{c.day:2d}",
        "2": lambda c: str(c.day),
        "002": lambda c: f"{c.year_day:03d}",
        "__2": lambda c: f"{c.year_day:3d}",
        "15": lambda c: f"{c.hour:02d}",
        "03": lambda c: f"{twelve(c):02d}",
        "3": lambda c: str(twelve(c)),
        "04": lambda c: f"{c.minute:02d}",
        "4": lambda c: str(c.minute),
        "05": lambda c: f"{c.second:02d}",
        "5": lambda c: str(c.second),
        "PM": lambda c: "PM" if c.hour >= 12 else "AM",
        "pm": lambda c: "pm" if c.hour >= 12 else "am",
        "MST": lambda c: "UTC" if c.utc else _zone(c, ""),
    }


_FORMATTERS = _formatters()


def format_time(raw: Raw, layout: str) -> str:
    """Format a raw time with a Go layout, which shows how Mon Jan 2 15:04:05 MST 2006 would be written."""
    civil = Civil(raw)
    parts = []
    at = 0
    while at < len(layout):
        element = _layout_element(layout, at) if layout[at] in _FIRST_RUNES else ""
        if not element:
            parts.append(layout[at])
            at += 1
            continue
        at += len(element)
        if element[0] in ".,":
            parts.append(_fraction(civil, element))
        elif element in _FORMATTERS:
            parts.append(_FORMATTERS[element](civil))
        else:
            parts.append(_zone_element(civil, element))
    return "".join(parts)


def format_duration(nanoseconds: int) -> str:
    """Format a duration as Go does: ``1h2m3.5s``, ``1.5ms``, ``0s``."""
    size = abs(nanoseconds)
    sign = "-" if nanoseconds < 0 else ""
    for unit, limit in (("ns", 1000), ("µs", 1_000_000), ("ms", _NANO)):
        if 0 < size < limit:
            return sign + _decimal(size, limit // 1000) + unit
    minutes, rest = divmod(size, 60 * _NANO)
    text = _decimal(rest, _NANO) + "s"
    if minutes:
        text = f"{minutes % 60}m{text}"
    if minutes >= 60:
        text = f"{minutes // 60}h{text}"
    return sign + text


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    digits = str(rest).rjust(len(str(unit)) - 1, "0").rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)
