"""The user's request to stop a container, which the supervisor executes even if the user's command is killed.

The supervisor sends the stop signal, waits for the grace period, and sends SIGKILL. The request is also in the file
``stop``, so that the next supervisor continues the grace period.
"""

from __future__ import annotations

import contextlib
import signal
import time

from engine.eventloop.loop import Loop, Timer
from engine.runtime.directory import ContainerDirectory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class StopOrder:
    """The request to stop one container. ``restart`` is true if the container must be started again after its end."""

    def __init__(self, loop: Loop, directory: ContainerDirectory, send: Callable[[int], None]) -> None:
        self.restart = self._killed = self._stopping = False
        self._requested, self._deadline = False, float("inf")  # the deadline for SIGKILL is in Unix seconds
        self._loop, self._directory, self._send = loop, directory, send
        self._timer: Timer | None = None

    def give(self, number: int, seconds: float | None, *, restart: bool | None) -> None:
        """Send the signal ``number`` (0: no signal) now, and SIGKILL after ``seconds`` (None: never).

        If there is an earlier request, the earlier of both deadlines is used. ``restart`` replaces the earlier value
        unless it is None.
        """
        self._requested, self.restart = True, self.restart if restart is None else restart
        self._stopping = self._stopping or restart is not None
        self._arm(float("inf") if seconds is None else seconds)
        document: dict[str, Any] = {
            "deadline": self._deadline,
            "left": self._deadline - time.time(),
            "restart": self.restart,
            "stopping": self._stopping,
        }
        with contextlib.suppress(OSError):  # a full disk must not prevent the stop
            self._directory.write("stop", document)
        if number:
            self._send(number)

    def resume(self) -> None:
        """Continue the request to stop that an earlier supervisor has written to the file ``stop``.

        SIGKILL is sent at the deadline in the file, if there is a deadline. Because the clock may have been set back,
        the wait is limited to the seconds that were left when the file was written. Without the file, nothing happens.
        """
        document = self._directory.read("stop")
        if document is not None:
            self._requested, self.restart = True, document["restart"]
            self._stopping = document.get("stopping", False)
            # A file of an older hawse has no "left".
            left = min(document["deadline"] - time.time(), document.get("left", float("inf")))
            self._arm(max(0.0, left))

    def _arm(self, seconds: float) -> None:
        deadline = time.time() + seconds
        if deadline < self._deadline:
            self.cancel()
            self._deadline, self._timer = deadline, self._loop.after(seconds, self._kill)

    def _kill(self) -> None:
        self._killed = True
        self._send(signal.SIGKILL)

    def cancel(self) -> None:
        """Cancel the SIGKILL, because the process has ended; idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def outcome(self) -> dict[str, bool]:
        """Return the fields of the file ``exit`` that describe the request to stop, or {} without a request."""
        if not self._requested:
            return {}
        return {"stopped": True, "restart": self.restart, "killed": self._killed, "stopping": self._stopping}
