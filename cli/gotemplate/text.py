r"""Represent Go strings in Python.

A Go string is a sequence of bytes, usually UTF-8, and templates can access the bytes (``len``, ``index``,
``truncate``). Template values are therefore ``bytes``. Template source and error texts are ``str``, with a surrogate
escape for each byte that is not UTF-8. A rune is one character of such a ``str``: a code point or a surrogate escape.
This module converts between ``bytes`` and ``str``, and parses and writes Go literals (package strconv).
"""

from __future__ import annotations

from engine.golang.strconv import quote

REPLACEMENT = "\ufffd"
_UNESCAPES = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, "'": 39, '"': 34}


def encode(text: str) -> bytes:
    """Return the bytes of ``text``. A surrogate escape becomes its original byte; other surrogates become U+FFFD."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return "".join(
            REPLACEMENT if 0xD800 <= ord(c) < 0xDC80 or 0xDCFF < ord(c) < 0xE000 else c for c in text
        ).encode("utf-8", "surrogateescape")


def decode(data: bytes) -> str:
    """Return ``data`` with one character per rune; each byte that is not UTF-8 becomes one surrogate escape."""
    return data.decode("utf-8", "surrogateescape")


def is_invalid(rune: str) -> bool:
    """Return whether ``rune`` is the surrogate escape of a byte that is not UTF-8."""
    return "\ud800" <= rune <= "\udfff"


def valid(text: str) -> str:
    """Return ``text`` with every invalid byte replaced by U+FFFD, as in a Go loop over the runes of a string."""
    return text if text.isascii() else "".join(REPLACEMENT if is_invalid(c) else c for c in text)


def rune_to_bytes(code: int) -> bytes:
    """Return the UTF-8 form of a code point; surrogates and values out of range become U+FFFD."""
    if code < 0 or code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        return REPLACEMENT.encode()
    return chr(code).encode()


def quote_rune(code: int, ascii_only: bool = False) -> str:
    """Quote a code point as a Go character literal; with ``ascii_only``, escape a character beyond ASCII."""
    return quote(rune_to_bytes(code).decode(), ascii_only, "'")


def can_backquote(text: str) -> bool:
    """Return whether ``text`` can be written unchanged between back quotes."""
    return not any(is_invalid(c) or c in "\ufeff`\x7f" or (c < " " and c != "\t") for c in text)


def describe_rune(rune: str) -> str:
    """Format a rune as the verb ``%#U`` of Go's fmt does: ``U+002D '-'``."""
    if is_invalid(rune):
        rune = REPLACEMENT
    return f"U+{ord(rune):04X} '{rune}'" if rune.isprintable() else f"U+{ord(rune):04X}"


def _unquote_numeric(text: str, at: int) -> tuple[bytes, int]:
    kind = text[at]
    size = {"x": 2, "u": 4, "U": 8}.get(kind, 3)
    digits = text[at : at + 3] if size == 3 else text[at + 1 : at + 1 + size]
    if len(digits) != size or not all(c in "0123456789abcdefABCDEF" for c in digits):
        raise ValueError("invalid syntax")
    code = int(digits, 8 if size == 3 else 16)
    end = at + (3 if size == 3 else 1 + size)
    if size <= 3:
        if code > 255:
            raise ValueError("invalid syntax")
        return bytes([code]), end
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise ValueError("invalid syntax")
    return chr(code).encode(), end


def unquote_char(text: str, at: int, mark: str) -> tuple[bytes, int]:
    """Parse one character of a literal; return the character's bytes and the position after the character.

    The character is at position ``at`` and may be escaped. An invalid byte becomes U+FFFD. The literal
    ends with the quote ``mark``. Raises ValueError (``invalid syntax``) in the same cases as strconv.UnquoteChar.
    """
    if at >= len(text) or text[at] == mark:
        raise ValueError("invalid syntax")
    if text[at] != "\\":
        return encode(valid(text[at])), at + 1
    at += 1
    if at >= len(text):
        raise ValueError("invalid syntax")
    kind = text[at]
    if kind in "xuU01234567":
        return _unquote_numeric(text, at)
    if kind not in _UNESCAPES or (kind in "'\"" and kind != mark):
        raise ValueError("invalid syntax")
    return bytes([_UNESCAPES[kind]]), at + 1


def unquote(literal: str) -> bytes:
    """Return the value of a Go string literal in double or back quotes.

    Raises ValueError with strconv's error text.
    """
    if literal[0] == "`":
        return encode(literal[1:-1].replace("\r", ""))
    parts = []
    at, end = 1, len(literal) - 1
    while at < end:
        part, at = unquote_char(literal, at, '"')
        parts.append(part)
    return b"".join(parts)
