"""Who is at work: a name for this process that outlives it and is never mistaken for a later process."""

from __future__ import annotations

import os


def start_ticks(pid: int) -> int:
    """Clock ticks since boot at which a process started (proc_pid_stat(5), field 22); 0 when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return int(stat.read().rsplit(b")", 1)[1].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def is_process(pid: int, ticks: int) -> bool:
    """Tell whether ``pid`` is still the process that started at ``ticks``, and not a zombie."""
    if pid <= 0:
        return False
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rsplit(b")", 1)[1].split()
    except OSError:
        return False
    return int(fields[19]) == ticks and fields[0] not in (b"Z", b"X")


def me() -> str:
    """This process as an intent's owner."""
    pid = os.getpid()
    return f"{pid}:{start_ticks(pid)}"


def alive(owner: str) -> bool:
    """Tell whether an intent's owner still runs."""
    pid, _, ticks = owner.partition(":")
    return pid.isdigit() and ticks.isdigit() and is_process(int(pid), int(ticks))
