"""Natural order, in which Docker lists names: runs of digits compare as numbers, so that n2 comes before n10."""

from __future__ import annotations

import re

DIGITS = re.compile(rb"[0-9]+")


def natural_key(text: str) -> bytes:
    """A sort key: digits come before other bytes; of equal numbers the one with fewer leading zeros comes first.

    Bytes, so that a database, too, can keep things in this order. A number begins with a mark that sorts before all
    else: two NULs, where a NUL of the text is followed by FF. Its lengths say when it is greater and when it is longer.
    """
    return DIGITS.sub(_number, text.encode("utf-8", "surrogateescape").replace(b"\0", b"\0\xff"))


def _number(digits: re.Match[bytes]) -> bytes:
    value = digits[0].lstrip(b"0")
    return b"\0\0%b%b%b" % (len(value).to_bytes(4), value, len(digits[0]).to_bytes(4))
