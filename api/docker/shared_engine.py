"""The engine of the front. The front's threads share the engine, and only read with it; workers open their own."""

from __future__ import annotations

import os
import threading
from contextlib import suppress

from engine.api import Engine
from engine.config import config_path
from engine.core import open_engine


class SharedEngine:
    """Opens the engine once, and again after a change of the configuration file."""

    def __init__(self) -> None:
        self._path = config_path()
        self._known: tuple[object, Engine] | None = None
        self._opening = threading.Lock()

    def get(self) -> Engine:
        """Return the engine for the present configuration file; raises EngineError if the engine cannot be opened."""
        identity = self._identity()
        known = self._known
        if known is None or known[0] != identity:
            with self._opening:
                known = self._known
                if known is None or known[0] != identity:
                    known = self._known = (identity, open_engine())
        return known[1]

    def _identity(self) -> object:
        with suppress(OSError):
            status = os.stat(self._path)
            return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
        return None
