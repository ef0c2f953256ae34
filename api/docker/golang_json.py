"""JSON as Go reads it: invalid Unicode is replaced, and refused documents get Go's error texts."""

from __future__ import annotations

import json
from typing import Any

_WHERE = {
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Illegal trailing comma before end of object": "looking for beginning of object key string",
    "Illegal trailing comma before end of array": "looking for beginning of value",
    "Expecting value": "looking for beginning of value",
    "Expecting ':' delimiter": "after object key",
    "Invalid control character at": "in string literal",
    "Invalid \\escape": "in string escape code",
}


def decode(data: bytes) -> Any:
    """Return the value of a JSON text; raises ValueError and RecursionError.

    Like Go's decoder, it replaces bytes that are not UTF-8, and halves of surrogate pairs, by U+FFFD.
    """
    document = json.loads(data.decode("utf-8", "replace"))
    if b"\\ud" in data.lower():
        text = json.dumps(document, ensure_ascii=False)
        return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return document


def syntax_error(error: Exception, data: bytes) -> str:
    """Return Go's text for a document that Python's decoder has refused with ``error``."""
    if not isinstance(error, json.JSONDecodeError):
        return "exceeded max depth" if isinstance(error, RecursionError) else "invalid character in string literal"
    text = data.decode("utf-8", "replace")
    if error.msg == "Extra data":
        return "unexpected content after JSON"
    if error.pos >= len(text) or error.msg.startswith("Unterminated string"):
        return "unexpected EOF"
    return f"invalid character '{text[error.pos]}' {_WHERE.get(error.msg, 'after object key:value pair')}"
