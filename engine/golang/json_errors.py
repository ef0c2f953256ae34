"""Give the texts of Go's package encoding/json for errors of Python's JSON parser."""

from __future__ import annotations

import json
import re

_WHERE = {
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Expecting value": "looking for beginning of value",
    "Expecting ':' delimiter": "after object key",
    "Extra data": "after top-level value",
    "Invalid control character at": "in string literal",
    "Invalid \\escape": "in string escape code",
}


def syntax_error(error: Exception, text: str) -> str:
    """Return the error text that Go prints for ``text``, for which ``json.loads`` has raised ``error``."""
    if not isinstance(error, json.JSONDecodeError):
        return "exceeded max depth"
    if error.pos >= len(text) or error.msg.startswith("Unterminated string"):
        return "unexpected end of JSON input"
    container = "array element" if _in_array(text[: error.pos]) else "object key:value pair"
    return f"invalid character '{text[error.pos]}' {_WHERE.get(error.msg, f'after {container}')}"


def _in_array(text: str) -> bool:
    """Return whether the innermost bracket that is still open at the end of ``text`` opens an array."""
    open_brackets = [""]
    for match in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text):
        if match[0] in ("[", "{"):
            open_brackets.append(match[0])
        elif match[0] in ("]", "}"):
            open_brackets.pop()
    return open_brackets[-1] == "["
