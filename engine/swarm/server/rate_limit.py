"""Limits the bytes that each node can send to a manager's server per second, so that no node can fill the etcd store.

Requests above the limit are delayed. Because etcd keeps the history of one hour, every change uses space in the etcd
store for one hour.
"""

from __future__ import annotations

import threading
import time

BURST, RATE = 8 << 20, 128 << 10
"""The bytes of requests that a node may send to a manager without waiting (its budget), and the bytes that the budget
regains per second.
"""
READING, CHANGING, ASKING = 512, 2048, 64 << 10
"""Bytes that a reading request, a changing request and a question to another host cost in a node's budget, in addition
to the request's own size. Because a question makes another host work, its cost allows only two questions per second.
A node record costs as much, because all hosts compare their tunnels and tables with it.
"""
LONGEST_WAIT_SECONDS = 10.0
"""Maximum seconds that a node's request may be delayed; a request that needs a longer delay is refused."""


class Budgets:
    """The request budgets of all nodes; safe for use by several threads.

    A node's budget is the number of bytes that the node may still send without waiting.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: dict[str, tuple[float, float]] = {}  # by node id: the bytes left, and the time of this value

    def spend(self, node: str, cost: int, now: float | None = None) -> float | None:
        """Take ``cost`` bytes from the budget of ``node``; return the seconds by which to delay the node's request.

        The result is 0 if the budget has enough bytes. If the delay would be longer than `LONGEST_WAIT_SECONDS`,
        nothing is taken, and the result is None. ``now`` is the time on the monotonic clock, or None for the current
        time.
        """
        now = time.monotonic() if now is None else now
        with self._lock:
            left, then = self._left.get(node, (float(BURST), now))
            left = min(float(BURST), left + (now - then) * RATE)
            wait = max(0.0, (cost - left) / RATE)
            if wait > LONGEST_WAIT_SECONDS:
                self._left[node] = left, now
                return None
            self._left[node] = left - cost, now
        return wait
