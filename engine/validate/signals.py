"""Parse signal names and numbers as users type them."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping

from engine.errors import InvalidArgument
from engine.golang.strconv import whole_number

RTMIN, RTMAX = 34, 64  # the first two real-time signals, 32 and 33, are reserved for glibc
NAMES: Mapping[str, int] = {
    **{name.removeprefix("SIG"): member.value for name, member in signal.Signals.__members__.items()},
    **{f"RTMIN+{offset}": RTMIN + offset for offset in range(1, 16)},
    **{f"RTMAX-{offset}": RTMAX - offset for offset in range(1, 15)},
}
"""Maps the names of signals that Docker knows, without "SIG", to their numbers. Some signals have several names."""
LARGEST = (1 << 63) - 1  # the largest value of Go's int


def parse_signal(text: str) -> int:
    """Return the number of a signal given as ``15``, ``TERM``, ``sigterm`` or ``SIGRTMIN+3``.

    Raises `InvalidArgument` for 0, for numbers that are too large, and for names that are no signals. A negative number
    is returned unchanged (`check_supported` refuses it).
    """
    if re.fullmatch(r"[+-]?[0-9]+", text):
        value = whole_number(text)
        number = value if abs(value) <= LARGEST else None
    else:
        number = NAMES.get(text.upper().removeprefix("SIG"))
    if not number:
        raise InvalidArgument(f"invalid signal: {text}")
    return number


def check_supported(number: int) -> int:
    """Check that a signal with this number has a name, and return the number; raises `InvalidArgument`."""
    if number not in NAMES.values():
        raise InvalidArgument(f"the linux daemon does not support signal {number}")
    return number
