"""Watches one file for edits, replacement and changed symbolic links. Several quick changes give one report."""

from __future__ import annotations

import os
from collections.abc import Callable

from engine.eventloop.inotify import (
    CLOSE_WRITE,
    CREATE,
    DELETE,
    DELETE_SELF,
    MODIFY,
    MOVE_SELF,
    MOVED_FROM,
    MOVED_TO,
    Inotify,
    InotifyWatch,
)
from engine.eventloop.loop import Loop, Timer

LINKS_LIMIT = 40  # symbolic links in one path, as in the kernel (MAXSYMLINKS)
SETTLE_SECONDS = 0.05
"""Seconds after the last file change until the watch reports all changes together."""
GONE = DELETE_SELF | MOVE_SELF


class FileWatch:
    """A watch of a file; calls ``changed`` after a possible change of the file to which ``path`` leads.

    The watch covers the file, each symbolic link in ``path``, and the directories of both. Instead of a missing
    directory, it covers the nearest parent directory that exists. The file needs its own watch, because its directory
    reports no changes if the file is bind-mounted (``ip netns exec``).
    """

    def __init__(self, loop: Loop, inotify: Inotify, path: str, changed: Callable[[], None]) -> None:
        self._loop, self._inotify, self._path, self._changed = loop, inotify, path, changed
        self._watches: list[InotifyWatch] = []
        self._timer: Timer | None = None
        self._watch()

    def _watch(self) -> None:
        for watch in self._watches:
            self._inotify.remove(watch)
        self._watches = []
        *links, target = _passed(self._path)
        for path in (*links, target):
            directory, name = os.path.split(path)
            while not os.path.isdir(directory):
                directory, name = os.path.split(directory)
            self._add(directory, CLOSE_WRITE | CREATE | DELETE | MOVED_FROM | MOVED_TO | GONE, name)
        self._add(target, MODIFY | CLOSE_WRITE, "")

    def _add(self, path: str, mask: int, name: str) -> None:
        def seen(changed: str, mask: int) -> None:
            if changed in ("", name) or mask & GONE:
                self._later()

        try:
            self._watches.append(self._inotify.add(path, mask, seen))
        except OSError:
            return  # no such file: the watch of its directory reports when the file is created

    def _later(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.after(SETTLE_SECONDS, self._settled)

    def _settled(self) -> None:
        self._timer = None
        self._watch()
        self._changed()

    def close(self) -> None:
        """End the watch."""
        if self._timer is not None:
            self._timer.cancel()
        for watch in self._watches:
            self._inotify.remove(watch)
        self._watches = []


def _passed(path: str) -> list[str]:
    """Return the paths of the symbolic links that the kernel follows to open ``path``, and the path of the file.

    The file's path is the last item. Example: /etc/resolv.conf is a link to /run/stub.conf. The result is
    ["/etc/resolv.conf", "/run/stub.conf"]. The result also has the parent directories that are links, such as
    /etc/resolvconf/run.
    """
    links, current, rest = list[str](), "/", path.split("/")
    while rest and len(links) < LINKS_LIMIT:
        current = os.path.normpath(os.path.join(current, rest.pop(0)))
        try:
            target = os.readlink(current)
        except OSError:
            continue  # no link, or a missing path
        links.append(current)
        current = "/" if target.startswith("/") else os.path.dirname(current)
        rest = target.split("/") + rest
    return [*dict.fromkeys(links), current]
