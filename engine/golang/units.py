"""Format and parse durations and sizes as Docker's package go-units does ("About an hour", "1.25MB")."""

from __future__ import annotations

import re
from math import isinf

MINUTE, HOUR = 60, 3600  # in seconds
# Each item is (upper limit in hours, hours in one unit, name of the unit).
_LARGER = ((24 * 7 * 2, 24, "days"), (24 * 30 * 2, 24 * 7, "weeks"), (24 * 365 * 2, 24 * 30, "months"))
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)*) ?([kKmMgGtTpP])?[iI]?[bB]?")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_RANGE = 2**63  # a size in bytes must fit into Go's int64: -_RANGE to _RANGE - 1
_BINARY_SIZES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")
_SIZES = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")


def human_duration(seconds: float) -> str:
    """Return a duration in seconds as a rough text such as "About an hour"."""
    if seconds < MINUTE:
        whole = int(seconds)
        return "Less than a second" if whole < 1 else "1 second" if whole == 1 else f"{whole} seconds"
    if seconds < HOUR:
        minutes = int(seconds / MINUTE)
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    hours = int(seconds / HOUR + 0.5)
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    for below, unit, name in _LARGER:
        if hours < below:
            return f"{hours // unit} {name}"
    return f"{int(seconds / HOUR) // 24 // 365} years"


def human_size(size: float, precision: int = 4) -> str:
    """Return a number of bytes as text with a decimal unit ("1.25MB"), rounded to ``precision`` significant digits."""
    unit = 0
    while size >= 1000 and unit < len(_SIZES) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.{precision}g}{_SIZES[unit]}"


def binary_size(size: float) -> str:
    """Return a number of bytes as text with a binary unit ("1.25MiB"), rounded to four significant digits."""
    unit = 0
    while size >= 1024 and unit < len(_BINARY_SIZES) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.4g}{_BINARY_SIZES[unit]}"


def parse_size(text: str, base: int) -> int:
    """Parse a size such as ``512m`` or ``1.5 GiB`` into bytes; ``base`` is the factor between two units (1000 or 1024).

    Raises ValueError with the error text that Go prints. A size beyond Go's int64 becomes negative, as in Go.
    """
    match = _SIZE.fullmatch(text)
    if not match:
        raise ValueError(f"invalid size: '{text}'")
    try:
        number = float(match[1])
    except ValueError:  # Docker's pattern accepts a number with two dots, but Go's number parser refuses it
        raise ValueError(f'strconv.ParseFloat: parsing "{match[1]}": invalid syntax') from None
    if isinf(number):
        raise ValueError(f'strconv.ParseFloat: parsing "{match[1]}": value out of range')
    size = number * float(base) ** _POWERS[(match[2] or "").lower()]
    return int(size) if size < _RANGE else -_RANGE
