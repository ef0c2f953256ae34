"""Read JSON as Go does.

Objects keep repeated keys, and numbers keep their exact value. Invalid UTF-8 is accepted. Syntax errors have Go's
texts.
"""

from __future__ import annotations

import json

from engine.golang.json_types import Literal, Pairs
from engine.golang.strconv import quote

TYPE_CHECKING = False
# Only type checkers import typing here. The containers' supervisor uses this module and must use little memory.
if TYPE_CHECKING:
    from typing import Any

DEPTH_LIMIT = 10_000  # levels of nesting in Go; `decode` refuses more than about 1,000 (Python's recursion limit)
DIGITS_LIMIT = 24  # characters, including the sign; a longer whole number becomes `Literal` instead of int
UNFINISHED = "unexpected EOF"  # the error of Go's Decoder for a text that ends within its value
UNMARSHAL_UNFINISHED = "unexpected end of JSON input"  # the error of Go's Unmarshal for the same text
_SPACE = " \t\r\n"
_DIGITS = b"0123456789"
_LITERALS = {ord("t"): b"true", ord("f"): b"false", ord("n"): b"null"}
_END = {ord("{"): ord("}"), ord("["): ord("]")}
_AFTER = {ord("{"): "after object key:value pair", ord("["): "after array element"}


class InvalidJson(ValueError):
    """The text is not valid JSON; the error has Go's text."""


class MoreContent(ValueError):
    """There is more text after the first JSON value."""


def decode(data: bytes, *, whole: bool = False) -> Any:
    """Return the first value of a JSON text; raises `InvalidJson` and `MoreContent`.

    Objects become `Pairs`: their keys and values in order, with repeated keys. Whole numbers of at most `DIGITS_LIMIT`
    characters become int. All other numbers become `Literal`, which keeps the number as written. Bytes that are not
    UTF-8, and halves of surrogate pairs, become U+FFFD.

    White space after the value is allowed. Any other text after it raises `MoreContent`, with one exception. As in Go's
    Decoder, this text is ignored if it begins with ``]`` or ``}``. With ``whole``, there is no such exception.
    """
    text = data.decode("utf-8", "replace")
    try:
        value, end = _DECODER.raw_decode(text, len(text) - len(text.lstrip(_SPACE)))
        if b"\\ud" in data.lower():
            value = _repaired(value)
    except (ValueError, RecursionError):
        raise InvalidJson(_first_error(data) or "exceeded max depth") from None
    if not isinstance(value, list | Pairs) and (wrong := _first_error(data)):
        raise InvalidJson(wrong)
    rest = text[end:].lstrip(_SPACE)
    if rest and (whole or rest[0] not in "]}"):
        raise MoreContent("unexpected content after JSON")
    return value


def unmarshal(text: str) -> Any:
    """Return the value of a JSON text as `decode` does; raises `InvalidJson` with the texts of Go's Unmarshal.

    Unmarshal accepts nothing but white space after the value.
    """
    data = text.encode("utf-8", "surrogateescape")
    try:
        return decode(data, whole=True)
    except MoreContent:
        scanner = _Scanner(data)
        scanner.value()
        raise scanner.error_after_value() from None
    except InvalidJson as error:
        raise InvalidJson(UNMARSHAL_UNFINISHED if str(error) == UNFINISHED else str(error)) from None


def _whole_number(text: str) -> int | Literal:
    return int(text) if len(text) <= DIGITS_LIMIT else Literal(text)


def _refuse(text: str) -> Any:
    raise ValueError(text)


_DECODER = json.JSONDecoder(
    object_pairs_hook=Pairs, parse_int=_whole_number, parse_float=Literal, parse_constant=_refuse
)


