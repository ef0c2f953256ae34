"""Process ``--security-opt`` as Docker's client does before it sends the request."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from engine.errors import reason_of
from engine.golang.json_text import unmarshal
from engine.golang.strconv import quote

SEPARATOR = re.compile(r'("(?:[^"\\]|\\.)*")|[ \t\r\n]+')
"""Matches a JSON string or the white space between JSON tokens.

To remove the white space between tokens, the code deletes each match that is white space. A match that is a string is
kept, so that white space in a string is kept too.
"""

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
        why = f"{verb} {path}: {reason_of(error)}"
        raise ValueError(f"opening seccomp profile ({path}) failed: {why}") from None
    try:
        unmarshal(text)
    except ValueError as error:
        raise ValueError(f"compacting json for seccomp profile ({path}) failed: {error}") from None
    return SEPARATOR.sub(lambda match: match[1] or "", text)
