"""Parse signal names and numbers as users type them."""

from __future__ import annotations

import re
import signal

from engine.errors import InvalidArgument
from engine.golang.strconv import whole_number

RTMIN, RTMAX = 34, 64  # the first two real-time signals, 32 and 33, are reserved for glibc
NAMES = {member.name.removeprefix("SIG"): member.value for member in signal.Signals}
LARGEST = (1 << 63) - 1  # the largest value of Go's int
REALTIME = re.compile(r"RTM(?P<base>IN|AX)(?P<offset>[+-][0-9]+)?")


def parse_signal(text: str) -> int:
    """Return the number of a signal given as ``15``, ``TERM``, ``sigterm`` or ``SIGRTMIN+3``.

    Raises `InvalidArgument` for 0, for numbers that are too large, and for names that are no signals. A negative number
    is returned unchanged (`check_supported` refuses it).
    """
    if re.fullmatch(r"[+-]?[0-9]+", text):
        value = whole_number(text)
        number = value if abs(value) <= LARGEST else None
    else:
        name = text.upper().removeprefix("SIG")
        number = NAMES.get(name) or _realtime(name)
    if not number:
        raise InvalidArgument(f"invalid signal: {text}")
    return number


def check_supported(number: int) -> int:
    """Check that Linux has a signal of this number, and return the number; raises `InvalidArgument`."""
    if not 0 < number <= RTMAX:
        raise InvalidArgument(f"the linux daemon does not support signal {number}")
    return number


def _realtime(name: str) -> int | None:
    match = REALTIME.fullmatch(name)
    if match is None:
        return None
    number = (RTMIN if match["base"] == "IN" else RTMAX) + whole_number(match["offset"] or "0")
    return number if RTMIN <= number <= RTMAX else None
