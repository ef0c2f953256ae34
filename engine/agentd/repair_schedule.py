"""When the agent compares the kernel state again. It does so immediately after another program's change, but waits
longer and longer while that program keeps undoing the repair. Pure: the caller passes the time.
"""

from __future__ import annotations

NEVER = float("inf")
SETTLE_SECONDS = 1.0
"""Seconds to wait after hawse's own change, so that the command which made it can finish."""
SHARE = 100
"""Comparisons after hawse's own changes may use at most 1/`SHARE` of the time."""
PATIENCE_ROUNDS = 10.0
"""Number of other programs' changes that are compared without delay (the patience).

One is regained every `RECOVERY_SECONDS` seconds.
"""
RECOVERY_SECONDS = 5.0
FIRST_REST_SECONDS, LONGEST_REST_SECONDS = 1.0, 30.0


class Pace:
    """The schedule of comparisons: the next time (``due``) and the waiting time before it (``rest``), in seconds.

    All times are of one clock.
    """

    def __init__(self, now: float) -> None:
        self.due = NEVER
        self.rest = 0.0
        self._rest_until = self._not_before = self._last_foreign = now
        self._next_rest, self._patience = FIRST_REST_SECONDS, PATIENCE_ROUNDS
        self._heard = False

    def foreign(self, now: float) -> None:
        """Note a change by another program: compare now, or when the waiting time is over."""
        if not self.rest:  # no patience is regained during the waiting time
            self._patience = min(PATIENCE_ROUNDS, self._patience + (now - self._last_foreign) / RECOVERY_SECONDS)
        self._last_foreign, self._heard = now, True
        self.due = max(now, self._rest_until)

    def own(self, now: float) -> None:
        """Note a change by hawse itself: compare after `SETTLE_SECONDS`, limited by `SHARE`."""
        self.due = min(self.due, max(now + SETTLE_SECONDS, self._not_before, self._rest_until))

    def looked(self, began: float, now: float) -> None:
        """Note that a comparison has ended.

        It uses up one round of patience if another program had changed something before it. Without patience left, the
        next comparison waits, each time twice as long, up to `LONGEST_REST_SECONDS`.
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
        """Return whether changes can be ignored now.

        This is the case during the waiting time, because a comparison follows at its end anyway.
        """
        return now < self._rest_until
