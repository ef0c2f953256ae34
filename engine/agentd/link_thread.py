"""A thread of the agent that compares networks and containers with the kernel after changes, and repairs them.

A subject is a network or a container. It is suspected when the kernel reports a change of its links, addresses, routes
or sysctls. Each subject has its own schedule (`engine.agentd.repair_schedule.Schedule`). Therefore a conflict with
another program about one subject does not delay the repair of another subject. In addition, the thread slowly compares
all subjects in turn, because the kernel does not report some changes.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from engine.agentd import repair_log
from engine.agentd.repair_schedule import NEVER, QUIET_COST, Schedule
from engine.errors import Unavailable
from engine.names import short_id
from engine.recovery.link_repair import NETWORK, Comparison, Subject

DEBOUNCE_SECONDS = 0.03
"""Seconds from the first report about a network or container to its comparison, because reports arrive in groups."""
BUSY_SECONDS = 0.5
"""Seconds until the next comparison of a network or container that a command changes, or whose repair has failed."""
NEW_SECONDS = 1.0
"""Minimum seconds between the first call of `LinkThread.follow` with a network or container and its first comparison.

If the kernel reports a change of the network or container, the comparison is earlier.
"""
LAP_SECONDS = 60.0
"""Seconds in which all networks and containers are compared once, even without a report.

With slow comparisons, `SHARE` makes the time longer.
"""
QUIET_SHARE = 20
"""A comparison that took T seconds and found no difference is not repeated for `QUIET_SHARE` times T seconds."""
FIRST_SHARE, SHARE = 4, 2000
"""After a comparison of T seconds, the next comparison without a report waits for this number times T seconds.

