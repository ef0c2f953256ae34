"""Start agent and supervisor again at the end of any command, if they were killed together with their guard."""

from __future__ import annotations

import os
from contextlib import suppress

from engine.errors import PermissionDenied
from engine.paths import DEFAULT_RUN, run_directory
from engine.runtime import guarded


def revive() -> None:
    """Start a guard if agent or supervisor must run and no process is left that would start them.

    The guard then starts them. Takes some microseconds if there is nothing to do.
    """
    if guarded.needs_guard(os.environ.get("HAWSE_RUN") or DEFAULT_RUN):
        with suppress(PermissionDenied):
            guarded.start_guard(str(run_directory()))
