"""Split template source into tokens, one at a time, with Go's rules and Go's error texts.

The module recognises delimiters, trim markers, comments and the form of tokens. The parser (parser.py) checks the order
of tokens and the contents of literals.
"""

from __future__ import annotations

from typing import NamedTuple

from cli.gotemplate.text import describe_rune, is_invalid
from engine.golang.strconv import quote

LEFT, RIGHT = "{{", "}}"
SPACES = " \t\r\n"
KEYWORDS = frozenset(
    (".", "block", "break", "continue", "define", "else", "end", "if", "range", "nil", "template", "with")
)
_HEX_DIGITS = "0123456789abcdefABCDEF_"
_PREFIXES = {"x": _HEX_DIGITS, "X": _HEX_DIGITS, "o": "01234567_", "O": "01234567_", "b": "01_", "B": "01_"}
_DECIMAL = "0123456789_"


class Token(NamedTuple):
    """A token of a template.

    - ``kind``: the keyword, or a token class such as "field"
    - ``pos``: the token's position in characters from the start of the source
    - ``value``: the token's source text; for the kind "error", the error text
    - ``line``: the token's line number, from 1
    """

    kind: str
    pos: int
    value: str
    line: int

    def __str__(self) -> str:
        if self.kind == "eof":
            return "EOF"
        if self.kind == "error":
            return self.value
        if self.kind in KEYWORDS:
            return f"<{self.value}>"
        if len(self.value.encode("utf-8", "surrogateescape")) > 10:
            return quote(self.value[:10]) + "..."
        return quote(self.value)


class _LexError(Exception):
    pass


def is_alphanumeric(rune: str) -> bool:
    """Return whether the character ``rune`` may be part of an identifier; False for the empty string."""
    return rune == "_" or (rune.isalpha() or rune.isdecimal() if rune and not is_invalid(rune) else False)


