"""Parse booleans and whole numbers, and write an address with a port, as Go does.

This module needs only the standard library.
"""

from __future__ import annotations

TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))
MOST_DIGITS = 40  # far more than the largest 64-bit number has


def parse_bool(text: str) -> bool | None:
    """Return the boolean that Go's strconv.ParseBool returns for ``text``, or None if ParseBool refuses ``text``."""
    return True if text in TRUE else False if text in FALSE else None


def whole_number(text: str) -> int:
    """Parse decimal digits with an optional sign; a value beyond ±10**40 becomes ±10**40.

    Python's int() refuses more than 4,300 digits with its own error. This function accepts them, so that the caller can
    refuse the number with Docker's error text.
    """
    digits = text.lstrip("+-").lstrip("0")
    value = int(digits or "0") if len(digits) <= MOST_DIGITS else 10**MOST_DIGITS
    return -value if text.startswith("-") else value


def socket_text(address: object, port: object) -> str:
    """Return the text of an address and a port, such as "0.0.0.0:80" or "[::1]:80".

    ``address`` is the text of an IP address or host name, or an address object. ``port`` may also be a text that begins
    with a port. An IPv6 address gets brackets, as in Go's net.JoinHostPort.
    """
    return f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}"
