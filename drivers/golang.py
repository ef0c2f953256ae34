"""Go's booleans as text (strconv.ParseBool), in the options of drivers and in the flags of commands."""

from __future__ import annotations

TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))


def parse_bool(text: str) -> bool | None:
    """Return the boolean that Go reads from ``text``, None if Go refuses it."""
    return True if text in TRUE else False if text in FALSE else None
