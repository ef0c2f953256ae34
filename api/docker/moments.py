"""Read the query parameters ``since`` and ``until``, which are times."""

from __future__ import annotations

from api.docker.errors import ApiError
from engine.golang.time import parse_rfc3339, unix_nanoseconds

_SECOND = 1_000_000_000  # nanoseconds in a second


def nanoseconds(text: str) -> int | None:
    """Return the time ``text`` in nanoseconds since 1970, or None for "".

    The text is Unix seconds in the form "seconds[.nanoseconds]", or RFC 3339. Raises ApiError (500) for any other text.
    """
    if not text:
        return None
    try:
        return unix_nanoseconds(text)
    except ValueError as error:
        wrong = ApiError(500, str(error))  # Docker also answers 500
    try:
        return parse_rfc3339(text)
    except ValueError:
        raise wrong from None


def seconds(text: str) -> float | None:
    """Return the time ``text`` in seconds since 1970, or None for "" and "0".

    The forms of the text, and the error, are those of `nanoseconds`.
    """
    moment = None if text == "0" else nanoseconds(text)
    return None if moment is None else moment / _SECOND
