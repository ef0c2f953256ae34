"""Restores the agent's lock, socket and log if other programs delete them from HAWSE_RUN."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from socket import socket

from engine.agent.client import LOG
from engine.errors import PermissionDenied
from engine.eventloop.inotify import DELETE, DELETE_SELF, MOVE_SELF, MOVED_FROM, Inotify, InotifyWatch
from engine.eventloop.loop import Loop
from engine.paths import open_private
from engine.runtime.resident import Residence

REPAIR_DELAY_SECONDS = 0.3
"""Seconds from the deletion of a file to the repair, because other files may be deleted next."""
CHECK_INTERVAL_SECONDS = 5.0
"""Seconds between two checks of the files without a notification. A replaced directory sends no notification."""
DELETED = " (deleted)"


class OwnFiles:
    """Watches the agent's lock, socket and log, and restores deleted ones.

    If the socket was deleted, ``moved`` is called with the new listening socket. If a file was deleted and ``needed``
    returns False, the agent ends and restores nothing. The next command then starts another agent.
    """

    def __init__(
        self,
        loop: Loop,
        inotify: Inotify,
        residence: Residence,
        moved: Callable[[socket], None],
        needed: Callable[[], bool],
    ) -> None:
        self._loop, self._inotify, self._residence = loop, inotify, residence
        self._moved, self._needed = moved, needed
        self._watch: InotifyWatch | None = None
        self._look_is_due = False
        self._follow()
        loop.after(CHECK_INTERVAL_SECONDS, self._check)

    def _follow(self) -> None:
        """Watch the directory that is now at the path of HAWSE_RUN."""
        if self._watch is not None:
            self._inotify.remove(self._watch)
            self._watch = None
        with suppress(OSError):  # no directory: the next check tries again
            mask = DELETE | MOVED_FROM | DELETE_SELF | MOVE_SELF
            self._watch = self._inotify.add(self._residence.run, mask, lambda _name, _mask: self._look_soon())

    def _look_soon(self) -> None:
        if not self._look_is_due:
            self._look_is_due = True
            self._loop.after(REPAIR_DELAY_SECONDS, self._look)

    def _check(self) -> None:
        if not self._is_intact():
            self._look_soon()
        self._loop.after(CHECK_INTERVAL_SECONDS, self._check)

    def _look(self) -> None:
        self._look_is_due = False
        if self._is_intact():
            return
        if not self._needed():
            self._loop.stop()
            return
        with suppress(OSError, PermissionDenied):  # for example, a full disk: the next check tries again
            if self._residence.restore():
                self._moved(self._residence.listener)
            if _is_log_deleted(self._residence.run):
                _reopen_log(self._residence.run)
        self._follow()

    def _is_intact(self) -> bool:
        return self._residence.is_intact() and not _is_log_deleted(self._residence.run)


def _is_log_deleted(run: str) -> bool:
    """Return whether this process writes stderr to the agent's log, and the log file was deleted."""
    return os.readlink("/proc/self/fd/2") == os.path.join(run, LOG) + DELETED


def _reopen_log(run: str) -> None:
    """Make stdout and stderr of this process write to a new log file."""
    fd = open_private(os.path.join(run, LOG), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    os.close(fd)
