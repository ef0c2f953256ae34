"""Find in the kernel log the processes that the kernel has killed because memory ran out.

The kernel counts the kills of each control group. But only a container with ``--pid host`` has a control group of its
own (`engine.runtime.cgroup`). Therefore this module reads the kernel log. The log names a process by its pid in the
initial pid namespace. Therefore a supervisor in another pid namespace cannot use the log.
"""

from __future__ import annotations

import os
import re
import time

from drivers.linux.process import INITIAL_PID_NAMESPACE

_RECORD_BYTES = 16384  # more than the kernel's longest record
_KILLED = re.compile(rb"[^,]*,\d+,(\d+),[^;]*;.*[Kk]illed process (\d+) \(")
_TOLERANCE_SECONDS = 60.0  # the log's clock differs a little from the clock of start times


class KernelLog:
    """The kernel log. The first call of a method opens the log. Each later call reads only the new records."""

    def __init__(self) -> None:
        self._fd, self._opened = -1, False
        self._killed: dict[int, float] = {}  # pid: seconds from boot to the kill, not counting the time in suspend

    @property
    def readable(self) -> bool:
        """Whether this process can read the log, and the log's pids are valid in the pid namespace of this process."""
        self._open_once()
        return self._fd >= 0

    def killed_for_memory(self, pid: int, start: int) -> bool:
        """Return whether the kernel killed a process because memory ran out, or False if the log cannot be read.

        ``start`` is the start time of the process in clock ticks since boot.
        """
        self._open_once()
        self._read()
        suspended = time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
        began = start / os.sysconf("SC_CLK_TCK") - suspended
        return self._killed.get(pid, -_TOLERANCE_SECONDS) > began - _TOLERANCE_SECONDS

    def _open_once(self) -> None:
        if self._opened:
            return
        self._opened = True
        try:
            if os.stat("/proc/self/ns/pid").st_ino == INITIAL_PID_NAMESPACE:
                self._fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return

    def _read(self) -> None:
        while self._fd >= 0:
            try:
                record = os.read(self._fd, _RECORD_BYTES)
            except BrokenPipeError:  # the kernel has overwritten the next record
                continue
            except OSError:
                return
            match = _KILLED.match(record)
            if match:
                self._killed[int(match[2])] = int(match[1]) / 1e6
