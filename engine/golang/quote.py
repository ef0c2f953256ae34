r"""Go's quoting of strings (strconv.Quote and kin).

Text is ``str`` in which a byte that is not UTF-8 is a surrogate escape; it is shown as ``\xNN``.
"""

from __future__ import annotations

ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


def quote(text: str, ascii_only: bool = False, mark: str = '"') -> str:
    """Quote ``text`` as a Go string (or, with ``mark`` ``'``, character) literal."""
    return mark + "".join(_escape(c, mark, ascii_only) for c in text) + mark


def _escape(rune: str, mark: str, ascii_only: bool) -> str:
    code = ord(rune)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if rune in (mark, "\\"):
        return "\\" + rune
    if rune.isprintable() and (code < 0x80 or not ascii_only):
        return rune
    if rune in ESCAPES:
        return ESCAPES[rune]
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
