"""TODO."""

from __future__ import annotations

import secrets

ID_LENGTH = 25


DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def new_id() -> str:
    """Make up an id as Docker's swarm has them: 25 characters, base 36."""
    return base36(secrets.randbits(128), ID_LENGTH)


def derived_id(hexadecimal: str) -> str:
    """The id that stands for an object which has a hexadecimal one."""
    return base36(int(hexadecimal[:32], 16), ID_LENGTH)


def base36(number: int, length: int) -> str:
    """Write a number with at least ``length`` digits."""
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = DIGITS[rest] + digits
    return digits.rjust(length, "0")
