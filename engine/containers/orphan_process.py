"""Processes of containers that the runtime knows nothing of, because somebody has removed its files in HAWSE_RUN.

They are reached by what the container's own record tells, so that stopping and removing leave none behind.
"""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress

from engine.containers import lookup
from engine.host import Host
from engine.model import ContainerRecord
from engine.runtime import process


def is_orphan(host: Host, record: ContainerRecord) -> bool:
    """Tell whether the container's process is there, and the runtime does not know it."""
    return record.kind == "process" and lookup.is_alive(record) and not host.runtime.state(record.id).running


def end_orphan(record: ContainerRecord, number: int, patience: float | None) -> None:
    """Send a signal and wait; after ``patience`` seconds (None: never) kill. Nothing where the process has ended."""
    pidfd = process.open_pidfd(record.pid, record.pid_start)
    if pidfd is None:
        return
    try:
        for each, seconds in ((number, patience), (signal.SIGKILL, None)):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, each)
            if select.select([pidfd], [], [], seconds)[0]:
                return
    finally:
        os.close(pidfd)
