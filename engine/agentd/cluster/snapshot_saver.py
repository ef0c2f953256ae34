"""The thread that saves this host's snapshots of the etcd store's records to disk, for the next agent."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path

from engine.cluster import membership as memberships
from engine.cluster import snapshot
from engine.cluster.snapshot import View
from engine.host import is_clustered

SHORTEST_PAUSE_SECONDS = 1.0
PAUSE_PER_SAVE = 20
"""A pause lasts this many times as long as the save before it, because other hosts choose the size of the records."""


class SnapshotSaver:
    """A thread that saves the newest snapshot, with a pause after each save.

    Of several snapshots that come during a pause, only the last is saved.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._view: View | None = None
        self._changed, self._ended = threading.Event(), threading.Event()

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="snapshot-saver", daemon=True).start()

    def update(self, view: View) -> None:
        """Pass a new snapshot to the thread; does not wait."""
        self._view = view
        self._changed.set()

    def stop(self) -> None:
        """Ask the thread to end; does not wait."""
        self._ended.set()
        self._changed.set()

    def _run(self) -> None:
        while True:
            self._changed.wait()
            if self._ended.is_set():
                return
            self._changed.clear()
            began = time.monotonic()
            self._save()
            self._ended.wait(max(SHORTEST_PAUSE_SECONDS, PAUSE_PER_SAVE * (time.monotonic() - began)))

    def _save(self) -> None:
        """Save the newest snapshot, unless the host has left its cluster.

        Holds the lock of the cluster directory, because ``swarm leave`` may be deleting the directory. Without the
        lock, this method could write the snapshot during the deletion, and the directory would remain.
        """
        try:
            with suppress(FileNotFoundError, NotADirectoryError), memberships.locked(self._root):
                if self._view is not None and is_clustered(self._root):
                    snapshot.save(self._root, self._view)
        except Exception:
            traceback.print_exc(file=sys.stderr)