``FIRST_SHARE`` applies to the first comparison of each subject. It is smaller, because the kernel reports no changes
that were made before the agent's start.
"""
FIGHT_SECONDS = 300.0
"""Seconds for which `LinkThread.fights` reports a conflict after its last repair."""
PATIENCE_SECONDS = 5.0
"""Maximum number of seconds that `LinkThread.close` waits for the end of the thread."""


class LinkThread:
    """The thread that compares and repairs networks and containers; it runs until `close`.

    - ``put_right`` compares and repairs a network or container. Its second argument names the program that made the
      change, or is "".
    - ``tell_resting`` is called if a program repeatedly undoes a repair. Its arguments are the network or container,
      the program, and the seconds until the next repair.
    """

    def __init__(
        self,
        put_right: Callable[[Subject, str], Comparison],
        tell_resting: Callable[[Subject, str, float], None] = lambda *_: None,
    ) -> None:
        self._put_right, self._tell_resting = put_right, tell_resting
        self._condition = threading.Condition()
        self._schedules: dict[Subject, Schedule] = {}
        self._by: dict[Subject, str] = {}
        self._fights: dict[Subject, tuple[float, str]] = {}
        self._new, self._lap = deque[Subject](), deque[Subject]()
        self._known: set[Subject] = set()
        self._next_lap = time.monotonic()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="links", daemon=True)
        self._thread.start()

    def suspect(self, subjects: Iterable[Subject], by: str = "") -> None:
        """Schedule a comparison of each network or container; ``by`` names the program that made a change, or is ""."""
        now = time.monotonic()
        with self._condition:
            for subject in subjects:
                self._schedules.setdefault(subject, Schedule(now)).record_own_change(now, DEBOUNCE_SECONDS)
                if by:
                    self._by[subject] = by
            self._condition.notify()

    def follow(self, subjects: set[Subject]) -> None:
        """Replace the set of networks and containers that the thread compares in turn.

        The thread also compares those that `suspect` names.
        """
        with self._condition:
            new, gone = subjects - self._known, self._known - subjects
            self._known = subjects
            self._new.extend(new)
            for subject in gone:
                self._schedules.pop(subject, None)
                self._by.pop(subject, None)
                self._fights.pop(subject, None)
            if new:
                # Wait, because the comparison would slow down the command that is making a new subject.
                self._next_lap = max(self._next_lap, time.monotonic() + NEW_SECONDS)
                self._condition.notify()

    def fights(self) -> list[str]:
        """Return a sentence about each network or container that another program kept damaging in the last minutes."""
        with self._condition:
            last = time.monotonic() - FIGHT_SECONDS
            return [text for when, text in self._fights.values() if when >= last]

    def close(self) -> None:
        """End the thread; blocks up to `PATIENCE_SECONDS` seconds."""
        with self._condition:
            self._ended = True
            self._condition.notify()
        self._thread.join(PATIENCE_SECONDS)

    def _run(self) -> None:
        while True:
            with self._condition:
                now = time.monotonic()
                due = self._due(now)
                if not due:
                    self._condition.wait(self._pause(now))
                if self._ended:
                    return
            for subject in due:
                self._compare(subject)
            if not due:
                self._compare_in_turn()

    def _due(self, now: float) -> list[Subject]:
        """Return the networks and containers to compare at the time ``now`` (seconds, monotonic clock).

        Networks come first, because endpoints need their bridge. Also deletes spent schedules (`Schedule.is_spent`).
        Each wake-up of the thread reads all schedules, so unneeded schedules would slow it down.
        """
        due = [subject for subject, schedule in self._schedules.items() if schedule.due <= now]
        for subject in [subject for subject, schedule in self._schedules.items() if schedule.is_spent(now)]:
            del self._schedules[subject]
        for subject in due:  # reset this before comparing, so that a change during a comparison schedules another one
            self._schedules[subject].due = NEVER
        return sorted(due, key=lambda subject: subject.kind != NETWORK)

    def _pause(self, now: float) -> float | None:
        times = [schedule.due for schedule in self._schedules.values()]
        if self._known:
            times.append(self._next_lap)
        first = min(times, default=NEVER)
        return None if first == NEVER else max(0.0, first - now)

    def _compare_in_turn(self) -> None:
        began = time.monotonic()
        with self._condition:
            if began < self._next_lap or not self._known:
                return
            first = bool(self._new)
            if not self._new and not self._lap:
                self._lap.extend(self._known)
            subject = (self._new or self._lap).popleft()
            number, known = len(self._known), subject in self._known
        if known:
            self._compare(subject)
        now = time.monotonic()
        took = now - began
        self._next_lap = now + (took * FIRST_SHARE if first else max(LAP_SECONDS / number, took * SHARE))

    def _compare(self, subject: Subject) -> None:
        began = time.monotonic()
        with self._condition:
            by = self._by.pop(subject, "")  # a report during this comparison belongs to the next comparison
        try:
            compared = self._put_right(subject, by)
        except Unavailable as error:
            self._log_failure(subject, error)
            compared = Comparison(busy=True)
        except Exception as error:
            compared = Comparison(f"{subject.kind} {short_id(subject.id)}", failures=[error])
        for failure in compared.failures:
            self._log_failure(subject, failure)
        now = time.monotonic()
        with self._condition:
            rest = self._record(subject, compared, by, began, now)
        if rest:
            self._tell_resting(subject, by, rest)

    def _record(self, subject: Subject, compared: Comparison, by: str, began: float, now: float) -> float:
        """Record a comparison in the schedule of its network or container; return the next repair's delay in seconds.

        ``by`` names the program that made the change, or is "" if it is unknown. ``began`` and ``now`` are the start
        and the end of the comparison (seconds, monotonic clock). The delay is 0.0 if the next repair is not delayed.
        """
        schedule = self._schedules.get(subject)
        if compared.busy:
            if by:
                self._by.setdefault(subject, by)
            schedule = schedule or self._schedules.setdefault(subject, Schedule(began))
            schedule.record_comparison(began, began)
            schedule.record_own_change(now, BUSY_SECONDS)
            return 0.0
        damaged = bool(compared.differences or compared.failures)
        if schedule is None and not damaged:
            return 0.0
        schedule = schedule or self._schedules.setdefault(subject, Schedule(began))
        reported = schedule.due != NEVER
        if damaged:
            schedule.record_foreign_change(began)
            schedule.record_comparison(began, now, share=0)
        else:
            schedule.record_comparison(began, now, share=QUIET_SHARE, cost=QUIET_COST)
        if reported:
            schedule.record_own_change(now, DEBOUNCE_SECONDS)
        if compared.failures:
            schedule.record_own_change(now, BUSY_SECONDS)
        if damaged:
            self._tell(subject, compared, by, now - began, schedule.rest)
            for member in compared.members if compared.differences else ():
                self._schedules.setdefault(member, Schedule(now)).record_own_change(now, 0)
        elif not schedule.rest and subject not in self._known and schedule.due == NEVER:
            # The subject was deleted, or is not registered yet (its registration makes a schedule). Nothing is due.
            del self._schedules[subject]
        return schedule.rest if compared.differences else 0.0

    def _tell(self, subject: Subject, compared: Comparison, by: str, seconds: float, rest: float) -> None:
        if compared.differences:
            repair_log.say_restored(compared.name, by, compared.differences, seconds)
        # If there is no difference, the delay ``rest`` is due to a failed repair, not to another program.
        if rest and compared.differences:
            repair_log.say_resting(compared.name or subject.kind, by, rest)
            text = f"{by or 'another program'} keeps changing the links of {compared.name}"
            self._fights[subject] = (time.monotonic(), text)

    def _log_failure(self, subject: Subject, error: Exception) -> None:
        repair_log.say(f"{subject.kind} {short_id(subject.id)}: cannot repair: {error or repr(error)}")
