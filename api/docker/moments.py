"""Read the times of queries: ``since`` and ``until``."""

from __future__ import annotations

from api.docker.errors import bad_request
from engine.golang.time import parse_rfc3339

_DIGITS = 9  # of a fraction of a second
_SECOND = 1_000_000_000  # nanoseconds


def nanoseconds(text: str) -> int | None:
    """Return a time of a query in nanoseconds since 1970, or None for "" and "0".

    The text is "seconds[.nanoseconds]" or RFC 3339. Raises ApiError (400).
    """
    if text in ("", "0"):
        return None
    seconds, _, fraction = text.partition(".")
    if text.isascii() and seconds.removeprefix("-").isdigit() and (fraction or "0").isdigit():
        return int(seconds[:18]) * _SECOND + int(fraction[:_DIGITS].ljust(_DIGITS, "0"))
    try:
        return parse_rfc3339(text)
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def seconds(text: str) -> float | None:
    """Return a time of a query in Unix seconds, as `nanoseconds` does."""
    moment = nanoseconds(text)
    return None if moment is None else moment / _SECOND
