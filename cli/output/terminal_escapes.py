r"""Escape control characters, which on a terminal could move the cursor, hide text or imitate other output.

The escaped characters are C0 with DEL, C1, line and paragraph separators, and controls of bidirectional text. They are
escaped as in JSON (``\u001b``, ``\n``), so that JSON text stays valid and keeps its value. Bytes that are not UTF-8 are
escaped too, but as ``\x9b``, which JSON does not have.

A template must see data of unchanged length. Therefore `marked` first replaces each control character in the data with
a mark of one character. When the result of the template is written, `revealed` escapes the marked characters. Text that
the user wrote in the template has no marks and is not changed.
"""

from __future__ import annotations

import re
from typing import Any

from cli.output.text import columns

_UNSAFE = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
_IN_TEXT = re.compile(f"[{_UNSAFE}\ud800-\udfff]")
_IN_LINE = re.compile(f"[\t\n{_UNSAFE}\ud800-\udfff]")
_IN_DATA = re.compile(f"[\t\n{_UNSAFE}\U00100000-\U0010ffff]")
_MARKS = re.compile("[\U00100000-\U0010ffff\ud800-\udfff]")

_FIRST_MARK = 0x100000
"""The first character of Unicode plane 16, which is for private use.

`marked` replaces each control character in the data with a character of this plane, called a mark. If the data itself
contains a character of this plane, `marked` replaces the character with U+FFFD.
"""
_REPLACEMENT = "\ufffd"
_SHORT = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escaped(text: str) -> str:
    """Escape control characters except tabs and line breaks, which are part of the layout."""
    return _IN_TEXT.sub(_spelled, text)


def escaped_line(text: str) -> str:
    """Escape all control characters of a text that must stay on one line."""
    return _IN_LINE.sub(_spelled, text)


def marked(value: Any) -> Any:
    """Replace each control character in a string or a document by a mark (a private-use character of Unicode).

    A document is a value of JSON: its lists and dicts are searched too.
    """
    if isinstance(value, str):
        return _IN_DATA.sub(_mark, value)
    if isinstance(value, dict):
        return {marked(key): marked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [marked(item) for item in value]
    return value


def revealed(text: str) -> str:
    """Replace each mark with the escape sequence of the control character that the mark stands for (`marked`).

    A surrogate in ``text`` stands for a byte that is not UTF-8. It also becomes an escape sequence.
    """
    return _MARKS.sub(lambda match: _spell(_unmarked(match[0])), text)


def revealed_width(text: str) -> int:
    """Return the number of terminal columns that a text takes after `revealed` has replaced the marks in the text."""
    return columns(revealed(text))


def _mark(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(_FIRST_MARK + code) if code < _FIRST_MARK else _REPLACEMENT


def _unmarked(rune: str) -> str:
    code = ord(rune) - _FIRST_MARK
    return chr(code) if code >= 0 else rune


def _spelled(match: re.Match[str]) -> str:
    return _spell(match[0])


def _spell(rune: str) -> str:
    code = ord(rune)
    if 0xDC80 <= code <= 0xDCFF:  # this code is the surrogate escape of a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return _SHORT.get(rune) or f"\\u{code:04x}"
