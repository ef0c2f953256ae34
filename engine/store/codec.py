"""Convert records to JSON and back, by the type hints of the dataclasses.

A missing required field, or a value of a wrong type, raises `CodecError`. Documents of other versions of hawse can be
read: unknown fields are dropped, and missing optional fields get their defaults.

Fields with default values are not written, because documents are then shorter and faster to read. Therefore the default
of a field must never change. If a new version needs another value, the new version must write that value explicitly.
This module does not depend on any particular record class.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache, lru_cache
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
_scan = json.JSONDecoder().raw_decode  # works as json.loads does, with fewer function calls
Decoder = Callable[[Any], Any]
LONG_CHARACTERS = 1 << 16
"""Minimum length of a document that `decode` caches. Few records have more than a thousand characters."""


class Decode(Protocol):
    """The type of a function that converts a JSON document to an instance of a dataclass, as `decode` does."""

    def __call__(self, kind: type[T], document: str, /) -> T:
        """Return the instance of ``kind`` that a JSON document describes."""


class CodecError(ValueError):
    """A document does not match its record type; the message names the field."""


def encode(record: object) -> str:
    """Return a dataclass instance as one line of JSON."""
    return as_text(json.dumps(record, default=_plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def as_text(words: str) -> str:
    """Replace invalid UTF-8 in a text from the command line by U+FFFD, as Docker's client does in its JSON."""
    return words if words.isascii() else words.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def decode(kind: type[T], document: str) -> T:
    """Return the instance of the dataclass ``kind`` that a JSON document describes; raises `CodecError`.

    Sequences become tuples. The results for the last long documents are cached, because a command reads the record of a
    container with thousands of ports several times.
    """
    hint: Any = kind
    record: T = _decode(kind, document) if len(document) < LONG_CHARACTERS else _decode_long(hint, document)
    return record


def _decode(kind: type[T], document: str) -> T:
    try:
        plain, end = _scan(document)
    except json.JSONDecodeError:
        plain, end = None, -1
    if end != len(document):
        plain = _loaded(kind, document)
    hint: Any = kind
    record: T = _decoder(hint)(plain)
    return record


@lru_cache(maxsize=4)
def _decode_long(kind: Any, document: str) -> Any:
    return _decode(kind, document)


def _loaded(kind: type, document: str) -> Any:
    """Parse a JSON document, which may have spaces before and after the value. Raises `CodecError` for invalid JSON."""
    try:
        return json.loads(document)
    except json.JSONDecodeError as error:
        raise CodecError(f"{kind.__name__}: {error}") from error


