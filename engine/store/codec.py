"""Records to JSON and back, by their type hints alone.

Strict about what it knows: a missing required field or a value of another type is a `CodecError`. Tolerant where
versions differ: a field this version does not know is dropped, an optional one the document lacks takes its default.
That is also how defaults are written: not at all, for most of a record's fields have theirs, and reading takes as long
as the document. So a default is for good; what a new version wants otherwise, it has to say. Knows nothing of any
record in particular.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
_scan = json.JSONDecoder().raw_decode  # json.loads without the calls around it
Decoder = Callable[[Any], Any]


class Decode(Protocol):
    """What reads an instance of a dataclass from its document, as `decode` does."""

    def __call__(self, kind: type[T], document: str, /) -> T:
        """Read an instance of ``kind``."""


class CodecError(ValueError):
    """A document does not describe the record it should; the message names the field."""


def encode(record: object) -> str:
    """Write a dataclass instance as one line of JSON."""
    return as_text(json.dumps(record, default=_plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def as_text(words: str) -> str:
    """Put U+FFFD for bytes of a command line that are not UTF-8, as Docker's client does in the JSON it sends."""
    return words if words.isascii() else words.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def decode(kind: type[T], document: str) -> T:
    """Read an instance of the dataclass ``kind``; sequences come back as tuples. Raises `CodecError`."""
    try:
        plain, end = _scan(document)
    except json.JSONDecodeError:
        plain, end = None, -1
    if end != len(document):
        plain = _loaded(kind, document)
    hint: Any = kind
    record: T = _decoder(hint)(plain)
    return record


def _loaded(kind: type, document: str) -> Any:
    """Read JSON with spaces around it, or say what is wrong with it."""
    try:
        return json.loads(document)
    except json.JSONDecodeError as error:
        raise CodecError(f"{kind.__name__}: {error}") from error


def _plain(value: Any) -> object:
    """Give json what it does not know: a dataclass as the dict of its fields, any mapping as a dict."""
    kind: Any = type(value)
    read = _reader(kind)
    if read is not None:
        return read(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no place in a record")


@cache
def _reader(kind: Any) -> Callable[[Any], dict[str, object]] | None:
    """Build, once a dataclass, the function that gives an instance's fields, but those that have their defaults.

    None for what is no dataclass.
    """
    if not is_dataclass(kind):
        return None
    known = fields(kind)
    names, defaults = [field.name for field in known], [_default(field) for field in known]
    values = attrgetter(*names, names[0])  # given one name more, it gives a tuple of a single field too
    if all(default is MISSING for default in defaults):
        return lambda value: dict(zip(names, values(value), strict=False))
    return lambda value: {
        name: item for name, item, default in zip(names, values(value), defaults, strict=False) if item != default
    }


def _default(field: Field[Any]) -> object:
    """A field's default; what equals nothing, where it has none."""
    return field.default_factory() if field.default_factory is not MISSING else field.default


@cache
def _decoder(hint: Any) -> Decoder:
    """Build, once a type, the function that checks and converts a JSON value of that type."""
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
    hints = get_type_hints(kind)
    known = {field.name: _decoder(hints[field.name]) for field in fields(kind)}
    required = {field.name for field in fields(kind) if _is_required(field)}
    exact = {name: hint for name, hint in hints.items() if hint in (str, bool, int)}
    """Most fields, which therefore are checked here and not by a call each."""

    def convert(value: Any) -> Any:
        if not isinstance(value, dict):
            raise CodecError(f"{kind.__name__}: expected an object, found {type(value).__name__}")
        if not required <= value.keys():
            raise CodecError(f"{kind.__name__}: {min(required - value.keys())} is missing")
        arguments, name = {}, ""
        try:
            for name, item in value.items():
                if type(item) is exact.get(name):
                    arguments[name] = item
                elif name in known:
                    arguments[name] = known[name](item)
        except CodecError as error:
            raise CodecError(f"{kind.__name__}.{name}: {error}") from None
        return kind(**arguments)

    return convert


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _optional(arguments: tuple[Any, ...]) -> Decoder:
    """Convert ``X | None``; other unions are not told apart in JSON."""
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
        if type(value) not in accepted:  # not isinstance: True is no int here
            raise CodecError(f"expected {kind.__name__}, found {type(value).__name__}")
        return value

    return scalar


class DecodeCache:
    """Decodes for a store, and returns the same record for a document that the last reading had.

    It is for a process that reads all records again and again, such as the agent: of a thousand, one or two have
    changed. It holds the documents of two readings, so its size is that of the store.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[Any, str], Any] = {}
        self._now: dict[tuple[Any, str], Any] = {}

    def decode(self, kind: type[T], document: str) -> T:
        """Give the record that was made of this document before, else a new one; raises `CodecError`."""
        key = (kind, document)
        record = self._now.get(key) or self._last.get(key) or decode(kind, document)
        self._now[key] = record
        found: T = record
        return found

    def turn(self) -> None:
        """End a reading: what it has not come across is forgotten."""
        self._last, self._now = self._now, {}
