"""Backs up the local store some seconds after a change, at most once a minute.

If a backup is scheduled when the agent ends, the agent makes this backup before it ends.
"""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from pathlib import Path

from engine.agent.service import Snapshot
from engine.errors import EngineError
from engine.eventloop.loop import Loop, Timer
from engine.store import backup
from engine.store.sqlite_errors import NewerSchema, NoSchema

DELAY_SECONDS = 5.0
"""Seconds from a change to its backup, so that the backup does not slow the command that made the change."""
INTERVAL_SECONDS = 60.0
"""Minimum seconds between two backups."""


class BackupService:
    """The backup service. A thread writes each backup, because the other services must not wait for the disk."""

    name = "backup"

    def __init__(self, loop: Loop, store: Path) -> None:
        self._loop, self._store = loop, store
        self._timer: Timer | None = None
        self._thread: threading.Thread | None = None
        self._last = -INTERVAL_SECONDS

    def reconcile(self, state: Snapshot) -> None:
        """Schedule a backup, unless a backup is scheduled already."""
        if self._timer is None:
            since = time.monotonic() - self._last
            self._timer = self._loop.after(max(DELAY_SECONDS, INTERVAL_SECONDS - since), self._begin)

    def needed(self) -> bool:
        """Return False. The agent may end before a scheduled backup, because `close` makes this backup."""
        return False

    def close(self) -> None:
        """Wait for a backup in progress, and make the backup that is scheduled."""
        if self._thread is not None:
            self._thread.join()
        if self._timer is not None:
            self._timer.cancel()
            self._make()

    def _begin(self) -> None:
        self._timer, self._last = None, time.monotonic()
        if self._thread is not None:
            self._thread.join()  # the last backup started over `INTERVAL_SECONDS` ago, so it has normally ended
        self._thread = threading.Thread(target=self._make, name="backup", daemon=True)
        self._thread.start()

    def _make(self) -> None:
        try:
            if not backup.make(self._store):
                print("the store is damaged, so its last backup is kept", file=sys.stderr, flush=True)
        except (OSError, sqlite3.Error, EngineError, NewerSchema, NoSchema) as error:
            print(f"the store cannot be backed up: {error}", file=sys.stderr, flush=True)
