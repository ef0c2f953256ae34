from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from engine.eventloop.loop_thread import LoopThread, close_all
from tests.conftest import until


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    made = LoopThread("test")
    made.start()
    yield made
    close_all([made])


def test_calls_run_in_the_thread_in_their_order(thread):
    done = list[tuple[int, bool]]()
    for number in range(100):
        thread.call(lambda n=number: done.append((n, threading.current_thread() is threading.main_thread())))
    until(lambda: len(done) == 100)
    assert done == [(number, False) for number in range(100)]


def test_an_error_of_one_call_is_printed_and_ends_no_other(thread, capfd):
    done = threading.Event()
    thread.call(lambda: 1 // 0)
    thread.call(done.set)
    assert done.wait(5)
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_a_call_that_takes_long_delays_neither_the_caller_nor_the_end(thread):
    released = threading.Event()
    began = time.monotonic()
    thread.call(lambda: released.wait(5))
    close_all([thread])
    assert time.monotonic() - began < 2
    released.set()


def test_calls_before_the_end_still_run():
    thread, done = LoopThread("test"), list[int]()
    thread.start()
    thread.start()
    for number in range(3):
        thread.call(lambda n=number: done.append(n))
    close_all([thread])
    until(lambda: len(done) == 3)
    assert done == [0, 1, 2]


def test_a_thread_that_was_not_started_can_be_closed():
    close_all([LoopThread("test")])
