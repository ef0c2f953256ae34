"""The Go types time.Time and time.Duration for template values, with the methods that templates can call.

gotime.py formats the times.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date

from cli.gotemplate.gotime import DAYS, MONTHS, Civil, format_duration, format_time
from cli.gotemplate.gotypes import (
    FLOAT64,
    INT,
    INT64,
    STRING,
    UINT8,
    UINT64,
    Method,
    Raw,
    Slice,
    StructField,
    Type,
    Value,
    basic,
    boolean,
    integer,
    pointer_to,
    slice_of,
    string,
)

_NANO = 1_000_000_000
_UNIX_TO_YEAR_ONE = 62135596800


def _text(write: Callable[[Raw], str]) -> Method:
    return Method(lambda raw: string(write(raw).encode()))


def _number(type_: Type, read: Callable[[Raw], float]) -> Method:
    return Method(lambda raw: Value(type_, read(raw)))


def _bytes(text: str) -> Value:
    return Value(_BYTES, Slice(list(text.encode())))


def _go_string(raw: Raw) -> str:
    c = Civil(raw)
    return (
        f"time.Date({c.year}, time.{MONTHS[c.month - 1]}, {c.day}, {c.hour}, {c.minute}, {c.second}, {c.nanosecond}, "
        + ("time.UTC)" if c.utc else 'time.Location(""))')
    )


def _unix(raw: Raw) -> int:
    return int(raw[1]) - _UNIX_TO_YEAR_ONE


def _name_of(names: list[str], first: int) -> dict[str, Method]:
    return {"String": _text(lambda raw: names[raw - first])}


_RFC3339_NANO = "2006-01-02T15:04:05.999999999Z07:00"
_STRING_LAYOUT = "2006-01-02 15:04:05.999999999 -0700 MST"
_TWO_RESULTS = "invalid function signature for {}: second return value should be error; is {}"
_MANY_RESULTS = "function {} has {} return values; should be 1 or 2"
_BYTES = slice_of(UINT8)

_ZONE = Type("struct", "time.zone")
LOCATION = Type("struct", "time.Location")
LOCATION.fields = (
    StructField("name", STRING, ""),
    StructField("zone", slice_of(_ZONE), ""),
    StructField("tx", slice_of(Type("struct", "time.zoneTrans")), ""),
    StructField("extend", STRING, ""),
    StructField("cacheStart", INT64, ""),
    StructField("cacheEnd", INT64, ""),
    StructField("cacheZone", pointer_to(_ZONE), ""),
)
LOCATION.pointer_methods = {"String": Method(lambda raw: string(raw[0]))}
_LOCATION_POINTER = pointer_to(LOCATION)
_UTC, _OFFSET = ([name, *LOCATION.zero()[1:]] for name in (b"UTC", b""))
MONTH = basic("int", "time.Month", _name_of(MONTHS, 1))
WEEKDAY = basic("int", "time.Weekday", _name_of(DAYS, 0))
DURATION = basic(
    "int64",
    "time.Duration",
    {
        "String": _text(format_duration),
        "Hours": _number(FLOAT64, lambda raw: raw / (3600 * _NANO)),
        "Minutes": _number(FLOAT64, lambda raw: raw / (60 * _NANO)),
        "Seconds": _number(FLOAT64, lambda raw: raw / _NANO),
        "Milliseconds": _number(INT64, lambda raw: int(raw / 1_000_000)),
        "Microseconds": _number(INT64, lambda raw: int(raw / 1000)),
        "Nanoseconds": _number(INT64, int),
    },
)
TIME = Type("struct", "time.Time")
TIME.fields = (
    StructField("wall", UINT64, ""),
    StructField("ext", INT64, ""),
    StructField("loc", _LOCATION_POINTER, ""),
)


def _instant(raw: Raw) -> int:
    return int(raw[1]) * _NANO + int(raw[0])


def _to_nearest(instant: int, unit: int) -> int:
    """Return the signed distance from ``instant`` to the nearest multiple of ``unit``; all three are in nanoseconds.

    ``instant`` counts from the start of year 1. An instant halfway between two multiples is rounded up. If ``unit`` is
    not positive, 0 is returned.
    """
    if unit <= 0:
        return 0
    rest = instant % unit
    return -rest if rest + rest < unit else unit - rest


def _shifted(raw: Raw, nanoseconds: int) -> Value:
    seconds, rest = divmod(_instant(raw) + nanoseconds, _NANO)
    return Value(TIME, [rest, seconds, raw[2]])


def _add_date(raw: Raw, years: int, months: int, days: int) -> Value:
    civil = Civil(raw)
    year, month = divmod(civil.year * 12 + civil.month - 1 + years * 12 + months, 12)
    start = date(min(max(year, 1), 9999), month + 1, 1).toordinal() - 1
    moved = start + civil.day - 1 + days - civil.days
    return Value(TIME, [raw[0], raw[1] + moved * 86400, raw[2]])


TIME.methods = {
    "String": _text(lambda raw: format_time(raw, _STRING_LAYOUT)),
    "GoString": _text(_go_string),
    "Format": Method(
        lambda raw, layout: string(format_time(raw, layout.decode("utf-8", "replace")).encode()), (STRING,)
    ),
    "MarshalJSON": Method(lambda raw: _bytes(f'"{format_time(raw, _RFC3339_NANO)}"')),
    "MarshalText": Method(lambda raw: _bytes(format_time(raw, _RFC3339_NANO))),
    "Year": _number(INT, lambda raw: Civil(raw).year),
    "Month": _number(MONTH, lambda raw: Civil(raw).month),
    "Day": _number(INT, lambda raw: Civil(raw).day),
    "Hour": _number(INT, lambda raw: Civil(raw).hour),
    "Minute": _number(INT, lambda raw: Civil(raw).minute),
    "Second": _number(INT, lambda raw: Civil(raw).second),
    "Nanosecond": _number(INT, lambda raw: int(raw[0])),
    "Weekday": _number(WEEKDAY, lambda raw: Civil(raw).weekday),
    "YearDay": _number(INT, lambda raw: Civil(raw).year_day),
    "Unix": _number(INT64, _unix),
    "UnixMilli": _number(INT64, lambda raw: _unix(raw) * 1000 + raw[0] // 1_000_000),
    "UnixMicro": _number(INT64, lambda raw: _unix(raw) * 1_000_000 + raw[0] // 1000),
    "UnixNano": _number(INT64, lambda raw: (_unix(raw) * _NANO + raw[0] + 2**63) % 2**64 - 2**63),
    "IsZero": Method(lambda raw: boolean(raw[0] == 0 and raw[1] == 0)),
    "IsDST": Method(lambda raw: boolean(False)),
    "UTC": Method(lambda raw: Value(TIME, [raw[0], raw[1], None])),
    "Local": Method(lambda raw: Value(TIME, [raw[0], raw[1], time.localtime(_unix(raw)).tm_gmtoff or None])),
    "Location": Method(lambda raw: Value(_LOCATION_POINTER, _UTC if raw[2] is None else _OFFSET)),
    "Truncate": Method(lambda raw, unit: _shifted(raw, -(_instant(raw) % unit) if unit > 0 else 0), (DURATION,)),
    "Round": Method(lambda raw, unit: _shifted(raw, _to_nearest(_instant(raw), unit)), (DURATION,)),
    "AddDate": Method(_add_date, (INT, INT, INT)),
    "Add": Method(_shifted, (DURATION,)),
    "Sub": Method(lambda raw, other: Value(DURATION, _instant(raw) - _instant(other)), (TIME,)),
    "Before": Method(lambda raw, other: boolean(_instant(raw) < _instant(other)), (TIME,)),
    "After": Method(lambda raw, other: boolean(_instant(raw) > _instant(other)), (TIME,)),
    "Equal": Method(lambda raw, other: boolean(_instant(raw) == _instant(other)), (TIME,)),
    "Compare": Method(
        lambda raw, other: integer((_instant(raw) > _instant(other)) - (_instant(raw) < _instant(other))), (TIME,)
    ),
    "Date": Method(lambda raw: None, fault=_MANY_RESULTS.format("Date", 3)),
    "Clock": Method(lambda raw: None, fault=_MANY_RESULTS.format("Clock", 3)),
    "ISOWeek": Method(lambda raw: None, fault=_TWO_RESULTS.format("ISOWeek", "int")),
    "Zone": Method(lambda raw: None, fault=_TWO_RESULTS.format("Zone", "int")),
    "ZoneBounds": Method(lambda raw: None, fault=_TWO_RESULTS.format("ZoneBounds", "time.Time")),
}
