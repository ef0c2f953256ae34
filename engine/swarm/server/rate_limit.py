"""How much one node may ask of a manager: whoever asks for more waits, so that it cannot fill the store or take it up.

The store keeps an hour of history: what a node changes again and again stays there as long.
"""

from __future__ import annotations

import threading
import time

BURST, RATE = 8 << 20, 128 << 10
"""Bytes that a node may spend at once, and what it gets back in a second."""
READING, CHANGING = 512, 2048
"""What a call costs at least."""
LONGEST_WAIT = 10.0
"""Seconds; a call that would wait for longer is refused."""


class Budgets:
    """What each node has left."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: dict[str, tuple[float, float]] = {}

    def spend(self, node: str, cost: int, now: float | None = None) -> float | None:
        """Take ``cost`` bytes from a node; how many seconds it has to wait for them, None where that is too long."""
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
