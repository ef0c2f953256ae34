"""Natural order, in which Docker lists names: runs of digits compare as numbers, so that n2 comes before n10."""

from __future__ import annotations

MOST_DIGITS = 40


def whole_number(text: str) -> int:
    """Read decimal digits with a sign or none; beyond ±10**40 the value is that bound.

    Because Python refuses to read over 4,300 digits, their callers would not refuse such a number in Docker's words.
    """
    digits = text.lstrip("+-").lstrip("0")
    value = int(digits or "0") if len(digits) <= MOST_DIGITS else 10**MOST_DIGITS
    return -value if text.startswith("-") else value
