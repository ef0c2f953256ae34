"""Convert times to and from the format that Docker prints: RFC 3339 in UTC, as Go's RFC3339Nano.

The fraction of a second has up to nine digits and no trailing zeros.
"""

from __future__ import annotations

import time
from datetime import datetime

NEVER = "0001-01-01T00:00:00Z"


def now() -> str:
    """Return the present time as an RFC 3339 text in UTC, exact to a nanosecond."""
    return from_nanoseconds(time.time_ns())


def from_seconds(seconds: float) -> str:
    """Convert Unix seconds to an RFC 3339 text; 0 becomes `NEVER` (Go's zero time)."""
    return from_nanoseconds(int(seconds * 1_000_000_000)) if seconds else NEVER


def from_nanoseconds(nanoseconds: int) -> str:
    """Convert Unix nanoseconds to an RFC 3339 text."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    fraction = f".{rest:09d}".rstrip("0").rstrip(".")
    moment = time.gmtime(seconds)
    return f"{moment.tm_year:04}" + time.strftime("-%m-%dT%H:%M:%S", moment) + fraction + "Z"


def to_seconds(text: str) -> float:
    """Convert an RFC 3339 text to Unix seconds, exact to a microsecond; `NEVER` (Go's zero time) becomes 0.0."""
    return 0.0 if text == NEVER else datetime.fromisoformat(text).timestamp()
