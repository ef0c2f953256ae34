"""The agent's link thread compares the links of networks and containers with the records.

The tests check when the thread compares, and how long it waits in a conflict with another program.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from drivers.model import Difference
from engine.agentd import link_thread
from engine.agentd.link_thread import LinkThread
from engine.errors import KernelFailure, Unavailable
from engine.recovery.link_repair import CONTAINER, NETWORK, NOTHING, Comparison, Subject
from tests.conftest import loaded, until

WEB, APP = Subject(CONTAINER, "web"), Subject(NETWORK, "app")
DAMAGED = Comparison("container web", [Difference("missing", "address", "10.0.0.2/24 on eth0")])


class Kernel:
    """A double of `LinkRepair`: it records its arguments, and returns the result that the test chooses."""

    def __init__(self) -> None:
        self.compared: list[Subject] = []
        self.blamed: list[str] = []
        self.answer: Callable[[Subject], Comparison] = lambda _: NOTHING

    def put_right(self, subject: Subject, by: str) -> Comparison:
        self.blamed.append(by)
        self.compared.append(subject)
        return self.answer(subject)

    def until(self, number: int, patience: float = 5.0) -> list[Subject]:
        """Wait until the thread has made ``number`` comparisons; return the compared subjects in order."""
        deadline = time.monotonic() + loaded(patience)
        while len(self.compared) < number:
            assert time.monotonic() < deadline, self.compared
            time.sleep(0.002)
        return self.compared


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def thread(kernel: Kernel) -> Iterator[LinkThread]:
    made = LinkThread(kernel.put_right)
    yield made
    made.close()


def test_reports_in_a_group_cause_one_comparison_and_networks_come_first(kernel, thread):
    for _ in range(20):
        thread.suspect([WEB, APP])
    assert kernel.until(2) == [APP, WEB]
    time.sleep(0.2)
    assert len(kernel.compared) == 2


def test_a_report_costs_no_more_time_with_many_subjects(kernel, thread):
    for number in range(200):
        thread.suspect([Subject(CONTAINER, str(number))])
    kernel.until(200)

    def only_the_reported_subject_is_scheduled() -> bool:
        thread.suspect([WEB])
        return thread._schedules.keys() <= {WEB}

    until(only_the_reported_subject_is_scheduled)


def test_a_report_during_a_comparison_is_not_lost(kernel, thread):
    begun, go = threading.Event(), threading.Event()

    def slow(_: Subject) -> Comparison:
        begun.set()
        go.wait(5)
        return NOTHING

    kernel.answer = slow
    thread.suspect([WEB])
    assert begun.wait(5)
    thread.suspect([WEB])
    go.set()
    kernel.until(2)


def test_the_author_of_a_harmless_change_is_not_blamed_for_a_later_change(kernel, thread, capfd):
    thread.suspect([WEB], "ip (7)")
    kernel.until(1)
    kernel.answer = lambda _: DAMAGED
    thread.suspect([WEB])
    kernel.until(2)
    until(lambda: "container web: another program made a change" in capfd.readouterr().err)
    assert kernel.blamed == ["ip (7)", ""]


def test_the_author_is_known_after_a_comparison_that_had_to_wait_for_a_command(kernel, thread, monkeypatch):
    monkeypatch.setattr(link_thread, "BUSY_SECONDS", 0.01)
    answers = iter((Comparison(busy=True), Comparison(busy=True), NOTHING))
    kernel.answer = lambda _: next(answers)
    thread.suspect([WEB], "ip (7)")
    kernel.until(3)
    assert kernel.blamed == ["ip (7)"] * 3


def test_the_containers_of_a_repaired_network_are_compared_after_it(kernel, thread):
    kernel.answer = lambda s: Comparison("network app", DAMAGED.differences, members=[WEB]) if s == APP else NOTHING
    thread.suspect([APP])
    assert kernel.until(2)[:2] == [APP, WEB]


def test_a_failing_repair_becomes_rarer_and_is_not_reported_as_a_conflict(kernel, monkeypatch, capfd):
    monkeypatch.setattr(link_thread, "BUSY_SECONDS", 0.01)
    rests: list[tuple[str, float]] = []

    def fail(_: Subject) -> Comparison:
        raise KernelFailure("no such device")

    kernel.answer = fail
    made = LinkThread(kernel.put_right, lambda _subject, by, seconds: rests.append((by, seconds)))
    made.suspect([WEB])
    until(lambda: len(kernel.compared) == 11)
    time.sleep(0.3)
    assert (len(kernel.compared), rests, made.fights()) == (11, [], [])
    made.close()
    assert capfd.readouterr().err.count("container web: cannot repair: no such device") == len(kernel.compared)


def test_an_object_that_a_command_changes_is_compared_later(kernel, thread, monkeypatch):
    monkeypatch.setattr(link_thread, "BUSY_SECONDS", 0.1)
    answers = iter((Comparison(busy=True), Comparison(busy=True), NOTHING))
    kernel.answer = lambda _: next(answers)
    thread.suspect([WEB])
    kernel.until(3)
    time.sleep(0.3)
    assert len(kernel.compared) == 3


def test_a_comparison_is_repeated_if_the_store_was_locked(kernel, thread, monkeypatch):
    monkeypatch.setattr(link_thread, "BUSY_SECONDS", 0.05)
    answers = iter((Unavailable("locked"), None))

    def answer(_: Subject) -> Comparison:
        error = next(answers)
        if error is not None:
            raise error
        return NOTHING

    kernel.answer = answer
    thread.suspect([WEB])
    kernel.until(2)


def test_a_conflict_is_reported_and_its_comparisons_become_rarer(kernel, thread, capfd):
    kernel.answer = lambda s: DAMAGED if s == WEB else NOTHING
    deadline = time.monotonic() + loaded(10)
    while not thread.fights():
        assert time.monotonic() < deadline
        thread.suspect([WEB], "ip (7)")
        time.sleep(0.01)
    assert thread.fights() == ["ip (7) keeps changing the links of container web"]
    rounds = len(kernel.compared)
    for _ in range(20):
        thread.suspect([WEB])
        time.sleep(0.01)
    assert len(kernel.compared) == rounds
    thread.suspect([APP])
    assert kernel.until(rounds + 1)[-1] == APP
    assert "container web: ip (7) keeps undoing the repair; the next one waits 1 s" in capfd.readouterr().err


def test_all_subjects_are_compared_in_turn(kernel, thread, monkeypatch):
    monkeypatch.setattr(link_thread, "LAP_SECONDS", 0.05)
    thread.follow({WEB, APP})
    assert set(kernel.until(8)) == {WEB, APP}
    thread.follow({APP})
    time.sleep(0.2)
    before = len(kernel.compared)
    kernel.until(before + 4)
    assert set(kernel.compared[before:]) == {APP}


def test_an_idle_thread_sleeps(kernel, thread):
    thread.follow({WEB})
    kernel.until(1)
    used = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - used < 0.02
