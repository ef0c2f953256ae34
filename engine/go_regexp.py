"""Go's regular expressions (regexp/syntax) in Python's terms: what the filters of Docker's lists are written in.

Most of the two languages is the same. Where one text means another thing there, or is invalid, it is translated here;
what Go refuses raises `Invalid`. Unicode scripts (``\\p{Greek}``) are not known.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable
from functools import cache

MAX_REPEAT = 1000
FLAGS = re.compile(r"(?P<on>[imsU]*)(?:-(?P<off>[imsU]+))?:")
CHANGE = re.compile(r"\(\?(?!\))(?P<on>[imsU]*)(?:-(?P<off>[imsU]+))?\)")
NAME = re.compile(r"P?<[A-Za-z0-9_]+>(?P<on>)(?P<off>)")
COUNT = re.compile(r"\{(?P<low>0|[1-9][0-9]*)(?P<comma>,(?P<high>0|[1-9][0-9]*)?)?\}")
POSIX = re.compile(r"\[:(?P<negated>\^?)(?P<name>[a-z]+):\]")
ESCAPED = re.compile(
    r"x\{(?P<wide>[0-9A-Fa-f]+)\}|x(?P<hex>[0-9A-Fa-f]{2})|(?P<octal>0[0-7]{0,2}|[1-7][0-7]{1,2})|(?P<letter>[afnrtv])"
)
PROPERTY = re.compile(r"(?P<sign>[pP])(?:\{(?P<caret>\^?)(?P<name>\w+)\}|(?P<letter>[A-Z]))")
LETTERS = dict(zip("afnrtv", "\a\f\n\r\t\v", strict=True))
PERL = {
    "d": "0-9", "D": r"\x00-/:-\U0010ffff", "s": r"\t\n\f\r ", "S": r"\x00-\x08\v\x0e-\x1f!-\U0010ffff",
    "w": "0-9A-Za-z_", "W": r"\x00-/:-@\[-^`{-\U0010ffff",
}  # fmt: skip
CLASSES = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": r"\x00-\x7f", "blank": r"\t ", "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~", "punct": r"!-/:-@\[-`{-~", "space": r"\t-\r ",
    "upper": "A-Z", "word": "0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
ANCHORS = {"A": r"\A", "z": r"\Z", "b": r"(?a:\b)", "B": r"(?a:\B)"}


class Invalid(ValueError):
    """A text that is no regular expression in Go."""


@cache
def compiled(text: str) -> re.Pattern[str]:
    """Translate and compile; raises `Invalid`."""
    try:
        return re.compile(_Parser(text).whole())
    except (re.error, OverflowError, RecursionError) as error:
        raise Invalid(str(error)) from error


class _Parser:
    """Reads one text from left to right; each method returns a piece of a Python expression."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def whole(self) -> str:
        found = self.alternatives(frozenset())
        if self.at < len(self.text):
            raise Invalid("unexpected )")
        return found

    def alternatives(self, flags: frozenset[str]) -> str:
        """Read up to the end or a closing parenthesis; flags set in between are over after it."""
        pieces: list[str] = []
        repeatable = False
        while self.at < len(self.text) and not self.sees(")"):
            if self.takes("|"):
                pieces, repeatable = [*pieces, "|"], False
            elif operator := self.operator(flags):
                if not repeatable:
                    raise Invalid("missing argument to repetition operator, or one operator after another")
                pieces[-1], repeatable = f"(?:{pieces[-1]}){operator}", False
            elif (changed := self.changed_flags(flags)) is not None:
                flags = changed
            else:
                pieces, repeatable = [*pieces, self.piece(flags)], True
        return "".join(pieces)

    def operator(self, flags: frozenset[str]) -> str:
        """Read ``*``, ``+``, ``?`` or ``{2,3}``, and the ``?`` that makes it take little; "" where there is none."""
        count = COUNT.match(self.text, self.at)
        if count is None and self.text[self.at] not in "*+?":
            return ""
        operator = count[0] if count else self.text[self.at]
        if count and (int(count["low"]) > MAX_REPEAT or not int(count["low"]) <= int(count["high"] or MAX_REPEAT)):
            raise Invalid("invalid repeat count")
        if count and int(count["high"] or 0) > MAX_REPEAT:
            raise Invalid("invalid repeat count")
        self.at += len(operator)
        return operator + ("?" if self.takes("?") != ("U" in flags) else "")

    def changed_flags(self, flags: frozenset[str]) -> frozenset[str] | None:
        """Read ``(?i)``, which is about all that follows in the group; None for anything else."""
        found = CHANGE.match(self.text, self.at)
        if found is None:
            return None
        self.at = found.end()
        return flags.union(found["on"]) - set(found["off"] or "")

    def piece(self, flags: frozenset[str]) -> str:
        """Read what may be repeated."""
        if self.takes("("):
            return self.group(flags)
        if self.takes("["):
            return _folded(self.character_class(), flags)
        character = self.next()
        match character:
            case ".":
                return "(?s:.)" if "s" in flags else r"[^\n]"
            case "^":
                return "(?m:^)" if "m" in flags else r"\A"
            case "$":
                return "(?m:$)" if "m" in flags else r"\Z"
            case "\\":
                return _folded(self.escape(), flags)
        return _folded(re.escape(character), flags)

    def group(self, flags: frozenset[str]) -> str:
        if self.takes("?"):
            found = NAME.match(self.text, self.at) or FLAGS.match(self.text, self.at)
            if found is None:
                raise Invalid("invalid or unsupported Perl syntax")
            self.at = found.end()
            flags = flags.union(found["on"] or "") - set(found["off"] or "")
        inside = self.alternatives(flags)
        if not self.takes(")"):
            raise Invalid("missing closing )")
        return f"(?:{inside})"

    def escape(self) -> str:
        if self.takes("Q"):
            quoted, _, rest = self.text[self.at :].partition(r"\E")
            self.at = len(self.text) - len(rest)
            return re.escape(quoted)
        for letter, anchor in ANCHORS.items():
            if self.takes(letter):
                return anchor
        return f"[{found}]" if (found := self.escaped_set()) else re.escape(self.escaped_character())

    def escaped_set(self) -> str:
        """Read what follows a backslash as the inside of a class, "" where it stands for one character."""
        for letter, members in PERL.items():
            if self.takes(letter):
                return members
        found = PROPERTY.match(self.text, self.at)
        if found is None:
            return ""
        self.at = found.end()
        members = _category(found["letter"] or found["name"])
        return _complement(members) if (found["sign"] == "P") != bool(found["caret"]) else members

    def escaped_character(self) -> str:
        if found := ESCAPED.match(self.text, self.at):
            self.at = found.end()
            if found["letter"]:
                return LETTERS[found["letter"]]
            digits = found["wide"] or found["hex"]
            code = int(digits, 16) if digits else int(found["octal"], 8)
            if code > sys.maxunicode:
                raise Invalid("invalid escape sequence")
            return chr(code)
        character = self.next()
        if character.isalnum() or not character.isascii():
            raise Invalid("invalid escape sequence")
        return character

    def character_class(self) -> str:
        negated, members = self.takes("^"), self.members()
        while not self.takes("]"):
            members += self.members()
        return f"[{'^' if negated else ''}{members}]"

    def members(self) -> str:
        """Read a named set, an escaped one, a range or a character inside brackets."""
        if found := POSIX.match(self.text, self.at):
            self.at = found.end()
            if found["name"] not in CLASSES:
                raise Invalid("invalid character class range")
            return _complement(CLASSES[found["name"]]) if found["negated"] else CLASSES[found["name"]]
        if self.sees("\\"):
            self.at += 1
            if members := self.escaped_set():
                return members
            low = self.escaped_character()
        else:
            low = self.next()
        high = low
        if self.sees("-") and not self.text.startswith("-]", self.at):
            self.at += 1
            high = self.escaped_character() if self.takes("\\") else self.next()
        if high < low:
            raise Invalid("invalid character class range")
        return f"{_literal(low)}-{_literal(high)}"

    def next(self) -> str:
        if self.at >= len(self.text):
            raise Invalid("unexpected end")
        self.at += 1
        return self.text[self.at - 1]

    def sees(self, text: str) -> bool:
        return self.text.startswith(text, self.at)

    def takes(self, text: str) -> bool:
        found = self.sees(text)
        self.at += found
        return found


def _folded(piece: str, flags: frozenset[str]) -> str:
    return f"(?i:{piece})" if "i" in flags else piece


def _literal(character: str) -> str:
    return f"\\U{ord(character):08x}"


def _complement(members: str) -> str:
    inside = re.compile(f"[{members}]")
    return _ranges(lambda character: inside.match(character) is None)


@cache
def _category(name: str) -> str:
    if name == "Any":
        return r"\U00000000-\U0010ffff"
    found = _ranges(lambda character: unicodedata.category(character).startswith(name))
    if not found:
        raise Invalid("invalid character class range")
    return found


def _ranges(chosen: Callable[[str], bool]) -> str:
    """The inside of a class of all characters that are chosen."""
    found, start = [], None
    for code in range(sys.maxunicode + 2):
        if code <= sys.maxunicode and chosen(chr(code)):
            start = code if start is None else start
        elif start is not None:
            found.append(f"{_literal(chr(start))}-{_literal(chr(code - 1))}")
            start = None
    return "".join(found)
