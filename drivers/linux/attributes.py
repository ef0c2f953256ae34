"""Netlink attributes as bytes: put together, and taken apart (netlink(7)).

Knows lengths, padding and nesting, nothing of what an attribute means.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

HEADER = struct.Struct("=HH")
NESTED, KIND = 0x8000, 0x3FFF
"""The flag of an attribute that holds others, and the bits of its number."""


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute, padded."""
    length = HEADER.size + len(payload)
    return HEADER.pack(length, kind) + payload + bytes(-length % 4)


def nested(kind: int, *parts: bytes) -> bytes:
    """An attribute of attributes."""
    return attribute(kind | NESTED, b"".join(parts))


def text(kind: int, value: str) -> bytes:
    """An attribute of text, with the zero at its end."""
    return attribute(kind, value.encode() + b"\0")


def each(data: bytes, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """The attributes from ``start`` to the end: number and payload."""
    while start + HEADER.size <= len(data):
        length, kind = HEADER.unpack_from(data, start)
        if length < HEADER.size:
            break
        yield kind & KIND, data[start + HEADER.size : start + length]
        start += length + 3 & ~3


def read(data: bytes, start: int = 0) -> dict[int, bytes]:
    """The attributes from ``start`` to the end, by number; of several alike, the last."""
    return dict(each(data, start))


def read_text(value: bytes) -> str:
    """The text of an attribute, "" where there is none."""
    return value.rstrip(b"\0").decode(errors="surrogateescape")
