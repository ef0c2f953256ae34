"""Encoding and decoding of netlink attributes (netlink(7)).

This module knows lengths, padding and nesting, but no meanings of attributes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

HEADER = struct.Struct("=HH")
NESTED, KIND = 0x8000, 0x3FFF
"""The flag of an attribute that contains attributes, and the mask of the attribute's number."""


def attribute(kind: int, payload: bytes) -> bytes:
    """Return one attribute, padded to four bytes."""
    length = HEADER.size + len(payload)
    return HEADER.pack(length, kind) + payload + bytes(-length % 4)


def nested(kind: int, *parts: bytes) -> bytes:
    """Return an attribute that contains other attributes."""
    return attribute(kind | NESTED, b"".join(parts))


def text(kind: int, value: str) -> bytes:
    """Return an attribute of text, with a zero byte at its end."""
    return attribute(kind, value.encode() + b"\0")


def each(data: bytes, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield number and payload of each attribute from ``start`` to the end."""
    while start + HEADER.size <= len(data):
        length, kind = HEADER.unpack_from(data, start)
        if length < HEADER.size:
            break
        yield kind & KIND, data[start + HEADER.size : start + length]
        start += length + 3 & ~3


def read(data: bytes, start: int = 0) -> dict[int, bytes]:
    """Return the attributes from ``start`` to the end, by number; a later duplicate replaces an earlier one."""
    return dict(each(data, start))


def read_text(value: bytes) -> str:
    """Return the text of an attribute, or "" if ``value`` is empty."""
    return value.rstrip(b"\0").decode(errors="surrogateescape")