class Lexer:
    """Splits one template into tokens and returns one token per call.

    After an error token, the only further token is EOF.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.pos = 0
        self.start = 0
        self.line = 1
        self._counted = 0
        self._inside = False
        self._parens = 0

    def next_token(self) -> Token:
        """Return the next token; an error in the source is returned as a token of kind "error"."""
        try:
            return self._action_token() if self._inside else self._text_token()
        except _LexError as error:
            token = Token("error", self.start, str(error), self._line_at(self.start))
            self.source, self.pos, self.start, self._counted = "", 0, 0, 0
            self._inside = False
            return token

    def _line_at(self, pos: int) -> int:
        if pos > self._counted:
            self.line += self.source.count("\n", self._counted, pos)
            self._counted = pos
        return self.line

    def _emit(self, kind: str) -> Token:
        token = Token(kind, self.start, self.source[self.start : self.pos], self._line_at(self.start))
        self.start = self.pos
        return token

    def _peek(self) -> str:
        return self.source[self.pos : self.pos + 1]

    # ------------------------------------------------------------------------------------------ outside actions

    def _text_token(self) -> Token:
        while True:
            index = self.source.find(LEFT, self.pos)
            if index < 0:
                self.pos = len(self.source)
                return self._emit("text" if self.pos > self.start else "eof")
            if index > self.pos:
                token = self._text_before(index)
                if token.value:
                    return token
            opening = self._left_delimiter()
            if opening is not None:
                return opening

    def _text_before(self, delimiter: int) -> Token:
        end = delimiter
        if self._has_left_trim(delimiter + len(LEFT)):
            while end > self.start and self.source[end - 1] in SPACES:
                end -= 1
        self.pos = end
        token = self._emit("text")
        self.pos = self.start = delimiter
        return token

    def _has_left_trim(self, at: int) -> bool:
        return self.source[at : at + 1] == "-" and self.source[at + 1 : at + 2] in (" ", "\t", "\r", "\n")

    def _left_delimiter(self) -> Token | None:
        """Return the token of the delimiter ``{{``, or None if a comment follows, because a comment has no token."""
        self.pos += len(LEFT)
        marker = 2 if self._has_left_trim(self.pos) else 0
        if self.source.startswith("/*", self.pos + marker):
            self.pos += marker
            self.start = self.pos
            self._comment()
            return None
        token = self._emit("{{")
        self._inside = True
        self._parens = 0
        self.pos += marker
        self.start = self.pos
        return token

    def _comment(self) -> None:
        end = self.source.find("*/", self.pos + 2)
        if end < 0:
            raise _LexError("unclosed comment")
        self.pos = end + 2
        closed, trim = self._at_right_delimiter()
        if not closed:
            raise _LexError("comment ends before closing delimiter")
        self.pos += (2 if trim else 0) + len(RIGHT)
        if trim:
            self._skip_spaces()
        self.start = self.pos

    def _skip_spaces(self) -> None:
        while self.pos < len(self.source) and self.source[self.pos] in SPACES:
            self.pos += 1

    # ------------------------------------------------------------------------------------------- inside actions

    def _at_right_delimiter(self) -> tuple[bool, bool]:
        marked = self.source[self.pos : self.pos + 2]
        if (
            len(marked) == 2
            and marked[0] in SPACES
            and marked[1] == "-"
            and self.source.startswith(RIGHT, self.pos + 2)
        ):
            return True, True
        return self.source.startswith(RIGHT, self.pos), False

    def _right_delimiter(self) -> Token:
        _, trim = self._at_right_delimiter()
        if trim:
            self.pos += 2
            self.start = self.pos
        self.pos += len(RIGHT)
        token = self._emit("}}")
        if trim:
            self._skip_spaces()
            self.start = self.pos
        self._inside = False
        return token

    def _action_token(self) -> Token:
        closed, _ = self._at_right_delimiter()
        if closed:
            if self._parens:
                raise _LexError("unclosed left paren")
            return self._right_delimiter()
        rune = self._peek()
        if not rune:
            raise _LexError("unclosed action")
        if rune in SPACES:
            return self._space()
        following = self.source[self.pos + 1 : self.pos + 2]
        if rune in "+-0123456789" or (rune == "." and following in "0123456789"):
            return self._number()
        if is_alphanumeric(rune):
            return self._identifier()
        self.pos += 1
        return self._symbol(rune)

    def _symbol(self, rune: str) -> Token:
        match rune:
            case "=":
                return self._emit("=")
            case ":":
                return self._declare()
            case "|":
                return self._emit("|")
            case '"':
                return self._quoted('"', "string", "unterminated quoted string")
            case "'":
                return self._quoted("'", "char constant", "unterminated character constant")
            case "`":
                return self._raw_string()
            case "$":
                return self._field_or_variable("variable", "variable")
            case ".":
                return self._field_or_variable("field", ".")
            case "(" | ")":
                return self._paren(rune)
        if " " <= rune <= "~":
            return self._emit("char")
        raise _LexError(f"unrecognized character in action: {describe_rune(rune)}")

    def _paren(self, rune: str) -> Token:
        self._parens += 1 if rune == "(" else -1
        if self._parens < 0:
            raise _LexError("unexpected right paren")
        return self._emit(rune)

    def _declare(self) -> Token:
        if self._peek() != "=":
            raise _LexError("expected :=")
        self.pos += 1
        return self._emit(":=")

    def _space(self) -> Token:
        first = self.pos
        self._skip_spaces()
        # Step back by one space: in a trim marker such as `` -}}``, the space before the hyphen belongs to the marker.
        self.pos -= 1
        closed, trim = self._at_right_delimiter()
        if not (closed and trim):
            self.pos += 1
        elif self.pos == first:
            return self._right_delimiter()
        return self._emit("space")

    def _at_terminator(self) -> bool:
        rune = self._peek()
        return not rune or rune in " \t\r\n.,|:)(" or self.source.startswith(RIGHT, self.pos)

    def _word(self) -> str:
        while is_alphanumeric(self._peek()):
            self.pos += 1
        if not self._at_terminator():
            raise _LexError(f"bad character {describe_rune(self._peek())}")
        return self.source[self.start : self.pos]

    def _identifier(self) -> Token:
        word = self._word()
        if word in KEYWORDS:
            return self._emit(word)
        return self._emit("bool" if word in ("true", "false") else "identifier")

    def _field_or_variable(self, kind: str, alone: str) -> Token:
        if self._at_terminator():
            return self._emit(alone)
        self._word()
        return self._emit(kind)

    def _quoted(self, mark: str, kind: str, unterminated: str) -> Token:
        while True:
            rune = self._peek()
            self.pos += 1
            if rune == "\\":
                rune = self._peek()
                self.pos += 1
                if rune and rune != "\n":
                    continue
            if not rune or rune == "\n":
                raise _LexError(unterminated)
            if rune == mark:
                return self._emit(kind)

    def _raw_string(self) -> Token:
        end = self.source.find("`", self.pos)
        if end < 0:
            raise _LexError("unterminated raw quoted string")
        self.pos = end + 1
        return self._emit("raw string")

    # -------------------------------------------------------------------------------------------------- numbers

    def _number(self) -> Token:
        good = self._scan_number()
        kind = "number"
        if good and self._peek() in ("+", "-"):
            good = self._scan_number() and self.source[self.pos - 1] == "i"
            kind = "complex"
        if not good:
            raise _LexError(f"bad number syntax: {quote(self.source[self.start : self.pos])}")
        return self._emit(kind)

    def _accept(self, valid: str) -> str:
        rune = self._peek()
        if rune and rune in valid:
            self.pos += 1
            return rune
        return ""

    def _accept_run(self, valid: str) -> None:
        while self._accept(valid):
            pass

    def _scan_number(self) -> bool:
        self._accept("+-")
        digits = _DECIMAL
        if self._accept("0"):
            digits = _PREFIXES.get(self._accept("xXoObB"), _DECIMAL)
        self._accept_run(digits)
        if self._accept("."):
            self._accept_run(digits)
        exponent = {_DECIMAL: "eE", _HEX_DIGITS: "pP"}.get(digits)
        if exponent and self._accept(exponent):
            self._accept("+-")
            self._accept_run(_DECIMAL)
        self._accept("i")
        if is_alphanumeric(self._peek()):
            self.pos += 1
            return False
        return True
