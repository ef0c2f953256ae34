"""Natural order: runs of digits compare as numbers, so that n2 comes before n10."""

from __future__ import annotations

import re

TOKEN = re.compile(rb"0*([0-9]*)")
NaturalKey = list[tuple[int, int, bytes, int]]


def natural_key(text: str) -> NaturalKey:
    """A sort key: digits come before other bytes; of equal numbers the one with fewer leading zeros comes first."""
    data, at, key = text.encode("utf-8", "surrogateescape"), 0, []
    while at < len(data):
        run = TOKEN.match(data, at)
        if run and run.end() > at:
            key.append((0, len(run[1]), run[1], run.end() - at))
            at = run.end()
        else:
            key.append((1, data[at], b"", 0))
            at += 1
    return key
