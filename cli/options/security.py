"""Process ``--security-opt`` as Docker's client does before it sends the request."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from engine.golang.strconv import quote

SEPARATOR = re.compile(r'("(?:[^"\\]|\\.)*")|[ \t\r\n]+')
"""Matches a JSON string or the white space between JSON tokens.

To remove the white space between tokens, the code deletes each match that is white space. A match that is a string is
kept, so that white space in a string is kept too.
"""

WHERE = {
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Expecting value": "looking for beginning of value",
    "Expecting ':' delimiter": "after object key",
    "Extra data": "after top-level value",
    "Invalid control character at": "in string literal",
    "Invalid \\escape": "in string escape code",
}
NAMED_PROFILES = ("unconfined", "builtin")
SYSTEM_PATHS = "systempaths=unconfined"


def security_options(options: Sequence[str]) -> list[str]:
    """Return the values of ``--security-opt`` for the request; raises ValueError with Docker's error text.

    For a seccomp profile, the file's name is replaced by the contents of the file. The value
    ``systempaths=unconfined`` is omitted, because the request has a separate field for it.
    """
    return [_sent(option) for option in options if option != SYSTEM_PATHS]


def _sent(option: str) -> str:
    key, separator, value = option.partition("=")
    if not separator and key != "no-new-privileges":
        key, separator, value = option.partition(":")
    if not value and key != "no-new-privileges":
        raise ValueError(f"Invalid --security-opt: {quote(option)}")
    return f"seccomp={_profile(value)}" if key == "seccomp" and value not in NAMED_PROFILES else option


def _profile(path: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        verb = "read" if isinstance(error, IsADirectoryError) else "open"
        why = f"{verb} {path}: {str(error.strerror).lower()}"
        raise ValueError(f"opening seccomp profile ({path}) failed: {why}") from None
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"compacting json for seccomp profile ({path}) failed: {_why(error, text)}") from None
    return SEPARATOR.sub(lambda match: match[1] or "", text)


def _why(error: Exception, text: str) -> str:
    """Return the error text that Go prints for ``text``, which is not valid JSON.

    ``error`` is the exception that Python's json module has raised for ``text``.
    """
    if not isinstance(error, json.JSONDecodeError):
        return "exceeded max depth"
    if error.pos >= len(text) or error.msg.startswith("Unterminated string"):
        return "unexpected end of JSON input"
    container = "array element" if _in_array(text[: error.pos]) else "object key:value pair"
    return f"invalid character '{text[error.pos]}' {WHERE.get(error.msg, f'after {container}')}"


def _in_array(text: str) -> bool:
    """Return whether the innermost bracket that is still open at the end of ``text`` opens an array."""
    open_brackets = [""]
    for match in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text):
        if match[0] in ("[", "{"):
            open_brackets.append(match[0])
        elif match[0] in ("]", "}"):
            open_brackets.pop()
    return open_brackets[-1] == "["
