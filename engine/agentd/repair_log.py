"""Writes lines about repairs, and about the causes of repairs, to the agent's log.

``name`` is the repaired object or state. ``by`` is the program that caused the repair, or "" if it is unknown.
``seconds`` is the repair's duration, except in `say_resting`.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence

from drivers.model import Difference
from engine.errors import one_line
from engine.events.repair import described
from engine.golang import timestamps

LONG_LOG_BYTES = 1 << 20
"""Maximum bytes of the log. A longer log is emptied, because another program may cause repairs, and log lines, for
months.
"""


def say(text: str) -> None:
    """Append a line with the time and ``text`` to the log; a log over `LONG_LOG_BYTES` is emptied first.

    Control characters are escaped, because a container or another program may have chosen a name in ``text``.
    """
    log = os.fstat(sys.stderr.fileno())
    if stat.S_ISREG(log.st_mode) and log.st_size > LONG_LOG_BYTES:
        os.ftruncate(sys.stderr.fileno(), 0)
    print(f"{timestamps.now()} {one_line(text)}", file=sys.stderr, flush=True)


def say_repaired(name: str, by: str, differences: Sequence[Difference], seconds: float) -> None:
    """Log which program caused a repair, and which differences from the required state were repaired.

    Logs nothing if nothing was damaged.
    """
    damage = described([difference for difference in differences if difference.is_damage])
    if damage:
        cause = f"{by} changed what the networks share" if by else "differs from the records"
        say(f"{name}: {cause}: {damage}; repaired in {seconds * 1000:.0f} ms")


def say_restored(name: str, by: str, differences: Sequence[Difference], seconds: float) -> None:
    """Log the repair of a network or container, and which program had damaged it."""
    cause = f"{by or 'another program'} made a change"
    say(f"{name}: {cause}: {described(differences)}; repaired in {seconds * 1000:.0f} ms")


def say_resting(name: str, by: str, seconds: float) -> None:
    """Log that another program repeatedly undoes the repair of ``name``, and the seconds until the next repair."""
    say(f"{name}: {by or 'another program'} keeps undoing the repair; the next one waits {seconds:g} s")
