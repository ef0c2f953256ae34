"""Convert floating-point numbers to digits as Go's strconv does: shortest decimals, exponents and hexadecimal form."""

from __future__ import annotations

import math


def _shortest_digits(value: float) -> tuple[str, int]:
    """Return the shortest digits that identify ``value``, and the position of the decimal point in them.

    The sign is ignored. Examples: 12.5 gives ("125", 2), and 0.05 gives ("5", -1).
    """
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    point = len(whole) + int(exponent or 0)
    digits = (whole + fraction).lstrip("0")
    point -= len(whole + fraction) - len(digits)
    digits = digits.rstrip("0")
    return (digits, point) if digits else ("0", 1)


def _exponent_form(digits: str, point: int, mark: str) -> str:
    exponent = point - 1 if digits != "0" else 0
    fraction = "." + digits[1:] if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}{mark}{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def _plain_form(digits: str, point: int) -> str:
    if point <= 0:
        return "0." + "0" * -point + digits if digits != "0" else "0"
    digits = digits.ljust(point, "0")
    return digits[:point] + ("." + digits[point:] if len(digits) > point else "")


def _shortest(value: float, verb: str) -> str:
    digits, point = _shortest_digits(value)
    if verb in "eE":
        return _exponent_form(digits, point, verb)
    if verb == "f":
        return _plain_form(digits, point)
    if not -4 <= point - 1 < 6 and digits != "0":
        return _exponent_form(digits, point, "E" if verb == "G" else "e")
    return _plain_form(digits, point)


def _binary_exponent(value: float) -> str:
    if value == 0:
        return "0p-1074"
    fraction, exponent = math.frexp(value)
    mantissa = int(fraction * 2**53)
    exponent -= 53
    if exponent < -1074:
        mantissa >>= -1074 - exponent
        exponent = -1074
    return f"{mantissa}p{exponent:+d}"


def _hexadecimal(value: float, precision: int, verb: str) -> str:
    exponent = 0
    mantissa = 0
    if value:
        fraction, exponent = math.frexp(value)
        mantissa = int(fraction * 2**53)
        exponent -= 1
    if 0 <= precision < 13:
        shift = 4 * (13 - precision)
        mantissa, rest = mantissa >> shift, mantissa & ((1 << shift) - 1)
        if rest > 1 << (shift - 1) or (rest == 1 << (shift - 1) and mantissa & 1):
            mantissa += 1
        mantissa <<= shift
        if mantissa >> 53:
            mantissa >>= 1
            exponent += 1
    fraction_digits = f"{mantissa & ((1 << 52) - 1):013x}"
    fraction_digits = (
        fraction_digits.rstrip("0") if precision < 0 else fraction_digits[:precision].ljust(precision, "0")
    )
    text = f"0x{mantissa >> 52}{'.' + fraction_digits if fraction_digits else ''}p{'-' if exponent < 0 else '+'}"
    text += f"{abs(exponent):02d}"
    return text.upper() if verb == "X" else text


def format_float(value: float, verb: str, precision: int = -1) -> str:
    """Format ``value`` as strconv.FormatFloat does, but always with a sign.

    The ``verb`` is one of the letters eEfgGbxX. The meaning of ``precision`` depends on the verb:

    - e, E, f, x and X: the number of digits after the point
    - g and G: the maximum number of significant digits
    - b: no effect

    For all verbs except b, -1 means the shortest form that identifies the value.
    """
    if math.isnan(value):
        return "+NaN"
    sign = "-" if math.copysign(1, value) < 0 else "+"
    value = abs(value)
    if math.isinf(value):
        return sign + "Inf"
    if verb == "b":
        return sign + _binary_exponent(value)
    if verb in "xX":
        return sign + _hexadecimal(value, precision, verb)
    if precision < 0:
        return sign + _shortest(value, verb)
    return sign + format(value, f".{precision}{verb}")
