r"""Parse and quote scalar values like Go's package strconv; the error texts are Go's own.

All texts are ``str``. A byte that is not valid UTF-8 is stored as a surrogate escape, and is quoted as ``\xNN``.
"""

from __future__ import annotations

import re

from drivers import scalars

INTEGER = re.compile(r"[+-]?(0[xX](_?[0-9a-fA-F])+|0[bB](_?[01])+|0[oO](_?[0-7])+|0(_?[0-7])*|[1-9](_?[0-9])*)")
whole_number = scalars.whole_number  # for `cli` and `api`, which must not import `drivers` themselves
ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


def quote(text: str, ascii_only: bool = False, mark: str = '"') -> str:
    """Return ``text`` as a quoted Go string literal, or as a character literal if ``mark`` is ``'``.

    With ``ascii_only``, all characters beyond ASCII are escaped.
    """
    if text.isascii() and text.isprintable() and mark not in text and "\\" not in text:
        return mark + text + mark
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


def parse_bool(text: str) -> bool:
    """Parse a boolean like strconv.ParseBool; raises ValueError with the error text that Go prints."""
    parsed = scalars.parse_bool(text)
    if parsed is None:
        raise ValueError(f"strconv.ParseBool: parsing {quote(text)}: invalid syntax")
    return parsed


def parse_int(text: str, *, base: int = 0) -> int:
    """Parse an integer of 64 bits like strconv.ParseInt; raises ValueError with the error text that Go prints.

    ``base`` is 0 or 10. With base 0, the prefixes 0x, 0b, 0o and 0 (octal) are accepted.
    """
    return _integer("ParseInt", text, base, -(1 << 63), (1 << 63) - 1)


def parse_uint(text: str, bits: int = 64, *, base: int = 0) -> int:
    """Parse an unsigned integer of ``bits`` bits like strconv.ParseUint; raises ValueError with Go's error text.

    ``base`` is 0 or 10, as in `parse_int`.
    """
    if text[:1] in ("+", "-"):
        raise ValueError(f"strconv.ParseUint: parsing {quote(text)}: invalid syntax")
    return _integer("ParseUint", text, base, 0, (1 << bits) - 1)


def atoi(text: str) -> int:
    """Parse a decimal integer like strconv.Atoi; raises ValueError with the error text that Go prints."""
    return _integer("Atoi", text, 10, -(1 << 63), (1 << 63) - 1)


def _integer(function: str, text: str, base: int, low: int, high: int) -> int:
    """Parse an integer from ``low`` to ``high`` (both included); ``base`` is 0 or 10, as in `parse_int`.

    Raises ValueError with the error text that Go prints, which names the Go function ``function``.
    """
    valid = INTEGER.fullmatch(text) if base == 0 else re.fullmatch(r"[+-]?[0-9]+", text)
    if not valid:
        raise ValueError(f"strconv.{function}: parsing {quote(text)}: invalid syntax")
    octal = base == 0 and re.fullmatch(r"[+-]?0[0-7_]+", text)
    value = int(text.replace("_", ""), 8) if octal else _number(text)
    if not low <= value <= high:
        raise ValueError(f"strconv.{function}: parsing {quote(text)}: value out of range")
    return value


def _number(text: str) -> int:
    plain = text.replace("_", "")
    return whole_number(plain) if plain.lstrip("+-").isdecimal() else int(plain, 0)
