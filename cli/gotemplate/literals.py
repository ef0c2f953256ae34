"""Parse number and character constants as Go does (package strconv).

One constant may be an int, an unsigned int and a float at the same time. When the template is executed, the evaluator
chooses one of these types.
"""

from __future__ import annotations

import math

from cli.gotemplate.nodes import NumberNode
from cli.gotemplate.text import unquote_char
from engine.golang.strconv import quote

MIN_INT, MAX_INT, MAX_UINT = -(2**63), 2**63 - 1, 2**64 - 1
_BASES = {"x": 16, "b": 2, "o": 8}


def parse_number(pos: int, text: str, kind: str) -> NumberNode:
    """Parse a token of kind "number", "complex" or "char constant", and return its node.

    ``pos`` is the token's position in characters from the start of the source, and ``text`` is its source text. Raises
    ValueError with Go's error text.
    """
    number = NumberNode(pos, text)
    if kind == "char constant":
        _read_character(number)
    elif kind == "complex":
        _read_complex(number)
    elif text.endswith("i") and (imaginary := parse_float(text[:-1])) is not None:
        _set_complex(number, complex(0, imaginary))
    else:
        _read_real(number)
    return number


def _read_character(number: NumberNode) -> None:
    data, end = unquote_char(number.text, 1, "'")
    if number.text[end:] != "'":
        raise ValueError(f"malformed character constant: {number.text}")
    # In a character constant, \x80 to \xff are code points and not bytes.
    code = data[0] if len(data) == 1 else ord(data.decode())
    number.as_int = number.as_uint = code
    number.as_float = float(code)


def _read_complex(number: NumberNode) -> None:
    split = max(number.text.rfind("+"), number.text.rfind("-"))
    if number.text[split - 1] in "eEpP":
        split = max(number.text.rfind("+", 0, split), number.text.rfind("-", 0, split))
    real, imaginary = parse_float(number.text[:split]), parse_float(number.text[split:-1])
    if real is None or imaginary is None:
        raise ValueError("syntax error scanning complex number")
    _set_complex(number, complex(real, imaginary))


def _set_complex(number: NumberNode, value: complex) -> None:
    number.as_complex = value
    if value.imag == 0:
        number.as_float = value.real
        number.as_int = _integral(value.real, MIN_INT, MAX_INT)
        number.as_uint = _integral(value.real, 0, MAX_UINT)


def _read_real(number: NumberNode) -> None:
    integer = parse_integer(number.text)
    if integer is not None:
        number.as_int = integer if MIN_INT <= integer <= MAX_INT else None
        signed = number.text[0] in "+-"
        number.as_uint = integer if (not signed and integer <= MAX_UINT) or integer == 0 else None
    if number.as_int is not None or number.as_uint is not None:
        number.as_float = float(number.as_int if number.as_int is not None else number.as_uint or 0)
        return
    value = parse_float(number.text)
    if value is None:
        raise ValueError(f"illegal number syntax: {quote(number.text)}")
    if not any(c in ".eEpP" for c in number.text):
        raise ValueError(f"integer overflow: {quote(number.text)}")
    number.as_float = value
    number.as_int = _integral(value, MIN_INT, MAX_INT)
    number.as_uint = _integral(value, 0, MAX_UINT)


def _integral(value: float, low: int, high: int) -> int | None:
    return int(value) if value.is_integer() and low <= value <= high else None


def _split_sign(text: str) -> tuple[int, str]:
    if text[:1] in ("+", "-"):
        return (-1 if text[0] == "-" else 1), text[1:]
    return 1, text


def _underscores_ok(text: str) -> bool:
    """Return whether each underscore of a number is between two digits.

    The base prefix, such as ``0x``, counts as a digit.
    """
    prefixed = text[:1] == "0" and text[1:2].lower() in _BASES
    hexadecimal = prefixed and text[1:2].lower() == "x"
    before = "0" if prefixed else "^"
    for rune in text[2:] if prefixed else text:
        if rune.isdecimal() or (hexadecimal and rune in "abcdefABCDEF"):
            before = "0"
        elif rune == "_":
            if before != "0":
                return False
            before = "_"
        else:
            if before == "_":
                return False
            before = "!"
    return before != "_"


def parse_integer(text: str) -> int | None:
    """Return the value of a Go integer literal with an optional sign, or None if the text is not such a literal.

    A literal with more than 100 digits gives None too.
    """
    sign, digits = _split_sign(text)
    if "_" in digits:
        if not _underscores_ok(digits):
            return None
        digits = digits.replace("_", "")
    base = 10
    if digits[:1] == "0" and len(digits) > 1:
        base = _BASES.get(digits[1].lower(), 8)
        digits = digits[2:] if digits[1].lower() in _BASES else digits[1:]
    allowed = "0123456789abcdef"[:base]
    if not digits or len(digits) > 100 or any(c not in allowed for c in digits.lower()):
        return None
    return sign * int(digits, base)


def parse_float(text: str) -> float | None:
    """Return the value of a Go floating point literal, or None if the text is not such a literal.

    A value that is too large gives None too.
    """
    sign, digits = _split_sign(text)
    if "_" in digits and not _underscores_ok(digits):
        return None
    digits = digits.replace("_", "").lower()
    try:
        if digits.startswith("0x"):
            if "p" not in digits:
                return None
            value = float.fromhex(digits)
        elif digits and digits[0] in ".0123456789" and not digits.endswith("i"):
            value = float(digits)
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return None if math.isinf(value) else sign * value
