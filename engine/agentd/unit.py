"""Functions for an agent that systemd runs as a unit: wait for the agent's lock, and report to the watchdog."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from pathlib import Path

from engine.agent import client
from engine.eventloop.loop import Loop
from engine.runtime import guarded, peer

WAIT_INTERVAL_SECONDS = 1.0
"""Seconds between two attempts of a waiting unit to take the agent's lock."""
_ENDING_INTERVAL_SECONDS, _ENDING_TIMEOUT_SECONDS = 0.02, 5.0


class Unit:
    """The systemd unit of this process. All methods also work if systemd does not run this process."""

    def __init__(self) -> None:
        self.runs_this_process = guarded.is_run_by_systemd()
        interval = os.environ.get("WATCHDOG_USEC", "") if self.runs_this_process else ""
        self._interval = int(interval) / 2e6 if interval.isdigit() else 0.0

    def take_lock(self, run_dir: Path) -> int | None:
        """Take the agent's lock; return the file descriptor of the lock file, or None if another agent runs.

        Waits up to 5 s for an agent that is ending. In a systemd unit, waits until the other agent ends, because
        systemd would otherwise start the unit again and again.
        """
        deadline = time.monotonic() + _ENDING_TIMEOUT_SECONDS
        while (lock := client.take_lock(run_dir)) is None:
            if self.runs_this_process:
                self._notify()
            elif peer.is_listening(str(run_dir), client.SOCKET) or time.monotonic() > deadline:
                return None
            time.sleep(WAIT_INTERVAL_SECONDS if self.runs_this_process else _ENDING_INTERVAL_SECONDS)
        return lock

    def keep_watchdog_quiet(self, loop: Loop) -> None:
        """Make ``loop`` notify systemd's watchdog twice in each WatchdogSec, so that systemd does not end the unit."""
        if self._interval:
            self._notify()
            loop.after(self._interval, lambda: self.keep_watchdog_quiet(loop))

    def _notify(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        if address and self._interval:
            with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notifier:
                notifier.sendto(b"WATCHDOG=1", "\0" + address[1:] if address.startswith("@") else address)
