"""The identity of a process: its pid together with its start time, so that a reused pid is noticed.

Reads /proc only; imports little, because the supervisor lives on it.
"""

from __future__ import annotations

import os

from engine.runtime import syscalls

_STATE, _START_TIME, _EXIT_CODE = 0, 19, 49  # positions behind the command name in /proc/PID/stat


def _stat(pid: int) -> list[str]:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def start_time(pid: int) -> int:
    """When the process started, in clock ticks since boot; 0 when there is none."""
    fields = _stat(pid)
    return int(fields[_START_TIME]) if fields else 0


def is_alive(pid: int, started: int) -> bool:
    """Tell whether the process that started then is still there and not a zombie."""
    fields = _stat(pid)
    return bool(fields) and int(fields[_START_TIME]) == started and fields[_STATE] not in "ZX"


def open_pidfd(pid: int, started: int) -> int | None:
    """Open a pidfd of exactly this process; None when it is gone."""
    if pid <= 0:
        return None
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return None
    if start_time(pid) == started:
        return fd
    os.close(fd)
    return None


def exit_code(status: int) -> int:
    """Docker's exit code of a wait status: 128+N for signal N."""
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def foreign_exit_status(pid: int, pidfd: int) -> int | None:
    """The wait status of an ended process that is not our child: of the zombie, or what its pidfd remembers."""
    fields = _stat(pid)
    if len(fields) > _EXIT_CODE and fields[_STATE] == "Z":
        return int(fields[_EXIT_CODE])
    return syscalls.pidfd_exit_status(pidfd)


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


def process_identity() -> str:
    """This process as an intent's owner."""
    pid = os.getpid()
    return f"{pid}:{start_ticks(pid)}"


def is_running(owner: str) -> bool:
    """Tell whether an intent's owner still runs."""
    pid, _, ticks = owner.partition(":")
    return pid.isdigit() and ticks.isdigit() and is_process(int(pid), int(ticks))
