"""Convert JSON documents to Go values, as encoding/json's Unmarshal does: into a struct, or into ``any``.

The module handles the spelling of numbers, nil and empty values, embedded structs and the capacity of slices.
"""

from __future__ import annotations

import json
from typing import Any

from cli.gotemplate.gotime import parse_rfc3339
from cli.gotemplate.gotypes import ANY, BOOL, STRING, Method, Raw, Slice, Type, Value, basic, map_of, slice_of, string
from cli.gotemplate.text import encode

JSON_NUMBER = basic("string", "json.Number", {"String": Method(string)})
_ANY_SLICE = slice_of(ANY)
_ANY_MAP = map_of(STRING, ANY)


class JsonNumber(str):
    """A JSON number as text, in its original spelling."""

    __slots__ = ()


def load(text: str) -> Any:
    """Parse JSON text; raises ValueError if it is no valid JSON.

    Each number becomes a JsonNumber, so that its spelling is kept.
    """
    return json.loads(text, parse_int=JsonNumber, parse_float=JsonNumber)


def _grown(items: list[Raw]) -> Slice:
    """Return a Go slice of ``items`` with the capacity that Go's append would give it.

    The template function ``slice`` can reach elements up to the capacity. For up to 512 elements, the capacity is the
    length rounded up to a power of two. In hawse, the capacity of a longer slice is its length.
    """
    size = len(items)
    return Slice(items, (1 << (size - 1).bit_length()) - size if 0 < size <= 512 else 0)


def untyped(document: Any) -> Value | None:
    """Return a JSON document as a value of Go's type ``any``; numbers become json.Number, null becomes None."""
    if document is None:
        return None
    if isinstance(document, bool):
        return Value(BOOL, document)
    if isinstance(document, JsonNumber | int | float):
        return Value(JSON_NUMBER, encode(str(document)))
    if isinstance(document, str):
        return string(encode(document))
    if isinstance(document, dict):
        return Value(_ANY_MAP, {encode(key): untyped(item) for key, item in document.items()})
    return Value(_ANY_SLICE, _grown([untyped(item) for item in document]))


def typed(type_: Type, document: Any) -> Raw:
    """Return a JSON document as the raw value (the Python form) of the Go type ``type_``.

    null gives the zero value of the type. Raises ValueError, TypeError or AttributeError if the document does not fit
    the type.
    """
    if document is None:
        return type_.zero()
    kind = type_.kind
    if type_.name == "time.Time":
        return parse_rfc3339(document)
    if kind == "ptr":
        return typed(type_.element(), document)
    if kind == "struct":
        return _struct(type_, document)
    if kind == "map":
        elem = type_.element()
        return {encode(key): typed(elem, item) for key, item in document.items()}
    if kind in ("slice", "array"):
        items = [typed(type_.element(), item) for item in _listed(type_, document)]
        return _grown(items) if kind == "slice" else items
    if kind == "string":
        return encode(_checked(document, str))
    return _checked(document, bool) if kind == "bool" else int(document)


def _listed(type_: Type, document: Any) -> list[Any]:
    """Check that a JSON document is an array, and return it as a list; raises TypeError.

    If ``type_`` is strslice.StrSlice, a single string becomes a list with one element, as in Go. Docker accepts a
    single string as the command of a container.
    """
    if isinstance(document, str) and type_.name == "strslice.StrSlice":
        return [document]
    return list(_checked(document, list | tuple))


def _checked(document: Any, expected: Any) -> Any:
    if not isinstance(document, expected) or isinstance(document, JsonNumber):
        raise TypeError(f"unexpected {type(document).__name__} in document")
    return document


def _struct(type_: Type, document: Any) -> list[Raw]:
    raw = []
    for field in type_.fields:
        if not field.embedded:
            raw.append(typed(field.type, _member(document, field.key)))
        elif field.type.kind != "ptr":
            raw.append(_struct(field.type, document))
        else:
            inner = field.type.element()
            present = any(_member(document, f.key) is not None for f in inner.fields)
            raw.append(_struct(inner, document) if present else None)
    return raw


def _member(document: Any, key: str) -> Any:
    """Return the member ``key`` of a JSON object, or None if it is missing.

    If the exact key is missing, upper and lower case are ignored, as in encoding/json.
    """
    if key in document:
        return document[key]
    lower = key.lower()
    return next((item for name, item in document.items() if name.lower() == lower), None)
