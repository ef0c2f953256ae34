"""Go's file name patterns (path.Match), which ``image ls --filter reference=…`` accepts.

The patterns are translated into RE2 expressions, because a backtracking engine or Python's fnmatch needs minutes to
match some texts.
"""

from __future__ import annotations

from engine.errors import EngineError
from engine.golang import regexp

SPECIAL = frozenset("*?[\\")
NOTHING = r"[^\x00-\x{10FFFF}]"


def matches(pattern: str, text: str) -> bool:
    """Return whether a Go file name pattern matches a whole text; raises `EngineError` for an invalid pattern."""
    if SPECIAL.isdisjoint(pattern):
        return pattern == text
    expression = _Translator(pattern).whole()
    try:
        return regexp.is_found(expression, text)
    except regexp.Invalid:
        return False  # the pattern is not UTF-8 or is too long, so it matches no image reference


class _Translator:
    """Translates one file name pattern into a regular expression, from left to right."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def whole(self) -> str:
        pieces = []
        while self.at < len(self.text):
            pieces.append(self.piece())
        return f"(?s)^{''.join(pieces)}$"

    def piece(self) -> str:
        if self.takes("*"):
            return "[^/]*"
        if self.takes("?"):
            return "[^/]"
        if self.takes("["):
            return self.character_class()
        return _literal(self.character())

    def character_class(self) -> str:
        """Translate a character class such as ``[a-z]`` into a regular expression; its "[" was read already.

        Raises `EngineError` for a class that is empty or has no "]". A range whose first character is greater than its
        last character matches nothing, as in Go.
        """
        negated, ranges, first = self.takes("^"), [], True
        while first or not self.takes("]"):
            first = False
            low = self.bound()
            high = self.bound() if self.takes("-") else low
            if low <= high:
                ranges.append(f"{_literal(low)}-{_literal(high)}")
        if not ranges:
            return "." if negated else NOTHING
        return f"[{'^' if negated else ''}{''.join(ranges)}]"

    def bound(self) -> str:
        if self.text.startswith(("-", "]"), self.at):
            raise _bad()
        return self.character()

    def character(self) -> str:
        """Return the next character of the pattern, without a backslash before it; raises `EngineError` at the end."""
        self.takes("\\")
        if self.at >= len(self.text):
            raise _bad()
        self.at += 1
        return self.text[self.at - 1]

    def takes(self, text: str) -> bool:
        matched = self.text.startswith(text, self.at)
        self.at += matched
        return matched


def _bad() -> EngineError:
    return EngineError("syntax error in pattern")


def _literal(character: str) -> str:
    return f"\\x{{{ord(character):x}}}"
