"""Sizes as people type them, read as Docker's go-units reads them."""

from __future__ import annotations

import re
from math import isinf

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)*) ?([kKmMgGtTpP])?[iI]?[bB]?")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_RANGE = 2**63  # of Go's int64


def parse_size(text: str, base: int) -> int:
    """Return the bytes of ``512m`` or ``1.5 GiB``, units being powers of ``base``; ValueError carries Go's text.

    A size beyond Go's integers is negative, as it is there.
    """
    found = _SIZE.fullmatch(text)
    if not found:
        raise ValueError(f"invalid size: '{text}'")
    try:
        number = float(found[1])
    except ValueError:  # two dots get past Docker's pattern, and then Go's number reader speaks
        raise ValueError(f'strconv.ParseFloat: parsing "{found[1]}": invalid syntax') from None
    if isinf(number):
        raise ValueError(f'strconv.ParseFloat: parsing "{found[1]}": value out of range')
    size = number * float(base) ** _POWERS[(found[2] or "").lower()]
    return int(size) if size < _RANGE else -_RANGE
