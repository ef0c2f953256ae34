"""Puts the agent's lock, socket and log back, if other programs delete them from HAWSE_RUN."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from socket import socket

from engine.agent.client import LOG
from engine.eventloop.loop import Loop
from engine.paths import open_private
from engine.runtime.resident import Residence

CHECK_INTERVAL_SECONDS = 0.25
"""Seconds between two looks at the files; a look costs three system calls."""
DELETED = " (deleted)"


class OwnFiles:
    """Looks at the agent's files all the time; ``moved`` is called with a new listener that replaces the old one.

    If the agent is not ``needed``, it ends instead, because the next command starts another one.
    """

    def __init__(
        self, loop: Loop, residence: Residence, moved: Callable[[socket], None], needed: Callable[[], bool]
    ) -> None:
        self._loop, self._residence, self._moved, self._needed = loop, residence, moved, needed
        self._was_intact = True
        loop.after(CHECK_INTERVAL_SECONDS, self._look)

    def _look(self) -> None:
        """Put missing files back at the second look, because their deletion may be in progress at the first."""
        intact = self._residence.is_intact()
        if not (intact or self._was_intact) and not self._needed():
            self._loop.stop()
        elif not (intact or self._was_intact):
            with suppress(OSError):  # a full disk: the next look tries again
                if self._residence.restore():
                    self._moved(self._residence.listener)
                _reopen_log(self._residence.run)
        self._was_intact = intact
        self._loop.after(CHECK_INTERVAL_SECONDS, self._look)


def _reopen_log(run: str) -> None:
    """Write to a new log file if the old one was deleted."""
    log = os.path.join(run, LOG)
    if os.readlink("/proc/self/fd/2") == log + DELETED:
        fd = open_private(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        os.close(fd)
