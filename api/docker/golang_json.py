"""The texts with which Go's JSON decoder refuses a document, for clients that compare them."""

from __future__ import annotations

import json

_WHERE = {
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Illegal trailing comma before end of object": "looking for beginning of object key string",
    "Illegal trailing comma before end of array": "looking for beginning of value",
    "Expecting value": "looking for beginning of value",
    "Expecting ':' delimiter": "after object key",
    "Invalid control character at": "in string literal",
    "Invalid \\escape": "in string escape code",
}


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
