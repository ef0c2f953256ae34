"""Read the query parameters ``since`` and ``until``, which are times."""

from __future__ import annotations

from api.docker.errors import ApiError
from engine.golang.strconv import parse_int
from engine.golang.time import parse_rfc3339

_DIGITS = 9  # digits of a fraction of a second
_SECOND = 1_000_000_000  # nanoseconds in a second


def nanoseconds(text: str) -> int | None:
    """Return the time ``text`` in nanoseconds since 1970, or None for "".

    The text is "seconds[.nanoseconds]" or RFC 3339. Raises ApiError (500).
    """
    if not text:
        return None
    whole, point, fraction = text.partition(".")
    try:
        return parse_int(whole, base=10) * _SECOND + (_fraction(fraction) if point else 0)
    except ValueError as error:
        wrong = ApiError(500, str(error))  # Docker's status too
    try:
        return parse_rfc3339(text)
    except ValueError:
        raise wrong from None


def _fraction(digits: str) -> int:
    """Return the nanoseconds of a fraction of a second; a sign counts as a digit, as with Docker."""
    shift, number = _DIGITS - len(digits), parse_int(digits, base=10)
    return number * int(10**shift) if shift >= 0 else number // int(10**-shift)


def seconds(text: str) -> float | None:
    """Return the time ``text`` in seconds since 1970, or None for "" and "0".

    The forms of the text, and the error, are those of `nanoseconds`.
    """
    moment = None if text == "0" else nanoseconds(text)
    return None if moment is None else moment / _SECOND
