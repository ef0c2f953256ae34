"""A thread of the agent that repairs the kernel state that a driver's networks share, such as firewall rules.

When another program changes this state, the kernel notifies the thread, and the thread compares the kernel with the
records immediately. After a change by hawse itself, the thread compares a second later. At that time, a command may
have written its record, but not yet changed the kernel. Therefore, after a change by hawse, the thread repairs a
difference only if two comparisons in a row find the difference.

The driver compares and repairs (`drivers.api.Repairer`). A thread calls the driver, because the agent's other services
must not wait for a long comparison.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Literal

from drivers.api import Repairer, Watch
from drivers.errors import DriverError
from drivers.model import Desired, Difference, News
from engine.agentd import repair_log
from engine.agentd.repair_schedule import LONGEST_REST_SECONDS, Schedule
from engine.endpoints import boots, shared_state
from engine.errors import EngineError, Unavailable
from engine.eventloop.readiness import wait_readable
from engine.eventloop.wakeup import Wakeup
from engine.events import repair as repairs
from engine.store.api import Reader, Store

ATTEMPTS_LIMIT = 3  # maximum attempts of a comparison, which is repeated if the port proxy changed its ports meanwhile
CHECK_SECONDS = 5.0
"""Seconds between two checks for changes that the kernel did not report to the thread."""
PATIENCE_SECONDS = 5.0
"""Seconds that the agent waits for the thread to start listening, and again for the thread to end."""

Word = Literal["unneeded", "superseded"]
"""A message from the repair thread to the agent.

