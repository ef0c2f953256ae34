"""When the agent looks at the kernel state again: at once after another program's change, but ever more seldom while
that program keeps undoing the repair. Pure: the time is given, nothing is done.
"""

from __future__ import annotations

NEVER = float("inf")
SETTLE_SECONDS = 1.0
"""From hawse's own change to a look: commands have then finished what they are about, or are about something else."""
SHARE = 100
"""A look after hawse's own changes may take one part in so many of the time."""
PATIENCE_ROUNDS = 10.0
"""Changes of other programs that are looked at without delay; one comes back in each `RECOVERY_SECONDS`."""
RECOVERY_SECONDS = 5.0
FIRST_REST_SECONDS, LONGEST_REST_SECONDS = 1.0, 30.0


class Pace:
    """The time of the next look, ``due``, and how long to ``rest`` before it; all times are in seconds of one clock."""

    def __init__(self, now: float) -> None:
        self.due = NEVER
        self.rest = 0.0
        self._rest_until = self._not_before = self._last_foreign = now
        self._next_rest, self._patience = FIRST_REST_SECONDS, PATIENCE_ROUNDS
        self._heard = False

    def foreign(self, now: float) -> None:
        """Another program has changed something: look at once, or when the rest is over."""
        if not self.rest:  # else it went on during the rest
            self._patience = min(PATIENCE_ROUNDS, self._patience + (now - self._last_foreign) / RECOVERY_SECONDS)
        self._last_foreign, self._heard = now, True
        self.due = max(now, self._rest_until)

    def own(self, now: float) -> None:
        """Hawse has changed something: look when that has settled, and not too often."""
        self.due = min(self.due, max(now + SETTLE_SECONDS, self._not_before, self._rest_until))

    def looked(self, began: float, now: float) -> None:
        """A look has ended. It counts as a round where another program had changed something before it."""
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
        """Tell whether what happens now need not even be heard: a look comes at the end of the rest anyway."""
        return now < self._rest_until