def _plain(value: Any) -> object:
    """Convert a dataclass, a mapping or a sequence into a dict or a list, which json.dumps supports.

    A dataclass becomes a dict of its fields. Raises TypeError for any other value.
    """
    kind: Any = type(value)
    read = _reader(kind)
    if read is not None:
        return read(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no place in a record")


def prepare(*kinds: type) -> None:
    """Make the functions that convert these dataclasses in advance, so that their first use is fast.

    A process that forks a child for each command calls this before the fork: for each dataclass, it saves 0.3 ms.
    """
    for kind in kinds:
        _reader(kind)
        _decoder(kind)


@cache
def _reader(kind: Any) -> Callable[[Any], dict[str, object]] | None:
    """Return a function that converts an instance of the dataclass ``kind`` into a dict of its fields.

    The function leaves out fields that have their default value. Returns None if ``kind`` is not a dataclass. The
    result is cached for each dataclass.
    """
    if not is_dataclass(kind):
        return None
    known = fields(kind)
    names, defaults = [field.name for field in known], [_default(field) for field in known]
    values = attrgetter(*names, names[0])  # repeat a name, because attrgetter returns a tuple only for several names
    if all(default is MISSING for default in defaults):
        return lambda value: dict(zip(names, values(value), strict=False))
    return lambda value: {
        name: item for name, item, default in zip(names, values(value), defaults, strict=False) if item != default
    }


def _default(field: Field[Any]) -> object:
    """Return the default of a dataclass field. Without a default, return MISSING, which is equal to no value."""
    return field.default_factory() if field.default_factory is not MISSING else field.default


@cache
def _decoder(hint: Any) -> Decoder:
    """Return the function that checks and converts a JSON value of the type ``hint``; cached for each type."""
    if is_dataclass(hint):
        return _record(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _optional(arguments)
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(_decoder(arguments[1]))
    if origin is tuple and Ellipsis not in arguments:
        return _fixed_tuple([_decoder(argument) for argument in arguments])
    if origin is not None and issubclass(origin, Sequence):
        return _sequence(_decoder(arguments[0]))
    return _scalar(hint)


def _record(kind: Any) -> Decoder:
    """Return the decoder for a dataclass with slots.

    The decoder sets the slots itself, because the constructor of a frozen dataclass calls object.__setattr__ for each
    field. This takes two thirds of the time for a container.
    """
    hints, slots = get_type_hints(kind), {field.name: kind.__dict__[field.name].__set__ for field in fields(kind)}
    known = {name: (put, hints[name], _decoder(hints[name])) for name, put in slots.items()}
    required = {field.name for field in fields(kind) if _is_required(field)}
    defaults = [(slots[field.name], field.default) for field in fields(kind) if field.default is not MISSING]
    factories = [(slots[f.name], f.default_factory) for f in fields(kind) if f.default_factory is not MISSING]
    new = object.__new__

    def convert(value: Any) -> Any:
        if not isinstance(value, dict):
            raise CodecError(f"{kind.__name__}: expected an object, found {type(value).__name__}")
        if not required <= value.keys():
            raise CodecError(f"{kind.__name__}: {min(required - value.keys())} is missing")
        record, name = new(kind), ""
        for put, default in defaults:
            put(record, default)
        for put, make in factories:
            put(record, make())
        try:
            for name, item in value.items():
                if name in known:
                    put, hint, decoder = known[name]
                    put(record, item if item.__class__ is hint else decoder(item))
        except CodecError as error:
            raise CodecError(f"{kind.__name__}.{name}: {error}") from None
        return record

    return convert


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _optional(arguments: tuple[Any, ...]) -> Decoder:
    """Return the decoder for ``X | None``.

    Raises TypeError for any other union, because a JSON value does not show which type of the union it has.
    """
    inner = [argument for argument in arguments if argument is not NoneType]
    if len(inner) != 1:
        raise TypeError(f"a record's field may be a type or None, not one of {arguments}")
    convert = _decoder(inner[0])
    return lambda value: None if value is None else convert(value)


def _mapping(convert: Decoder) -> Decoder:
    def mapping(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise CodecError(f"expected an object, found {type(value).__name__}")
        return {key: convert(item) for key, item in value.items()}

    return mapping


def _sequence(convert: Decoder) -> Decoder:
    def sequence(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise CodecError(f"expected a list, found {type(value).__name__}")
        return tuple(map(convert, value))

    return sequence


def _fixed_tuple(converts: Sequence[Decoder]) -> Decoder:
    def fixed(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) != len(converts):
            raise CodecError(f"expected a list of {len(converts)}, found {value!r}")
        return tuple(convert(item) for convert, item in zip(converts, value, strict=True))

    return fixed


def _scalar(kind: Any) -> Decoder:
    accepted = (int, float) if kind is float else (kind,)

    def scalar(value: Any) -> Any:
        if type(value) not in accepted:  # not isinstance, because isinstance would accept True as an int
            raise CodecError(f"expected {kind.__name__}, found {type(value).__name__}")
        return value

    return scalar


class DecodeCache:
    """A decoder for the store's documents.

    For an unchanged document, the decoder returns the same record as in the previous reading.

    The class is for a process that reads all records many times, such as the agent. Few records change between two
    readings. The cache keeps the documents of the last two readings, so it is about as large as the store.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[Any, str], Any] = {}
        self._now: dict[tuple[Any, str], Any] = {}

    def decode(self, kind: type[T], document: str) -> T:
        """Return the record of this document from the cache, or decode the document; raises `CodecError`."""
        key = (kind, document)
        record = self._now.get(key) or self._last.get(key) or decode(kind, document)
        self._now[key] = record
        typed: T = record
        return typed

    def turn(self) -> None:
        """End one reading of the store: remove from the cache the documents that this reading did not use."""
        self._last, self._now = self._now, {}
