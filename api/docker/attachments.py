"""Keep track of the API clients that are attached to containers.

The answer to POST /containers/{id}/wait is sent after these clients have got the container's last output.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

LAST_OUTPUT_SECONDS = 2.0
"""Maximum seconds of the wait until the attached clients have got the last output."""


class Attachments:
    """The clients that are attached to containers now. Several threads may use one object."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._members: dict[threading.Event, tuple[str, float]] = {}

    @contextmanager
    def member(self, container_id: str) -> Iterator[None]:
        """Count a client as attached to the container during the ``with`` block."""
        left = threading.Event()
        with self._lock:
            self._members[left] = container_id, time.time()
        try:
            yield
        finally:
            with self._lock:
                self._members.pop(left, None)
            left.set()

    def await_output(self, container_id: str, ended: float) -> None:
        """Wait until the clients of the container's last run have got its output, at most for `LAST_OUTPUT_SECONDS`.

        ``ended`` is the time when this run ended, in seconds since 1970. A client that attached later waits for the
        next run, and is ignored here. The time limit is needed because a client may not read its output.
        """
        with self._lock:
            known = self._members.items()
            members = [left for left, (attached, since) in known if attached == container_id and since < ended]
        deadline = time.monotonic() + LAST_OUTPUT_SECONDS
        for left in members:
            if not left.wait(max(0.0, deadline - time.monotonic())):
                with self._lock:
                    self._members.pop(left, None)  # the client must not delay the answers about later runs


ATTACHMENTS = Attachments()
"""All clients that are attached through this service."""
