"""Go durations with Go's errors, and the moments of ``--since`` and ``--until``."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal

from engine.golang.quote import quote
from engine.golang.time import moment

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PART = re.compile(r"([0-9]*)(\.[0-9]*)?([^0-9.]*)")
_LIMIT = 1 << 63


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
    return moment(text, now)
