"""Format a simple value (bool, number or string) for one verb of Go's fmt (such as ``%d``) with its flags.

The module implements padding, precision, signs and quoting. printing.py formats composite values.
"""

from __future__ import annotations

from cli.gotemplate.numberfmt import format_float
from cli.gotemplate.text import can_backquote, decode, encode, quote_rune, rune_to_bytes
from engine.golang.strconv import quote

MAX_UINT = 2**64 - 1
_PYTHON_VERBS = {"d": "d", "v": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "x"}
"""Maps the verbs of Go that print an integer in base 2, 8, 10 or 16 to Python's letters for the same bases."""


class Flags:
    """The flags, the width and the precision of one format verb; a missing ``width`` or ``precision`` is None."""

    __slots__ = ("minus", "plus", "plus_v", "precision", "sharp", "sharp_v", "space", "width", "zero")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Reset all flags, the width and the precision of the format verb to "not given"."""
        self.minus = self.plus = self.sharp = self.space = self.zero = False
        self.plus_v = self.sharp_v = False
        self.width: int | None = None
        self.precision: int | None = None

    def pad(self, data: bytes, zero: bool | None = None) -> bytes:
        """Pad ``data`` to the verb's width, which is a number of runes.

        ``zero`` says whether zeros are used in place of spaces; None means that the verb's flag decides.
        """
        if not self.width:
            return data
        missing = self.width - len(decode(data))
        if missing <= 0:
            return data
        if self.minus:
            return data + b" " * missing
        return (b"0" if (self.zero if zero is None else zero) else b" ") * missing + data

    def truncate(self, data: bytes) -> bytes:
        """Cut ``data`` to the verb's precision, a number of runes; without a precision, return ``data`` unchanged."""
        if self.precision is None:
            return data
        return encode(decode(data)[: self.precision])

    # -------------------------------------------------------------------------------------------------- strings

    def text(self, data: bytes) -> bytes:
        """Format ``data`` for the verb %s."""
        return self.pad(self.truncate(data))

    def quoted(self, data: bytes) -> bytes:
        """Format ``data`` for the verb %q."""
        text = decode(self.truncate(data))
        if self.sharp and can_backquote(text):
            return self.pad(encode(f"`{text}`"))
        return self.pad(encode(quote(text, self.plus)))

    def hex_bytes(self, data: bytes, upper: bool) -> bytes:
        """Format ``data`` for the verb %x or, with ``upper``, %X."""
        if self.precision is not None:
            data = data[: self.precision]
        pairs = [f"{byte:02X}" if upper else f"{byte:02x}" for byte in data]
        prefix = ("0X" if upper else "0x") if self.sharp and pairs else ""
        text = f" {prefix}".join(pairs) if self.space else "".join(pairs)
        return self.pad((prefix + text).encode())

    def string(self, data: bytes, verb: str) -> bytes | None:
        """Format a string for one verb; return None if this verb cannot print strings."""
        if verb == "v":
            return self.quoted(data) if self.sharp_v else self.text(data)
        if verb == "s":
            return self.text(data)
        if verb == "q":
            return self.quoted(data)
        return self.hex_bytes(data, verb == "X") if verb in "xX" else None

    def boolean(self, value: bool, verb: str) -> bytes | None:
        """Format a bool for one verb; return None if this verb cannot print bools."""
        return self.pad(b"true" if value else b"false") if verb in "tv" else None

    # ------------------------------------------------------------------------------------------------- integers

    def integer(self, value: int, verb: str, signed: bool = True) -> bytes | None:
        """Format an integer for one verb; return None if this verb cannot print integers.

        ``signed`` is False if the type in Go is unsigned. The verb %#v prints unsigned integers in hexadecimal.
        """
        if verb == "v" and self.sharp_v and not signed:
            return self.prefixed_hex(value)
        if verb in _PYTHON_VERBS:
            return self._based(value, verb)
        code = value & MAX_UINT
        if verb == "c":
            return self.pad(rune_to_bytes(code))
        if verb == "q":
            return self.pad(encode(quote_rune(code, self.plus)))
        return self._unicode(code) if verb == "U" else None

    def prefixed_hex(self, value: int, prefix: bool = True) -> bytes:
        """Format an integer as hexadecimal, with ``0x`` if ``prefix`` is True; the verb's flag ``#`` has no effect."""
        sharp, self.sharp = self.sharp, prefix
        data = self._based(value, "x")
        self.sharp = sharp
        return data

    def _based(self, value: int, verb: str) -> bytes:
        base = _PYTHON_VERBS[verb]
        sign = "-" if value < 0 else "+" if self.plus else " " if self.space else ""
        precision = 0
        if self.precision is not None:
            precision = self.precision
            if precision == 0 and value == 0:
                return b" " * (self.width or 0)
        elif self.zero and not self.minus and self.width:
            precision = self.width - len(sign)
        digits = format(abs(value), base).rjust(precision, "0")
        if self.sharp and base != "d":
            digits = {"b": "0b", "o": "" if digits[0] == "0" else "0", "x": "0x"}[base] + digits
        if verb == "O":
            digits = "0o" + digits
        text = sign + (digits.upper() if verb == "X" else digits)
        return self.pad(text.encode(), zero=False)

    def _unicode(self, code: int) -> bytes:
        text = "U+" + f"{code:X}".rjust(max(4, self.precision or 0), "0")
        if self.sharp and code <= 0x10FFFF and chr(code).isprintable():
            text += f" '{chr(code)}'"
        return self.pad(encode(text), zero=False)

    # --------------------------------------------------------------------------------------------------- floats

    def floating(self, value: float, verb: str) -> bytes | None:
        """Format a float64 for one verb; return None if this verb cannot print floats."""
        if verb == "v":
            return self._float(value, "g", -1)
        if verb in "bgGxX":
            return self._float(value, verb, -1)
        return self._float(value, "f" if verb == "F" else verb, 6) if verb in "feEF" else None

    def complex_number(self, value: complex, verb: str) -> bytes | None:
        """Format a complex128 for one verb; return None if this verb cannot print complex numbers."""
        real = self.floating(value.real, verb)
        plus, self.plus = self.plus, True
        imaginary = self.floating(value.imag, verb)
        self.plus = plus
        return None if real is None or imaginary is None else b"(" + real + imaginary + b"i)"

    def _float(self, value: float, verb: str, precision: int) -> bytes:
        if self.precision is not None:
            precision = self.precision
        text = format_float(value, verb, precision)
        if self.space and text[0] == "+" and not self.plus:
            text = " " + text[1:]
        if text[1] in "IN":
            return self._special(text)
        if self.sharp and verb != "b":
            text = _with_point(text, verb, precision)
        if not self.plus and text[0] == "+":
            return self.pad(text[1:].encode())
        if self.zero and not self.minus and self.width and self.width > len(text):
            text = text[0] + text[1:].rjust(self.width - 1, "0")
        return self.pad(text.encode())

    def _special(self, text: str) -> bytes:
        """Format infinity or NaN (not a number); infinity and NaN are never padded with zeros.

        ``text`` is the sign or a space, followed by ``Inf`` or ``NaN``.
        """
        if text[1] == "N" and not self.space and not self.plus:
            text = text[1:]
        return self.pad(text.encode(), zero=False)


def _with_point(text: str, verb: str, precision: int) -> str:
    """Return the number ``text`` with a decimal point, as Go's flag ``#`` requires, even if no digits follow the point.

    For %g, %G and %x, zeros are added until the number has ``precision`` significant digits. A ``precision`` of -1
    means 6 digits. As in Go, the ``x`` in ``0x`` counts as a digit.
    """
    digits = {"g": precision, "G": precision, "x": precision}.get(verb, 0)
    if verb in "gGx" and digits == -1:
        digits = 6
    split = len(text)
    for index, rune in enumerate(text[1:], 1):
        if rune in "pP" or (rune in "eE" and verb not in "xX"):
            split = index
            break
    number, tail = text[:split], text[split:]
    significant = number[1:].replace(".", "").lstrip("0") if "x" not in number else number[1:].replace(".", "")[1:]
    digits -= len(significant)
    if "." not in number:
        digits -= number[1:] == "0"
        number += "."
    return number + "0" * max(0, digits) + tail
