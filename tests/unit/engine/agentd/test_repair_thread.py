"""The agent's repair thread, with a driver double.

The tests cover immediate repairs, repairs that follow only after a second comparison, and failed repairs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from drivers.linux import host
from drivers.model import Desired, Difference, NetworkSpec, News
from engine.agentd import repair_schedule, repair_thread
from engine.agentd.repair_thread import RepairThread
from engine.endpoints import boots
from engine.model import NetworkRecord
from engine.store.sqlite import SqliteStore
from tests import conftest
from tests.conftest import loaded

until = partial(conftest.until, pause=0.005)  # a short pause, because the thread acts within 0.1 s
HARMLESS = Difference("missing", "set", "element")
OPEN = Difference("changed", "chain", "the rules", opens=True)
UPKEEP = Difference("upkeep", "route_localnet", "br0")
FOREIGN_RELAY = Difference("foreign", "inet hawse", "relay (tcp : 40001)")
SUPERSEDED = Difference("superseded", "table", "set ruleset_99", opens=True)


class StandIn:
    """A double of the bridge driver and of the watch that reports changes in the kernel."""

    def __init__(self) -> None:
        self.found: Sequence[Difference] = ()
        self.repaired: list[Difference] = []
        self.blocked: list[bool] = []
        self.fails, self.stubborn, self.looks = 0, False, 0
        self.news: list[News] = []
        self.unheard = False
        self.read_end, self.write_end = os.pipe()

    def compare(self, desired: Desired) -> Sequence[Difference]:
        self.looks += 1
        assert [network.name for network, _ in desired.networks] == ["app"]
        if self.fails:
            self.fails -= 1
            raise RuntimeError("cannot look")
        return self.found

    def repair(self, desired: Desired, differences: Sequence[Difference]) -> None:
        self.repaired += differences
        if not self.stubborn:
            self.found = [difference for difference in self.found if difference not in differences]

    def saved_state(self) -> Sequence[str]:
        return ()

    def needs_repair(self) -> bool:
        return False

    def watch(self) -> StandIn:
        return self

    def tell(self, news: News) -> None:
        self.news.append(news)
        os.write(self.write_end, b"!")

    def fileno(self) -> int:
        return self.read_end

    def read(self) -> News:
        if not self.news:
            return News()
        os.read(self.read_end, 1)
        return self.news.pop(0)

    def missed(self) -> bool:
        unheard, self.unheard = self.unheard, False
        return unheard

    def block(self, networks: Sequence[NetworkSpec], saved_state: Sequence[str]) -> None:
        self.blocked.append(True)

    def unblock(self) -> None:
        self.blocked.append(False)

    def close(self) -> None:
        pass


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    made = SqliteStore(tmp_path / "hawse.db", busy_seconds=0.1)
    with made.write() as tx:
        tx.put_network(NetworkRecord(id="a" * 64, name="app", created="2026-01-01T00:00:00Z", driver="bridge"))
        tx.set_meta(boots.BOOT, host.boot_identity())
    return made


class Running:
    def __init__(self, driver: StandIn, store: SqliteStore) -> None:
        self.driver, self.words = driver, list[str]()
        self.relay: dict[str, int] = {}
        self.thread = RepairThread(driver, "bridge", store, relay=self.relay.copy, tell=self.words.append)


@pytest.fixture
def running(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr(repair_schedule, "SETTLE_SECONDS", 0.1)
    monkeypatch.setattr(repair_schedule, "SHARE", 0)
    monkeypatch.setattr(repair_thread, "CHECK_SECONDS", 0.3)
    made = Running(StandIn(), store)
    until(lambda: made.driver.looks and made.driver.blocked)
    yield made
    made.thread.close()


def test_a_change_by_another_program_is_repaired_immediately(running, capfd):
    running.driver.found = [HARMLESS, OPEN]
    running.driver.tell(News(foreign=True, lost=True, by="nft (7)"))
    until(lambda: running.driver.repaired)
    assert running.driver.repaired == [HARMLESS, OPEN]
    until(lambda: running.driver.blocked[-2:] == [True, False])
    assert "bridge: nft (7) changed what the networks share: missing set (element)" in capfd.readouterr().err


def test_ports_that_the_proxy_opens_during_a_comparison_stay(running):
    """They are no ports of another program, although they were not yet known when the comparison began."""

    def compare(desired: Desired) -> Sequence[Difference]:
        running.relay["tcp"] = 40_001
        running.driver.looks += 1
        return [] if desired.relay == running.relay else [FOREIGN_RELAY]

    running.driver.compare = compare
    before = running.driver.looks
    running.driver.tell(News(foreign=True, by="nft (7)"))
    until(lambda: running.driver.looks >= before + 2)
    time.sleep(0.1)
    assert running.driver.repaired == []


def test_after_hawses_own_change_a_difference_is_repaired_when_seen_twice(running, capfd):
    running.driver.found = [HARMLESS]
    running.driver.tell(News(by_hawse=True))
    until(lambda: running.driver.repaired)
    assert running.driver.looks >= 3, "two that saw it, and one before the deed"
    until(lambda: "bridge: differs from the records: missing set (element)" in capfd.readouterr().err)  # logged later


def test_a_difference_that_a_command_removes_is_not_repaired(running):
    before = running.driver.looks
    running.driver.found = [HARMLESS]
    running.thread.changed()
    until(lambda: running.driver.looks > before)
    running.driver.found = ()
    time.sleep(0.4)
    assert running.driver.repaired == []


@pytest.mark.parametrize("difference", [OPEN, UPKEEP])
def test_an_open_or_routine_difference_is_repaired_at_the_first_comparison(running, difference):
    before = running.driver.looks
    running.driver.found = [difference]
    running.thread.changed()
    until(lambda: running.driver.repaired)
    assert running.driver.looks == before + 2


def test_a_routine_update_is_not_logged(running, capfd):
    running.driver.found = [UPKEEP]
    running.thread.changed()
    until(lambda: running.driver.repaired)
    time.sleep(0.2)
    assert capfd.readouterr().err == ""


def test_a_change_without_notification_is_found_by_the_regular_check(running):
    running.driver.found = [OPEN]
    running.driver.unheard = True
    until(lambda: running.driver.repaired)


def test_a_failed_comparison_is_logged_and_repeated(running, capfd):
    running.driver.fails = 2
    running.driver.found = [OPEN]
    running.driver.tell(News(foreign=True, lost=True, by="nft (7)"))
    until(lambda: running.driver.repaired)
    assert capfd.readouterr().err.count("cannot repair: RuntimeError('cannot look')") == 2
    until(lambda: running.driver.blocked[-1] is False)


def test_a_failed_watch_is_started_again(store, monkeypatch, capfd):
    monkeypatch.setattr(repair_thread, "CHECK_SECONDS", 0.05)
    driver, tries = StandIn(), []

    def watch() -> StandIn:
        tries.append(1)
        if len(tries) < 3:
            raise OSError("no netlink")
        return driver

    monkeypatch.setattr(driver, "watch", watch)
    made = Running(driver, store)
    until(lambda: driver.looks)
    made.thread.close()
    assert capfd.readouterr().err.count("cannot follow other programs' changes") == 2


def test_new_connections_are_blocked_while_a_repair_is_delayed(running, monkeypatch, capfd):
    monkeypatch.setattr(repair_schedule, "FIRST_REST_SECONDS", 0.3)
    driver = running.driver
    driver.found, driver.stubborn = [OPEN], True
    deadline = time.monotonic() + loaded(10)
    while "keeps undoing" not in (log := capfd.readouterr().err) and time.monotonic() < deadline:
        driver.tell(News(foreign=True, lost=True, by="nft (7)"))
        time.sleep(0.02)
    assert "bridge: nft (7) keeps undoing the repair" in log
    assert driver.blocked[-1] is True
    driver.stubborn = False
    until(lambda: driver.blocked[-1] is False)


def test_a_delayed_repair_costs_no_processor_time(running, monkeypatch):
    monkeypatch.setattr(repair_schedule, "FIRST_REST_SECONDS", 1.0)
    driver = running.driver
    driver.found, driver.stubborn = [OPEN], True
    while driver.looks < 20 and not running.thread._schedule.rest:
        driver.tell(News(foreign=True, lost=True, by="nft (7)"))
        time.sleep(0.01)
    used = time.process_time()
    time.sleep(0.7)
    assert time.process_time() - used < 0.1


def test_a_locked_store_delays_only_harmless_differences(running, store, monkeypatch):
    monkeypatch.setattr(repair_schedule, "SHARE", 1000)  # the wait for the store must not count as a slow comparison
    running.driver.found = [HARMLESS, OPEN]
    with store.write():
        running.driver.tell(News(foreign=True, lost=True, by="nft (7)"))
        until(lambda: running.driver.repaired)
        assert running.driver.repaired == [OPEN]
    until(lambda: running.driver.repaired == [OPEN, HARMLESS])


def test_the_agent_is_notified_when_no_network_is_active(running, store):
    with store.write() as tx:
        tx.delete_network("a" * 64)
    running.thread.changed()
    until(lambda: running.words == ["unneeded"])


def test_records_of_an_earlier_boot_cause_no_comparison(store, monkeypatch):
    with store.write() as tx:
        tx.set_meta(boots.BOOT, "earlier")
    made = Running(StandIn(), store)
    until(lambda: made.words)
    made.thread.close()
    assert (made.driver.looks, set(made.words)) == (0, {"unneeded"})


def test_a_table_that_another_version_replaces_later_is_reported_and_not_repaired(running):
    running.driver.found = [SUPERSEDED]
    running.driver.tell(News(foreign=True, lost=True, by="python3 (7)"))
    until(lambda: "superseded" in running.words)
    assert running.driver.repaired == []


def test_a_table_of_another_version_is_replaced_at_the_first_comparison(store):
    driver = StandIn()
    driver.found = [SUPERSEDED]
    made = Running(driver, store)
    until(lambda: driver.repaired == [SUPERSEDED])
    made.thread.close()
    assert made.words == []
