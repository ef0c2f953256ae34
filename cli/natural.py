"""Natural order: runs of digits compare as numbers, so that n2 comes before n10."""

from __future__ import annotations

import re

DIGITS = re.compile(rb"([0-9]+)")
NaturalKey = list[tuple[int, int, bytes, int] | tuple[int, bytes]]


def natural_key(text: str) -> NaturalKey:
    """A sort key: digits come before other bytes; of equal numbers the one with fewer leading zeros comes first."""
    key: NaturalKey = []
    number = True
    for part in DIGITS.split(text.encode("utf-8", "surrogateescape")):
        number = not number
        if number:
            value = part.lstrip(b"0")
            key.append((0, len(value), value, len(part)))
        elif part:
            key.append((1, part))
    return key
