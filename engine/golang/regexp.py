"""Go's regular expressions, in which Docker's list filters are written.

RE2 has Go's syntax and needs time linear in the text, whatever the expression: a backtracking engine would need 25 s
for ``^(a+)+$`` on a name of 30 letters. RE2 accepts ``\\C`` and non-ASCII group names, which Go refuses: the
former is refused here.
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
"""Quoted text, which has no escapes, or an escape with its letter."""


class Invalid(ValueError):
    """A text that is no regular expression in Go."""


def found(pattern: str, text: str) -> bool:
    """Tell whether a pattern is found in a text; raises `Invalid`."""
    if SPECIAL.isdisjoint(pattern):
        return pattern in text
    return _compiled(pattern).search(text) is not None


@cache
def _compiled(pattern: str) -> re2._Regexp:
    # Because the library takes 5 ms to load, only a filter that needs it loads it.

    if any(escape[1] == "C" for escape in ESCAPES.finditer(pattern)):
        raise Invalid(r"invalid escape sequence: `\C`")
    options = re2.Options()
    options.log_errors = False
    # Because RE2's memory grows with the square of the number of groups it captures, it captures none.
    options.never_capture = True
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError) as error:
        raise Invalid(str(error)) from error
