"""Go's regular expressions, which Docker's list filters use.

RE2 has Go's syntax. Its time is linear in the length of the text for every expression. A backtracking engine would need
25 s for ``^(a+)+$`` on a name of 30 letters. RE2 accepts ``\\C`` and non-ASCII group names, which Go refuses. This
module refuses ``\\C`` too, but not such group names.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

import re2

if TYPE_CHECKING:
    import re2

SPECIAL = frozenset(r"\.+*?()|[]{}^$")
ESCAPES = re.compile(r"\\Q.*?(?:\\E|\Z)|\\(.)", re.DOTALL)
"""Matches quoted text, in which a backslash escapes nothing, or one escape with its letter."""


class Invalid(ValueError):
    """A text is not a valid regular expression in Go."""


def found(pattern: str, text: str) -> bool:
    """Return whether a pattern matches anywhere in a text; raises `Invalid`."""
    if SPECIAL.isdisjoint(pattern):
        return pattern in text
    return _compiled(pattern).search(text) is not None


@cache
def _compiled(pattern: str) -> re2._Regexp:
    # RE2 accepts ``\C``, which Go refuses.

    if any(escape[1] == "C" for escape in ESCAPES.finditer(pattern)):
        raise Invalid(r"invalid escape sequence: `\C`")
    options = re2.Options()
    options.log_errors = False
    # Because RE2's memory grows with the square of the number of capture groups, capturing is disabled.
    options.never_capture = True
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError) as error:
        raise Invalid(str(error)) from error
