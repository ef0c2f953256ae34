"""Start agent and supervisor again if they were killed together with their guard.

Each command calls `revive` at its end. This module is separate from `engine.runtime.guarded`, because the supervisor
loads `engine.runtime.guarded` and must use little memory.
"""

from __future__ import annotations

import os
from contextlib import suppress

from engine.errors import PermissionDenied
from engine.paths import DEFAULT_RUN, run_directory
from engine.runtime import guarded


def revive() -> None:
    """Start a guard if the agent or the supervisor must run, but was killed together with the guard.

    The guard then starts the agent and the supervisor. If no guard is needed, the call takes only some microseconds.
    """
    if guarded.needs_guard(os.environ.get("HAWSE_RUN") or DEFAULT_RUN):
        with suppress(PermissionDenied):
            guarded.start_guard(str(run_directory()))
