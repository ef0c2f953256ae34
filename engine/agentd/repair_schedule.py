"""Decides when the agent next compares the kernel state with the local store's records.

The module has no side effects: the caller passes the time.

A change by another program causes an immediate comparison. If that program repeatedly undoes the repair, each following
comparison is delayed longer.
"""

from __future__ import annotations

NEVER = float("inf")
SETTLE_SECONDS = 1.0
"""Seconds to wait after a change by hawse itself, so that the command which made the change can finish."""
SHARE = 100
"""After a comparison that took T seconds, hawse's own changes cause no comparison for `SHARE` * T seconds."""
PATIENCE_ROUNDS = 10.0
"""Number of immediate comparisons that changes by other programs may cause; later comparisons are delayed.

The number of immediate comparisons that are left is called the patience. The patience grows by one every
`RECOVERY_SECONDS` seconds.
"""
RECOVERY_SECONDS = 5.0
QUIET_COST = 0.25
"""The part of an immediate comparison that a comparison without a difference uses up.

A change by another program, or by a hawse command, often does no damage. Such changes must not delay the next repair.
"""
FIRST_REST_SECONDS, LONGEST_REST_SECONDS = 1.0, 30.0


class Schedule:
    """The schedule of comparisons of kernel state and records. ``due`` is the time of the next comparison.

    If another program's repeated changes delay the next comparison, ``rest`` is this delay in seconds. Otherwise it is
    0. All times, such as ``now``, are seconds of the same clock.
    """

    def __init__(self, now: float) -> None:
        self.due = NEVER
        self.rest = 0.0
        self._rest_until = self._not_before = self._last_foreign = now
        self._next_rest, self._patience = FIRST_REST_SECONDS, PATIENCE_ROUNDS
        self._heard = False

    def record_foreign_change(self, now: float) -> None:
        """Record a change by another program; schedule a comparison now, or at the end of a delay."""
        if not self.rest:  # during a delay, the number of immediate comparisons that are left does not grow
            self._patience = min(PATIENCE_ROUNDS, self._patience + (now - self._last_foreign) / RECOVERY_SECONDS)
        self._last_foreign, self._heard = now, True
        self.due = max(now, self._rest_until)

    def record_own_change(self, now: float, settle_seconds: float | None = None) -> None:
        """Record a change by hawse itself; schedule a comparison in ``settle_seconds`` or later.

        The default is `SETTLE_SECONDS`. The comparison is later if the last comparison took long, or if another
        program's changes delay the comparisons (``rest``). If an earlier comparison is already scheduled, nothing
        changes.
        """
        settle_seconds = SETTLE_SECONDS if settle_seconds is None else settle_seconds
        self.due = min(self.due, max(now + settle_seconds, self._not_before, self._rest_until))

    def record_comparison(self, began: float, now: float, share: float | None = None, cost: float = 1.0) -> None:
        """Record that a comparison, which started at ``began``, has ended at ``now``.

        After a comparison of T seconds, hawse's own changes cause no comparison for ``share`` * T seconds (default
        `SHARE`).

        Changes by other programs may cause a limited number of immediate comparisons (`PATIENCE_ROUNDS`). A comparison
        after such a change reduces this number by ``cost``. If the number was less than ``cost``, the next comparison
        is delayed. Each delay is twice as long as the last delay, up to `LONGEST_REST_SECONDS`. When the number is
        again more than half of `PATIENCE_ROUNDS`, the next delay is `FIRST_REST_SECONDS`.
        """
        self._not_before = now + (SHARE if share is None else share) * (now - began)
        self.due, self.rest = NEVER, 0.0
        if self._heard:
            self._patience -= cost
        if self._heard and self._patience < 0:
            self._patience = 0.0
            self.rest, self._next_rest = self._next_rest, min(LONGEST_REST_SECONDS, 2 * self._next_rest)
            self._rest_until = self.due = now + self.rest
        elif self._patience > PATIENCE_ROUNDS / 2:
            self._next_rest = FIRST_REST_SECONDS
        self._heard = False

    def is_spent(self, now: float) -> bool:
        """Return whether the schedule can be deleted, because a new schedule would have the same effect.

        This is the case if no comparison is scheduled, no delay is running, and all immediate comparisons
        (`PATIENCE_ROUNDS`) are left.
        """
        patience = self._patience + (now - self._last_foreign) / RECOVERY_SECONDS
        return self.due == NEVER and now >= max(self._not_before, self._rest_until) and patience >= PATIENCE_ROUNDS

    def resting(self, now: float) -> bool:
        """Return whether another program's changes delay the next comparison at the time ``now``.

        During the delay, the thread can ignore reported changes. The comparison at the end of the delay finds them.
        """
        return now < self._rest_until
