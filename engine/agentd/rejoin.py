"""Connects adopted network namespaces to their networks again as soon as their names exist again after a boot."""

from __future__ import annotations

import os
from collections.abc import Callable

from engine.agent.service import Snapshot
from engine.containers import adopted
from engine.eventloop.loop import Loop

LOOK_INTERVAL_SECONDS = 0.5
"""Seconds between two looks at the names of waiting namespaces. Without a waiting namespace, there are no looks."""


class RejoinService:
    """Calls ``begin`` when a namespace appears for which a record waits. ``begin`` starts the command that joins it.

    ``begin`` is called once for each new namespace, whether or not the command succeeds.
    """

    name = "rejoin"

    def __init__(self, loop: Loop, begin: Callable[[], object]) -> None:
        self._loop, self._begin = loop, begin
        self._paths: set[str] = set()
        self._tried: set[tuple[str, int]] = set()
        self._looking = False

    def reconcile(self, state: Snapshot) -> None:
        """Look for the names of the namespaces that wait in the snapshot."""
        waiting = [record for record in state.containers if adopted.is_waiting(record)]
        self._paths = {record.sandbox_path for record in waiting} if state.of_this_boot else set()
        if self._paths and not self._looking:
            self._looking = True
            self._look()

    def _look(self) -> None:
        there = {(path, inode) for path in self._paths if (inode := _namespace(path))} - self._tried
        if there:
            self._tried |= there
            self._begin()
        self._looking = bool(self._paths)
        if self._looking:
            self._loop.after(LOOK_INTERVAL_SECONDS, self._look)

    def needed(self) -> bool:
        """Return whether a namespace waits for its name."""
        return bool(self._paths)

    def close(self) -> None:
        """Look no more."""
        self._paths = set()


def _namespace(path: str) -> int:
    """Return the inode of the namespace at a path, or 0 if there is none (yet)."""
    try:
        status = os.stat(path)
        return status.st_ino if status.st_dev == os.stat("/proc/self/ns/net").st_dev else 0
    except OSError:
        return 0
