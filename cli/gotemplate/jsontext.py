"""Write Go values as encoding/json does, and change the layout of JSON text without changing its tokens.

The module implements struct tags, omitempty, embedding, key order and string escapes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from cli.gotemplate.gotypes import Raw, StructField, Type, Value
from cli.gotemplate.numberfmt import format_float
from cli.gotemplate.text import decode, is_invalid

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_SEPARATORS = "\u2028\u2029"
_PLAIN = re.compile(r"[ !#-%'-;=?-\[\]-~]*")
"""Matches text of printable ASCII without characters that are special in JSON or HTML: quotes, backslashes, ``&<>``."""


class UnsupportedValue(Exception):
    """Raised when a value cannot be written in JSON."""


def quote_json(text: str, html: bool = False) -> str:
    """Return a text as a JSON string.

    With ``html``, the characters that are special in HTML are escaped too.
    """
    if _PLAIN.fullmatch(text):
        return f'"{text}"'
    return '"' + "".join(_escape(rune, html) for rune in text) + '"'


def _escape(rune: str, html: bool) -> str:
    if rune in _ESCAPES:
        return _ESCAPES[rune]
    if is_invalid(rune):
        return "\\ufffd"
    if rune < " " or rune in _SEPARATORS or (html and rune in "<>&"):
        return f"\\u{ord(rune):04x}"
    return rune


def marshal(value: Value | None) -> str:
    """Return the JSON text of a value; None gives ``null``.

    Raises UnsupportedValue if JSON cannot represent the value.
    """
    return "null" if value is None else _marshal(value.type, value.raw)


def _marshal(type_: Type, raw: Raw) -> str:
    kind = type_.kind
    method = type_.methods.get("MarshalJSON") if kind != "ptr" else None
    if method is not None:
        text = method.call(raw)
        return "" if text is None else bytes(text.raw.items).decode()
    if kind == "string":
        return decode(raw) if type_.name == "json.Number" else quote_json(decode(raw))
    if kind == "struct":
        members = [f"{quote_json(f.key)}:{_marshal(f.type, item)}" for f, item in _members(type_, raw)]
        return "{" + ",".join(members) + "}"
    if raw is None:
        return "null"
    if kind == "bool":
        return "true" if raw else "false"
    if kind == "ptr":
        return _marshal(type_.element(), raw)
    if kind == "interface":
        return _marshal(raw.type, raw.raw)
    if kind == "map":
        elem = type_.element()
        return "{" + ",".join([f"{quote_json(decode(k))}:{_marshal(elem, raw[k])}" for k in sorted(raw)]) + "}"
    if kind in ("slice", "array"):
        elem = type_.element()
        return "[" + ",".join([_marshal(elem, item) for item in (raw.items if kind == "slice" else raw)]) + "]"
    return _marshal_other(type_, raw)


def _marshal_other(type_: Type, raw: Raw) -> str:
    kind = type_.kind
    if kind == "float64":
        return _marshal_float(raw)
    if kind == "opaque":
        text: str = raw.marshal_json()
        return text
    if kind == "complex128":
        raise UnsupportedValue(f"json: unsupported type: {type_}")
    return str(raw)


def _marshal_float(value: float) -> str:
    if not math.isfinite(value):
        raise UnsupportedValue(f"json: unsupported value: {value}")
    size = abs(value)
    if value and (size < 1e-6 or size >= 1e21):
        text = format_float(value, "e")
        if text[-4:-1] == "e-0":
            text = text[:-2] + text[-1]
    else:
        text = format_float(value, "f")
    return text.removeprefix("+")


def _members(type_: Type, raw: Raw) -> Iterator[tuple[StructField, Raw]]:
    """Yield each member of a struct's JSON object, with the member's raw value.

    The members of an embedded struct are yielded in place of the embedded struct itself.
    """
    for field, item in zip(type_.fields, raw, strict=True):
        if not field.embedded:
            if field.exported and not (field.omit_empty and _is_empty(field.type, item)):
                yield field, item
        elif field.type.kind != "ptr":
            yield from _members(field.type, item)
        elif item is not None:
            yield from _members(field.type.element(), item)


def _is_empty(type_: Type, raw: Raw) -> bool:
    if type_.kind == "struct" or (type_.kind == "ptr" and raw is not None):
        return False
    if type_.kind == "slice":
        return raw is None or not raw.items
    return not raw


# ---------------------------------------------------------------------------------------------- reshaping of text


def _tokens(text: str) -> Iterator[str]:
    """Yield the strings, punctuation marks and other tokens of valid JSON text, without the white space between them.

    Raises ValueError if a string has no closing quote.
    """
    at, size = 0, len(text)
    while at < size:
        start = at
        rune = text[at]
        at += 1
        if rune in " \t\r\n":
            continue
        if rune == '"':
            while at < size and text[at] != '"':
                at += 2 if text[at] == "\\" else 1
            at += 1
            if at > size:
                raise ValueError("unexpected end of JSON input")
        elif rune not in "{}[]:,":
            while at < size and text[at] not in "{}[]:, \t\r\n":
                at += 1
        yield text[start:at]


def compact(text: str) -> str:
    """Remove the white space between the tokens of valid JSON text."""
    return "".join(_tokens(text))


def indent(text: str, step: str = "    ") -> str:
    """Indent valid JSON text, one member per line; empty objects and arrays stay on one line.

    ``step`` is the indentation of one level.
    """
    parts: list[str] = []
    margin = "\n"
    opened = False
    for token in _tokens(text):
        closing = token in "}]"
        if closing:
            margin = margin[: len(margin) - len(step)]
        if opened != closing and (opened or closing):
            parts.append(margin)
        opened = token in "{["
        if opened:
            margin += step
        parts.append(token)
        if token == ",":
            parts.append(margin)
        elif token == ":":
            parts.append(" ")
    return "".join(parts)
