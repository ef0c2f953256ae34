"""Limits how much a node may ask of a manager. A node that asks for more has to wait, so that it cannot fill the etcd
store.

etcd keeps the history of one hour. Therefore every repeated change by a node uses space in the store for one hour.
"""

from __future__ import annotations

import threading
import time

BURST, RATE = 8 << 20, 128 << 10
"""Bytes that a node may request without waiting (its budget), and bytes that the budget regains per second."""
READING, CHANGING = 512, 2048
"""Bytes that a reading call and a changing call take from the budget, in addition to the request's size."""
LONGEST_WAIT = 10.0
"""Maximum seconds that a call may be delayed; a call with a longer delay is refused."""


class Budgets:
    """The remaining budget of each node; safe for use by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: dict[str, tuple[float, float]] = {}

    def spend(self, node: str, cost: int, now: float | None = None) -> float | None:
        """Take ``cost`` bytes from a node's budget; return the seconds that the node's call must be delayed.

        If the delay would be longer than `LONGEST_WAIT`, the function takes nothing and returns None.
        """
        now = time.monotonic() if now is None else now
        with self._lock:
            left, then = self._left.get(node, (float(BURST), now))
            left = min(float(BURST), left + (now - then) * RATE)
            wait = max(0.0, (cost - left) / RATE)
            if wait > LONGEST_WAIT:
                self._left[node] = left, now
                return None
            self._left[node] = left - cost, now
        return wait
