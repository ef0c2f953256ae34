"""Convert records to JSON and back. Records are msgspec Structs; msgspec converts them by their annotations.

A missing required field, or a value of a wrong type, raises `CodecError`. Documents of other versions of hawse can be
read: unknown fields are dropped, and missing optional fields get their defaults.

Fields with default values are not written if the Struct has ``omit_defaults=True``, because documents are then shorter
and faster to read. Therefore the default of a field must never change. If a new version needs another value, the new
version must write that value explicitly. This module does not depend on any particular record class.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import msgspec

from engine.errors import as_text

T = TypeVar("T")


class CodecError(ValueError):
    """A document does not match its record type; the message names the field."""


def encode(record: object) -> str:
    """Return a record as one line of JSON; raises TypeError for a value that JSON does not have."""
    try:
        return _ENCODER.encode(record).decode()
    except UnicodeEncodeError:
        plain = msgspec.to_builtins(record, enc_hook=_plain)
        return as_text(json.dumps(plain, ensure_ascii=False, separators=(",", ":")))


def decode(kind: type[T], document: str) -> T:
    """Convert a JSON document to an instance of the class ``kind``; raises `CodecError` if it cannot be converted."""
    hint: Any = kind
    try:
        record: T = _decoder(hint).decode(document)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise CodecError(f"{getattr(kind, '__name__', kind)}: {error}") from None
    return record


def prepare(*kinds: type) -> None:
    """Make the JSON decoders of the classes ``kinds`` in advance, so that the first call of `decode` is fast.

    A process that forks a child for each command calls this function before the fork.
    """
    for kind in kinds:
        _decoder(kind)


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _plain(value: Any) -> object:
    """Convert a mapping or sequence that msgspec does not know, such as MappingProxyType, into a dict or a list."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no place in a record")


_ENCODER = msgspec.json.Encoder(enc_hook=_plain)