- ``unneeded``: no network of the driver is active any more.
- ``superseded``: a command of a newer version of hawse has probably changed the kernel state.
"""


class RepairThread:
    """The repair thread of one driver; it runs until `close`.

    - ``name`` is the driver's type.
    - ``relay`` returns the ports at which the agent's port proxy listens, by protocol ("tcp" or "udp").
    - ``configure`` applies the current daemon.json to the driver.
    - ``tell`` passes a message (`Word`) to the agent.
    """

    def __init__(
        self,
        driver: Repairer,
        name: str,
        store: Store,
        *,
        relay: Callable[[], Mapping[str, int]],
        configure: Callable[[], None] = lambda: None,
        tell: Callable[[Word], None],
    ) -> None:
        self._driver, self._name, self._store = driver, name, store
        self._relay, self._configure, self._tell = relay, configure, tell
        self._schedule, self._desired = Schedule(time.monotonic()), Desired()
        self._suspects = frozenset[Difference]()
        self._foreign, self._by, self._stopped = False, "", False
        self._postponed = False  # True if the last repair left differences, because a command had locked the store
        self.fight = ""  # a sentence about another program that repeatedly undoes the repairs, or ""
        # True after the first successful comparison. Until then, the repair replaces a firewall table of a newer hawse.
        # Afterwards, such a table means that a newer version of hawse is in use: the thread sends ``superseded``.
        self._settled = False
        self._wakeup = Wakeup()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"repair {name}", daemon=True)
        self._thread.start()
        self._listening.wait(PATIENCE_SECONDS)

    def changed(self) -> None:
        """Notify the thread that the records of the local store have changed."""
        self._wakeup.send()

    def close(self) -> None:
        """End the thread; blocks up to `PATIENCE_SECONDS` seconds."""
        self._stopped = True
        self.changed()
        self._thread.join(PATIENCE_SECONDS)
        if not self._thread.is_alive():
            self._wakeup.close()

    def _run(self) -> None:
        pause = CHECK_SECONDS
        while not self._stopped:
            try:
                self._watch()
            except Exception as error:
                repair_log.say(f"{self._name}: cannot follow other programs' changes: {error!r}")
            self._listening.set()
            self._wait(pause)
            pause = min(2 * pause, LONGEST_REST_SECONDS)

    def _watch(self) -> None:
        watch = self._driver.watch()
        self._attempt(self._read_records)
        self._listening.set()
        try:
            # Compare now, because changes before the start of this watch are unknown.
            self._schedule.record_foreign_change(time.monotonic())
            self._follow(watch)
        finally:
            watch.close()

    def _read_records(self) -> None:
        """Read the records of the networks, which `_block` needs to block new connections.

        The first comparison reads the records too. But it may first have to wait for the store's lock, and `_block` may
        be called before.
        """
        with self._store.read() as reader:
            if boots.is_of_this_boot(reader):
                self._desired = shared_state.of(reader, self._name, self._relay())

    def _follow(self, watch: Watch) -> None:
        checked = time.monotonic()
        while not self._stopped:
            if self._schedule.resting(time.monotonic()):
                self._wait(self._schedule.due - time.monotonic())
                continue
            self._wait(min(self._schedule.due, checked + CHECK_SECONDS) - time.monotonic(), watch.fileno())
            now = time.monotonic()
            self._record_news(watch, watch.read(), now)
            if now >= checked + CHECK_SECONDS:
                checked = now
                if watch.missed():
                    self._schedule.record_foreign_change(now)
            if now >= self._schedule.due and not self._stopped:
                self._compare_and_repair(watch)

    def _wait(self, seconds: float, *others: int) -> None:
        """Wait up to ``seconds`` for a call of `changed` or `close`, or for data at a file descriptor in ``others``.

        After a call of `changed`, schedules a comparison.
        """
        if self._stopped:
            return
        if self._wakeup.fileno() in wait_readable([self._wakeup, *others], seconds=seconds):
            self._wakeup.clear()
            self._schedule.record_own_change(time.monotonic())

    def _record_news(self, watch: Watch, news: News, now: float) -> None:
        if news.lost:
            self._attempt(lambda: self._block(watch))
        if news.foreign:
            self._foreign, self._by = True, news.by
            self._schedule.record_foreign_change(now)
        if news.by_hawse:
            self._schedule.record_own_change(now)

    def _block(self, watch: Watch) -> None:
        watch.block([network for network, _ in self._desired.networks], self._desired.saved_state)

    def _compare_and_repair(self, watch: Watch) -> None:
        """Compare the kernel state with the records, and repair the differences.

        If another program repeatedly undoes the repairs, the next comparison is delayed (`Schedule.rest`). During the
        delay, the driver blocks new connections if this comparison repaired a difference that let forbidden packets
        pass. After any other successful comparison, the driver removes an earlier block. If the comparison fails, an
        earlier block stays, and the comparison is repeated.
        """
        began, rested, self._postponed = time.monotonic(), self._schedule.rest, False
        differences = self._attempt(self._put_right)
        self._schedule.record_comparison(began, time.monotonic(), share=0 if self._postponed else None)
        if differences is None:
            # the comparison failed, so compare again, with growing delays
            self._schedule.record_foreign_change(time.monotonic())
            return
        self._foreign, self._settled = self._foreign and self._postponed, True
        if self._suspects:
            self._schedule.record_own_change(time.monotonic())
        if self._schedule.rest and any(difference.opens for difference in differences):
            self._attempt(lambda: self._block(watch))
        else:
            self._attempt(watch.unblock)
        if differences and self._schedule.rest > rested:
            repair_log.say_resting(self._name, self._by, self._schedule.rest)
            repairs.add_delay(self._store, "driver", self._name, self._by, self._schedule.rest)
            self.fight = f"{self._by or 'another program'} keeps changing the firewall of hawse's {self._name} networks"
        elif not differences and not self._schedule.rest:
            self.fight = ""

    def _attempt(self, action: Callable[[], list[Difference] | None]) -> list[Difference] | None:
        """Call ``action`` and return its result; if it raises an exception, log the exception and return None."""
        try:
            return action()
        except (EngineError, DriverError, OSError) as error:
            repair_log.say(f"{self._name}: cannot repair: {error}")
        except Exception as error:
            repair_log.say(f"{self._name}: cannot repair: {error!r}")
        return None

    def _put_right(self) -> list[Difference]:
        """Repair the differences that need no second comparison; return the repaired differences.

        After a change by another program, all differences are repaired. After other changes, a difference is repaired
        in three cases:

        - the previous comparison found it too
        - it lets forbidden packets pass
        - it is of the kind ``upkeep``: the kernel's state needs a normal update, and nothing is damaged

        If a command has locked the store, only differences that let forbidden packets pass are repaired. The others
        are repaired at the next comparison, `SETTLE_SECONDS` later.
        """
        certain: Callable[[Difference], bool] = _always
        if not self._foreign:
            with self._store.read() as reader:
                differences = frozenset(self._compared(reader))
            chosen = frozenset(d for d in differences if d.opens or not d.is_damage or d in self._suspects)
            if not chosen:
                self._suspects = differences
                return []
            certain = chosen.__contains__
        try:
            # Hold a write transaction, so that no network becomes active or inactive between comparison and repair.
            with self._store.write() as tx:
                repaired = self._repair(tx, certain)
                damage = [difference for difference in repaired if difference.is_damage]
                if damage and self._schedule.rest < LONGEST_REST_SECONDS:
                    repairs.add(tx, "driver", self._name, self._by if self._foreign else "", damage)
                return repaired
        except Unavailable:
            with self._store.read() as reader:  # the store is locked: repair only what lets forbidden packets pass
                repaired = self._repair(reader, lambda difference: difference.opens)
            self._postponed = bool(self._suspects)
            return repaired

    def _repair(self, reader: Reader, certain: Callable[[Difference], bool]) -> list[Difference]:
        """Repair the differences for which ``certain`` returns True; return these differences.

        The other differences are kept for the next comparison.
        """
        began, differences = time.monotonic(), self._compared(reader)
        chosen = [difference for difference in differences if certain(difference)]
        self._suspects = frozenset(differences) - frozenset(chosen)
        if chosen:
            self._driver.repair(self._desired, chosen)
            if self._schedule.rest < LONGEST_REST_SECONDS:
                by = self._by if self._foreign else ""
                repair_log.say_repaired(self._name, by, chosen, time.monotonic() - began)
        return chosen

    def _compared(self, reader: Reader) -> list[Difference]:
        """Return the differences between the kernel state and the records.

        The port proxy runs in another thread. If it changes its ports during the comparison, the kernel state is
        compared again. Otherwise the repair would delete the proxy's new ports from the firewall.
        """
        here = boots.is_of_this_boot(reader)
        for _ in range(ATTEMPTS_LIMIT):
            relay = self._relay()
            self._desired = shared_state.of(reader, self._name, relay) if here else Desired()
            if not self._desired.networks:
                self._tell("unneeded")
                return []
            self._configure()
            differences = list(self._driver.compare(self._desired))
            if self._relay() == relay:
                break
        if self._settled and any(difference.kind == "superseded" for difference in differences):
            self._tell("superseded")
            return []
        return differences


def _always(_: Difference) -> bool:
    return True
