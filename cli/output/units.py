"""Durations and sizes in the words of Docker's tables ("About an hour", "1.25MB")."""

from __future__ import annotations

MINUTE, HOUR, DAY = 60, 3600, 86400
_LARGER = ((24 * 7 * 2, 24, "days"), (24 * 30 * 2, 24 * 7, "weeks"), (24 * 365 * 2, 24 * 30, "months"))
_SIZES = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")


def human_duration(seconds: float) -> str:
    """Approximate a span of time given in seconds."""
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
    """Approximate a number of bytes with decimal units, to ``precision`` significant digits."""
    unit = 0
    while size >= 1000 and unit < len(_SIZES) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.{precision}g}{_SIZES[unit]}"