def _repaired(value: Any) -> Any:
    """Return a decoded JSON value in which U+FFFD replaces each single half of a surrogate pair in a text."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Pairs):
        return Pairs((_repaired(key), _repaired(each)) for key, each in value)
    return [_repaired(each) for each in value] if isinstance(value, list) else value


def _first_error(data: bytes) -> str:
    """Return Go's text for the first syntax error in the first value of a JSON text, or "" if the value is valid."""
    try:
        _Scanner(data).value()
    except InvalidJson as error:
        return str(error)
    return ""


class _Scanner:
    """Reads one JSON value as Go's scanner does, and raises `InvalidJson` at the first wrong byte."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def value(self) -> None:
        """Read one value, with all that it contains; raises `InvalidJson` at the first wrong byte."""
        opened: list[int] = []
        while True:
            byte = self._next()
            if byte in _END:
                opened.append(byte)
                if len(opened) > DEPTH_LIMIT:
                    raise self._wrong("exceeded max depth")
                self._at += 1
                if self._next() != _END[byte]:
                    self._key(byte)
                    continue
                opened.pop()
                self._at += 1
            else:
                self._scalar(byte)
            while opened and self._next() == _END[opened[-1]]:
                opened.pop()
                self._at += 1
            if not opened:
                return
            self._expect(b",", _AFTER[opened[-1]])
            self._key(opened[-1])

    def error_after_value(self) -> InvalidJson:
        """Return the error for the text after the value that `value` has read."""
        self._next()
        return self._wrong("after top-level value")

    def _key(self, bracket: int) -> None:
        """Read the key and the colon of an object's member; read nothing in an array, whose members have no keys.

        ``bracket`` is the opening bracket of the object or array.
        """
        if bracket == ord("{"):
            if self._next() != ord('"'):
                raise self._wrong("looking for beginning of object key string")
            self._string()
            self._next()
            self._expect(b":", "after object key")

    def _scalar(self, byte: int) -> None:
        if byte == ord('"'):
            self._string()
        elif byte in _LITERALS:
            word = _LITERALS[byte]
            for letter in word:
                self._expect(bytes([letter]), f"in literal {word.decode()} (expecting '{chr(letter)}')")
        elif byte in b"-0123456789":
            self._number()
        else:
            raise self._wrong("looking for beginning of value")

    def _number(self) -> None:
        if self._peek() == ord("-"):
            self._at += 1
        if self._peek() == ord("0"):
            self._at += 1
        else:
            self._digits("in numeric literal")
        if self._skip(b"."):
            self._digits("after decimal point in numeric literal")
        if self._skip(b"eE"):
            self._skip(b"+-")
            self._digits("in exponent of numeric literal")

    def _digits(self, where: str) -> None:
        self._expect(_DIGITS, where)
        while self._skip(_DIGITS):
            pass

    def _string(self) -> None:
        self._at += 1
        while (byte := self._peek()) != ord('"'):
            if byte < ord(" "):
                raise self._wrong("in string literal")
            self._at += 1
            if byte == ord("\\") and self._peek() != ord("u"):
                self._expect(b'bfnrt\\/"', "in string escape code")
            elif byte == ord("\\"):
                self._at += 1
                for _ in range(4):
                    self._expect(b"0123456789abcdefABCDEF", "in \\u hexadecimal character escape")
        self._at += 1

    def _next(self) -> int:
        """Skip white space, and return the next byte, which stays unread; raises `InvalidJson` at the end."""
        while self._skip(_SPACE.encode()):
            pass
        return self._peek()

    def _peek(self) -> int:
        if self._at >= len(self._data):
            raise InvalidJson(UNFINISHED)
        return self._data[self._at]

    def _skip(self, allowed: bytes) -> bool:
        skipped = self._at < len(self._data) and self._data[self._at] in allowed
        self._at += skipped
        return skipped

    def _expect(self, allowed: bytes, where: str) -> None:
        if self._peek() not in allowed:
            raise self._wrong(where)
        self._at += 1

    def _wrong(self, where: str) -> InvalidJson:
        return InvalidJson(f"invalid character {quote(chr(self._peek()), mark=chr(39))} {where}")
