"""Natural order, in which Docker lists names: runs of digits compare as numbers, so that n2 comes before n10."""

from __future__ import annotations

import re

DIGITS = re.compile(rb"[0-9]+")
MOST_DIGITS = 40


def natural_key(text: str) -> bytes:
    """A sort key: digits come before other bytes; of equal numbers the one with fewer leading zeros comes first.

    Bytes, so that a database, too, can keep things in this order. A number begins with a mark that sorts before all
    else: two NULs, where a NUL of the text is followed by FF. Its lengths say when it is greater and when it is longer.
    """
    return DIGITS.sub(_number, text.encode("utf-8", "surrogateescape").replace(b"\0", b"\0\xff"))


def _number(digits: re.Match[bytes]) -> bytes:
    value = digits[0].lstrip(b"0")
    return b"\0\0%b%b%b" % (len(value).to_bytes(4), value, len(digits[0]).to_bytes(4))


def whole_number(text: str) -> int:
    """Read decimal digits with a sign or none; beyond ±10**40 the value is that bound.

    Because Python refuses to read over 4,300 digits, their callers would not refuse such a number in Docker's words.
    """
    digits = text.lstrip("+-").lstrip("0")
    value = int(digits or "0") if len(digits) <= MOST_DIGITS else 10**MOST_DIGITS
    return -value if text.startswith("-") else value
