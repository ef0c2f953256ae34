from __future__ import annotations

import os
import threading

import pytest

from engine.eventloop.readiness import wait_readable
from engine.eventloop.wakeup import Wakeup


@pytest.fixture
def wakeup():
    made = Wakeup()
    yield made
    made.close()


def readable(wakeup: Wakeup, seconds: float = 0) -> bool:
    return bool(wait_readable([wakeup], seconds=seconds))


def test_another_thread_wakes_up_a_waiting_thread(wakeup):
    threading.Timer(0.05, wakeup.send).start()
    assert readable(wakeup, 10)


def test_one_clear_is_enough_after_many_sends(wakeup):
    for _ in range(100_000):  # more than a pipe holds
        wakeup.send()
    assert readable(wakeup)
    wakeup.clear()
    assert not readable(wakeup)


def test_other_programs_do_not_inherit_the_descriptor(wakeup):
    assert not os.get_inheritable(wakeup.fileno())
