"""Decides when the agent compares the kernel state with the local store's records again. Pure: the caller passes the
time.

The agent compares immediately after another program's change. While that program keeps undoing the repair, the agent
waits longer each time.
"""

from __future__ import annotations

NEVER = float("inf")
SETTLE_SECONDS = 1.0
"""Seconds to wait after a change by hawse itself, so that the command which made the change can finish."""
SHARE = 100
"""Limits the comparisons after hawse's own changes: they take at most 1/`SHARE` of the elapsed time."""
PATIENCE_ROUNDS = 10.0
"""Number of immediate comparisons that changes by other programs may cause; later comparisons are delayed.

The number that is left is called the patience. It grows again by one every `RECOVERY_SECONDS` seconds.
"""
RECOVERY_SECONDS = 5.0
FIRST_REST_SECONDS, LONGEST_REST_SECONDS = 1.0, 30.0


class Pace:
    """The schedule of comparisons of kernel state and records. ``due`` is the time of the next comparison.

    ``rest`` is the delay in seconds before the next comparison. All times are of one clock.
    """

    def __init__(self, now: float) -> None:
        self.due = NEVER
        self.rest = 0.0
        self._rest_until = self._not_before = self._last_foreign = now
        self._next_rest, self._patience = FIRST_REST_SECONDS, PATIENCE_ROUNDS
        self._heard = False

    def foreign(self, now: float) -> None:
        """Record that another program made a change: compare now, or at the end of the current delay."""
        if not self.rest:  # the patience (comparisons left, `PATIENCE_ROUNDS`) does not grow during a delay
            self._patience = min(PATIENCE_ROUNDS, self._patience + (now - self._last_foreign) / RECOVERY_SECONDS)
        self._last_foreign, self._heard = now, True
        self.due = max(now, self._rest_until)

    def own(self, now: float) -> None:
        """Record that hawse itself made a change: compare after `SETTLE_SECONDS`, or later, so that comparisons take at
        most 1/`SHARE` of the time.
        """
        self.due = min(self.due, max(now + SETTLE_SECONDS, self._not_before, self._rest_until))

    def looked(self, began: float, now: float) -> None:
        """Record that a comparison has ended.

        If another program had made a change before the comparison, one immediate comparison fewer is left (see
        `PATIENCE_ROUNDS`). If none is left, the next comparison is delayed. Each delay is twice as long as the last
        one, up to `LONGEST_REST_SECONDS`.
        """
        self._not_before = now + SHARE * (now - began)
        self.due, self.rest = NEVER, 0.0
        if self._heard:
            self._patience -= 1
        if self._heard and self._patience < 0:
            self._patience = 0.0
            self.rest, self._next_rest = self._next_rest, min(LONGEST_REST_SECONDS, 2 * self._next_rest)
            self._rest_until = self.due = now + self.rest
        elif self._patience > PATIENCE_ROUNDS / 2:
            self._next_rest = FIRST_REST_SECONDS
        self._heard = False

    def resting(self, now: float) -> bool:
        """Return whether changes can be ignored now, because the next comparison is delayed.

        A comparison follows at the end of the delay anyway.
        """
        return now < self._rest_until
