"""The tests check when the guard restarts a process, and when it treats a process as stuck."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from drivers.linux import process
from engine.runtime import guard
from engine.runtime.guard import Liveness, delay_seconds


def test_the_delay_before_a_restart_grows_up_to_30_seconds():
    delays = [delay_seconds(failures) for failures in (0, 1, 2, 3, 9, 10, 12, 14, 15, 10**6)]
    assert delays == [0, 0.1, 0.2, 0.2, 0.2, 1, 4, 16, 30, 30]


@pytest.fixture
def asleep():
    with subprocess.Popen(["sleep", "60"]) as child:
        while process.stat_fields(child.pid)[0] != b"S":
            time.sleep(0.01)
        yield child.pid
        child.kill()


@pytest.fixture
def spinning():
    with subprocess.Popen(["sh", "-c", "while :; do :; done"]) as child:
        yield child.pid
        child.kill()


def hangs(monkeypatch, pid: int) -> bool:
    """Return whether a process that answers no ping counts as stuck within 0.5 s.

    A process is stuck if it has slept for 0.2 s without using processor time.
    """
    monkeypatch.setattr(guard, "HANG_SECONDS", 0.2)
    monkeypatch.setattr(guard, "PING_INTERVAL_SECONDS", 0)
    watch = Liveness()
    assert watch.is_ping_due()
    stuck = []
    for _ in range(10):
        stuck.append(watch.is_stuck(pid))
        time.sleep(0.05)
    return any(stuck)


def test_a_process_that_sleeps_and_does_not_answer_is_stuck(monkeypatch, asleep):
    assert hangs(monkeypatch, asleep)


def test_a_process_that_works_is_not_stuck(monkeypatch, spinning):
    assert not hangs(monkeypatch, spinning)


def test_a_process_that_answers_is_not_stuck(asleep):
    watch = Liveness()
    watch.answered()
    assert not watch.is_stuck(asleep)


def test_a_stopped_process_is_stuck_at_the_second_check(asleep):
    watch = Liveness()
    os.kill(asleep, signal.SIGSTOP)
    while not process.is_stopped(asleep):
        time.sleep(0.01)
    assert [watch.is_stuck(asleep) for _ in range(2)] == [False, True]
    os.kill(asleep, signal.SIGCONT)
    while process.is_stopped(asleep):
        time.sleep(0.01)
    assert not watch.is_stuck(asleep)
