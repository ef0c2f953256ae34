"""Go's regular expressions, which Docker's list filters use.

RE2 has the syntax of Go's expressions, and its time is linear in the length of the text. A backtracking engine would
need 25 s to match ``^(a+)+$`` with a name of 30 letters. Unlike Go, RE2 accepts ``\\C`` and group names that are not
ASCII. This module refuses ``\\C``, as Go does, but accepts such group names.
"""

from __future__ import annotations

import re
from functools import cache

import re2

SPECIAL = frozenset(r"\.+*?()|[]{}^$")
ESCAPES = re.compile(r"\\Q.*?(?:\\E|\Z)|\\(.)", re.DOTALL)
"""Matches a quoted text from ``\\Q`` to ``\\E``, or a backslash with the character that follows the backslash."""


class Invalid(ValueError):
    """Raised for a text that is not a valid regular expression in Go."""


def is_found(pattern: str, text: str) -> bool:
    """Return whether a pattern matches anywhere in a text; raises `Invalid` for an invalid pattern."""
    if SPECIAL.isdisjoint(pattern):
        return pattern in text
    return _compiled(pattern).search(text) is not None


@cache
def _compiled(pattern: str) -> re2._Regexp:
    # Refuse ``\C`` here, because Go refuses it but RE2 accepts it.
    if any(escape[1] == "C" for escape in ESCAPES.finditer(pattern)):
        raise Invalid(r"invalid escape sequence: `\C`")
    options = re2.Options()
    options.log_errors = False
    # Disable capturing, because RE2's memory grows with the square of the number of capture groups.
    options.never_capture = True
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError) as error:
        raise Invalid(str(error)) from error
