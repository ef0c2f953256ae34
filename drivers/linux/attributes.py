"""Encoding and decoding of netlink attributes (netlink(7)).

This module knows lengths, padding and nesting of attributes. This module does not know the meanings of attributes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

HEADER = struct.Struct("=HH")
NESTED, KIND = 0x8000, 0x3FFF
"""Two numbers in an attribute's type field: the flag for an attribute that contains other attributes, and the bit mask
of the attribute number.
"""


def attribute(kind: int, payload: bytes) -> bytes:
    """Return one netlink attribute with the number ``kind``, padded to a multiple of four bytes."""
    length = HEADER.size + len(payload)
    return HEADER.pack(length, kind) + payload + bytes(-length % 4)


def nested(kind: int, *parts: bytes) -> bytes:
    """Return a netlink attribute with the number ``kind`` that contains other attributes."""
    return attribute(kind | NESTED, b"".join(parts))


def text(kind: int, value: str) -> bytes:
    """Return a netlink attribute with the number ``kind`` that holds a string and a zero byte at its end."""
    return attribute(kind, value.encode() + b"\0")


def each(data: bytes, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield number and payload of each attribute in ``data`` from offset ``start`` to the end."""
    while start + HEADER.size <= len(data):
        length, kind = HEADER.unpack_from(data, start)
        if length < HEADER.size:
            break
        yield kind & KIND, data[start + HEADER.size : start + length]
        start += length + 3 & ~3


def read(data: bytes, start: int = 0) -> dict[int, bytes]:
    """Return the attributes in ``data`` from offset ``start`` to the end, by number.

    If a number occurs twice, the later attribute is returned.
    """
    return dict(each(data, start))


def read_text(value: bytes) -> str:
    """Return the string that an attribute holds, or "" if ``value`` is empty."""
    return value.rstrip(b"\0").decode(errors="surrogateescape")
