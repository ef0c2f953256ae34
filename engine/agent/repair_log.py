"""Lines of the agent's log that tell what was repaired, and why."""

from __future__ import annotations

import os
import stat
import sys
from collections import defaultdict
from collections.abc import Sequence

from drivers.api import Difference
from engine import timestamps

FEW = 3  # differences of a kind that a line names
LONG_LOG_BYTES = 1 << 20
"""A longer log is emptied, because another program may repeat for months what is logged here."""


def say(text: str) -> None:
    """Write one line with the time."""
    log = os.fstat(sys.stderr.fileno())
    if stat.S_ISREG(log.st_mode) and log.st_size > LONG_LOG_BYTES:
        os.ftruncate(sys.stderr.fileno(), 0)
    print(f"{timestamps.now()} {text}", file=sys.stderr, flush=True)


def say_repaired(name: str, by: str, found: Sequence[Difference], seconds: float) -> None:
    """Tell the cause and the action of a repair; nothing where it was no damage."""
    damage = described([difference for difference in found if difference.kind != "upkeep"])
    if damage:
        cause = f"{by} changed what the networks share" if by else "differs from the records"
        say(f"{name}: {cause}: {damage}; repaired in {seconds * 1000:.0f} ms")


def say_resting(name: str, by: str, seconds: float) -> None:
    """Tell that another program is in the way."""
    say(f"{name}: {by or 'another program'} keeps undoing the repair; the next one waits {seconds:g} s")


def described(found: Sequence[Difference]) -> str:
    """Name differences in brief."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for difference in found:
        groups[f"{difference.kind} {difference.place}"].append(difference.what)
    return ", ".join(f"{group} ({_brief(sorted(whats))})" for group, whats in groups.items())


def _brief(whats: Sequence[str]) -> str:
    more = len(whats) - FEW
    return ", ".join(whats[:FEW]) + (f" and {more} more" if more > 0 else "")
