"""Find the exit status of a process, and convert it to Docker's exit code.

The process need not be a child of this process.
"""

from __future__ import annotations

import errno
import os

from drivers.linux.process import start_time, stat_fields
from engine.runtime import syscalls

LOST = 255
"""The exit code of a process whose end no other process observed. Docker records the same code."""
_EXIT_CODE = 49  # index of the exit code among the fields after the command name in /proc/PID/stat


def open_pidfd(pid: int, started: int) -> int | None:
    """Open a pidfd of the process ``pid`` that started at ``started``; return None if that process has ended.

    ``started`` is in clock ticks since boot. A later process with the same pid has another start time. Raises OSError
    if no descriptor or memory is left. None would be wrong in this case, because the process may still be running.
    """
    if pid <= 0:
        return None
    try:
        fd = os.pidfd_open(pid)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise
        return None
    is_same = False
    try:
        is_same = start_time(pid) == started
    finally:
        if not is_same:
            os.close(fd)
    return fd if is_same else None


def exit_code(status: int) -> int:
    """Convert a wait status to Docker's exit code, which is 128+N for signal N."""
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def foreign_exit_status(pid: int, pidfd: int) -> int | None:
    """Return the wait status of an ended process that is no child of this process, or None if the status is unknown.

    The status is read from the pidfd, or from /proc while the process is a zombie (not reaped yet).
    """
    fields = stat_fields(pid)
    if len(fields) > _EXIT_CODE and fields[0] == b"Z":
        return int(fields[_EXIT_CODE])
    return syscalls.pidfd_exit_status(pidfd)
