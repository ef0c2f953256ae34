"""Watch the store for new events, and wake up all streams of the process. All streams share one watch.

The kernel reports each write to the directory of the store (inotify). A waiting process therefore uses no CPU while
nothing is written. SQLite makes a commit visible shortly after its last write to the file. A writer may be slow or
killed between the write and the commit. Therefore the watch's thread reads the store several times after each report,
and at long intervals without a report.
"""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack, closing
from pathlib import Path

from engine.errors import EngineError
from engine.eventloop.inotify import CREATE, MODIFY, MOVED_TO, watch_directory
from engine.eventloop.readiness import wait_readable
from engine.eventloop.wakeup import Wakeup
from engine.store.api import Store

LOOKS_SECONDS = (0.002, 0.02, 0.2)
"""Seconds before each read of the store after the kernel has reported a write."""
RARE_SECONDS = 10.0
"""Seconds before a read of the store if the kernel reports no write."""


class EventWatch:
    """Watches one store. The watch has one inotify descriptor and one thread while at least one stream has joined."""

    def __init__(self, store: Store, directory: Path) -> None:
        self._store, self.directory = store, directory
        self._lock = threading.Lock()
        self._joined: set[Wakeup] = set()
        self._ended: Wakeup  # ends the thread

    def join(self) -> Wakeup:
        """Return a new `Wakeup` that becomes readable after new events, for one stream; `leave` closes it.

        It may also become readable without new events, for example when the store cannot be read or its directory is
        deleted. Raises OSError if the directory does not exist or no descriptor is left.
        """
        with self._lock, ExitStack() as opened:
            wakeup = opened.enter_context(closing(Wakeup()))
            if not self._joined:
                changes = watch_directory(self.directory, MODIFY | CREATE | MOVED_TO)
                opened.callback(os.close, changes)
                self._ended = opened.enter_context(closing(Wakeup()))
                threading.Thread(target=self._run, args=(changes, self._ended), daemon=True).start()
            opened.pop_all()
            self._joined.add(wakeup)
        return wakeup

    def leave(self, wakeup: Wakeup) -> None:
        """Close a `Wakeup` that `join` has returned; when all are closed, the thread ends."""
        with self._lock:
            self._joined.remove(wakeup)
            wakeup.close()
            if not self._joined:
                self._ended.send()

    def _run(self, changes: int, ended: Wakeup) -> None:
        """Wake up all streams after new events, until ``ended`` is readable.

        ``changes`` is a file descriptor that is readable after a write to the store's directory. The streams are also
        woken up at the start, because events may have been added before the first read. They are also woken up while
        the store cannot be read, so that their own reads raise the error.
        """
        newest, looks = -1, iter(LOOKS_SECONDS)
        ready: list[int] = []
        while ended.fileno() not in ready:
            if changes in ready:
                os.read(changes, 65536)
                looks = iter(LOOKS_SECONDS)
            before, newest = newest, self._newest()
            if newest != before or newest < 0:
                self._wake_all()
            ready = wait_readable([changes, ended], seconds=next(looks, RARE_SECONDS))
        os.close(changes)
        ended.close()

    def _newest(self) -> int:
        """Return the number of the newest event, or -1 if the store cannot be read."""
        try:
            if self.directory.exists():  # a read would create the directory again
                with self._store.read() as reader:
                    return reader.last_event()
        except EngineError:
            pass  # the streams' own reads raise the same error
        return -1

    def _wake_all(self) -> None:
        with self._lock:
            for wakeup in self._joined:
                wakeup.send()
