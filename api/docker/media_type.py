"""Check the header Content-Type of a request with a JSON body. The error texts are those of Go's package mime."""

from __future__ import annotations

import re

from api.docker.errors import bad_request

JSON = "application/json"
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PARAMETER = re.compile(rf"\s*;\s*{_TOKEN}\s*=\s*(?:{_TOKEN}|\"(?:[^\"\\\r\n]|\\.)*\")")


def require_json(header: str) -> None:
    """Check that the header is "application/json", perhaps with parameters; raises ApiError (400) if not."""
    wrong = _wrong(header)
    if wrong:
        raise bad_request(f"malformed Content-Type header ({header}): mime: {wrong}")
    if header.partition(";")[0].strip().lower() != JSON:
        raise bad_request(f"unsupported Content-Type header ({header}): must be '{JSON}'")


def _wrong(header: str) -> str:
    """Return Go's error text for a malformed media type, or "" for a well-formed one."""
    kind, semicolon, rest = header.partition(";")
    if wrong := _wrong_type(kind.strip().lower()):
        return wrong
    rest, end = semicolon + rest, 0
    while match := _PARAMETER.match(rest, end):
        end = match.end()
    return "" if rest[end:].strip() in ("", ";") else "invalid media parameter"


def _wrong_type(kind: str) -> str:
    main, slash, sub = kind.partition("/")
    token = re.match(_TOKEN, main)
    if token is None:
        return "no media type"
    if token.end() != len(main):
        return "expected slash after first token"
    if not slash:
        return ""
    token = re.match(_TOKEN, sub)
    if token is None:
        return "expected token after slash"
    return "" if token.end() == len(sub) else "unexpected content after media subtype"
