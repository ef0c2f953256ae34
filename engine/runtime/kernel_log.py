"""Find in the kernel log the processes that the kernel has killed because memory ran out.

The kernel counts the kills of each control group. But only a container with ``--pid host`` has a control group of its
own (`engine.runtime.cgroup`). Therefore this module reads the kernel log. The log names a process by its pid in the
initial pid namespace. Therefore a supervisor in another pid namespace cannot use the log.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from functools import cached_property

from drivers.linux.process import INITIAL_PID_NAMESPACE

_RECORD_BYTES = 16384  # more than the kernel's longest record
_KILLED = re.compile(rb"[^,]*,\d+,(\d+),[^;]*;.*[Kk]illed process (\d+) \(")
_TOLERANCE_SECONDS = 60.0  # the log's clock differs a little from the clock of start times


class KernelLog:
    """The kernel log. The first call of `killed_for_memory` opens it. Each later call reads only the new records."""

    def __init__(self) -> None:
        self._killed: dict[int, float] = {}  # pid: seconds from boot to the kill, not counting the time in suspend

    def killed_for_memory(self, pid: int, start: int) -> bool:
        """Return whether the kernel killed a process because memory ran out, or False if the log cannot be read.

        ``start`` is the start time of the process in clock ticks since boot.
        """
        self._read()
        suspended = time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
        began = start / os.sysconf("SC_CLK_TCK") - suspended
        return self._killed.get(pid, -_TOLERANCE_SECONDS) > began - _TOLERANCE_SECONDS

    @cached_property
    def _fd(self) -> int:
        """The file descriptor of the log, or -1 without the right to read it or outside the initial pid namespace."""
        with contextlib.suppress(OSError):
            if os.stat("/proc/self/ns/pid").st_ino == INITIAL_PID_NAMESPACE:
                return os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        return -1

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
