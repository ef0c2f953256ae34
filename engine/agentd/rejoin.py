"""Records the end of adopted network namespaces, which are namespaces that hawse did not make.

After a boot, connects such a namespace to its networks again as soon as its name exists.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial

from drivers.linux.namespaces import is_namespace_file
from engine.agent.service import Snapshot
from engine.containers import adopted
from engine.eventloop.inotify import Inotify
from engine.eventloop.loop import Loop
from engine.eventloop.netns import PinnedNamespace
from engine.model import ContainerRecord
from engine.runtime.adopted_namespace import has_certainly_ended

LOOK_INTERVAL_SECONDS = 0.5
"""Seconds between two checks whether the names of missing namespaces exist again; no checks if none is missing."""


Place = tuple[str, int, int, int]
"""An adopted namespace: its path, its inode, and the pid and start time of its process, or zeros without a process."""


class RejoinService:
    """Calls ``begin`` when an adopted namespace ends, or when one that is missing since a boot exists again.

    ``begin`` starts the command ``__rejoin``, which finds the change and records it in the store. For each namespace,
    ``begin`` is called once, even if the command fails.
    """

    name = "rejoin"

    def __init__(self, loop: Loop, inotify: Inotify, begin: Callable[[], object]) -> None:
        self._loop, self._inotify, self._begin = loop, inotify, begin
        self._followed: dict[Place, PinnedNamespace] = {}
        self._reported: set[Place] = set()
        self._paths: set[str] = set()
        self._tried: set[tuple[str, int]] = set()
        self._looking = False

    def reconcile(self, state: Snapshot) -> None:
        """Watch the adopted namespaces that are on networks, and wait for those that are missing since a boot."""
        present = [r for r in state.containers if r.kind == "adopted" and r.status == "running"]
        self._follow({_place(record): record for record in present} if state.of_this_boot else {})
        waiting = [record for record in state.containers if adopted.is_waiting(record)]
        self._paths = {record.sandbox_path for record in waiting} if state.of_this_boot else set()
        if self._paths and not self._looking:
            self._looking = True
            self._look()

    def _follow(self, present: Mapping[Place, ContainerRecord]) -> None:
        for place in self._followed.keys() - present.keys():
            self._followed.pop(place).close()
        self._reported &= present.keys()
        for place in present.keys() - self._followed.keys() - self._reported:
            path, inode, pid, start = place
            gone = partial(self._gone, place)
            try:
                namespace = PinnedNamespace(
                    self._loop, self._inotify, path, gone, inode=inode, pid=pid, pid_start=start
                )
            except OSError:
                if has_certainly_ended(present[place]):
                    self._gone(place)
                continue
            namespace.release()  # an open file descriptor of the agent would keep the namespace alive
            self._followed[place] = namespace

    def _gone(self, place: Place) -> None:
        followed = self._followed.pop(place, None)
        if followed is not None:
            followed.close()
        self._reported.add(place)
        self._begin()

    def _look(self) -> None:
        there = {(path, inode) for path in self._paths if (inode := _namespace(path))} - self._tried
        if there:
            self._tried |= there
            self._begin()
        self._looking = bool(self._paths)
        if self._looking:
            self._loop.after(LOOK_INTERVAL_SECONDS, self._look)

    def needed(self) -> bool:
        """Return whether an adopted namespace is on a network, or has been missing since a boot."""
        return bool(self._paths) or bool(self._followed)

    def close(self) -> None:
        """Stop watching the adopted namespaces, and stop waiting for missing ones."""
        self._paths = set()
        self._follow({})


def _place(record: ContainerRecord) -> Place:
    return record.sandbox_path, record.sandbox_inode, record.pid, record.pid_start


def _namespace(path: str) -> int:
    """Return the inode number of the namespace at a path, or 0 if no namespace is at the path."""
    try:
        status = os.stat(path)
        return status.st_ino if is_namespace_file(status) else 0
    except OSError:
        return 0
