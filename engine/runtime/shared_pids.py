"""End all processes of a ``--pid host`` container after the end of its first process.

If a container has its own pid namespace, the kernel ends all its processes together with the first one. With ``--pid
host``, the other processes continue to run, and are ended in two ways:

- The kernel ends the processes in the container's own control group (`engine.runtime.cgroup`).
- This module ends the processes in the container's mount namespace, for two cases: a process has left the control
  group, or hawse cannot change control groups.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

SCAN_SECONDS = 2.0
"""Maximum seconds for which /proc is read again and again, because a process may fork for ever."""


class MountNamespace:
    """A container's mount namespace. It is held open, so that the kernel cannot reuse the namespace's inode number."""

    def __init__(self) -> None:
        self._fd = -1

    def take(self, fd: int) -> None:
        """Hold the container's mount namespace, given as the file descriptor ``fd``; `close` closes ``fd``.

        If the supervisor or process 1 is in this namespace, ``fd`` is closed at once and nothing is held, because `end`
        would kill the supervisor or process 1.
        """
        self.close()
        self._fd = fd
        mine = os.fstat(fd)
        if any(_is_at(mine, entry) for entry in ("self", "1")):
            self.close()

    def take_from(self, pid: int) -> None:
        """Hold the mount namespace of a process as `take` does; does nothing if the namespace cannot be opened."""
        with contextlib.suppress(OSError):
            self.take(open_of(pid))

    def end(self) -> None:
        """Kill all processes in the container's mount namespace, and release the namespace.

        A process may fork while it is being killed. Therefore /proc is read until it shows no new process, for up to
        `SCAN_SECONDS`.
        """
        killed: set[int] = set()
        deadline = time.monotonic() + SCAN_SECONDS
        while self._fd >= 0 and (remaining := self._members() - killed) and time.monotonic() < deadline:
            killed |= remaining
            for pid in remaining:
                self._kill(pid)
        self.close()

    def _kill(self, pid: int) -> None:
        """Kill a process if it is still in the container's mount namespace.

        The check is needed because the process may have ended. Another process may then have its pid.
        """
        with contextlib.suppress(OSError):
            pidfd = os.pidfd_open(pid)
            try:
                if _is_at(os.fstat(self._fd), str(pid)):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            finally:
                os.close(pidfd)

    def close(self) -> None:
        """Release the container's mount namespace; idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _members(self) -> set[int]:
        mine = os.fstat(self._fd)
        return {int(name) for name in os.listdir("/proc") if name.isdigit() and _is_at(mine, name)}


def open_of(pid: int | str) -> int:
    """Return a file descriptor of a process's mount namespace; ``pid`` is a pid, or "self". Raises OSError."""
    return os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)


def _is_at(namespace: os.stat_result, entry: str) -> bool:
    """Return whether the process ``entry`` of /proc is in the mount namespace with the status ``namespace`` (fstat).

    Returns False if the process has ended.
    """
    try:
        return os.path.samestat(namespace, os.stat(f"/proc/{entry}/ns/mnt"))
    except OSError:
        return False
