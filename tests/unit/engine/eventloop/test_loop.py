from __future__ import annotations

import os
import signal
import threading

import pytest

from engine.eventloop.inotify import CLOSE_WRITE, Inotify
from engine.eventloop.loop import FEW_TIMERS, Loop


@pytest.fixture
def loop():
    made = Loop()
    made.after(5, made.stop)
    yield made
    made.close()


def test_timers_fire_in_order_and_cancelled_ones_do_not(loop):
    seen: list[str] = []
    loop.after(0.02, lambda: (seen.append("late"), loop.stop()))
    loop.after(0.0, lambda: seen.append("soon"))
    loop.after(0.01, lambda: seen.append("never")).cancel()
    loop.run()
    assert seen == ["soon", "late"]


def test_a_stop_before_the_loop_runs_is_not_lost(loop):
    seen: list[str] = []
    loop.after(0, lambda: (seen.append("turn"), loop.stop()))
    loop.stop()
    loop.run()
    assert seen == []
    loop.run()
    assert seen == ["turn"]


def test_an_exception_of_a_handler_is_logged_and_the_loop_continues(loop, capsys):
    def fail() -> None:
        raise ValueError("broken")

    loop.after(0, fail)
    loop.after(0.01, loop.stop)
    loop.run()
    assert "ValueError: broken" in capsys.readouterr().err


def test_handlers_are_called_until_their_descriptor_is_forgotten(loop):
    reader, writer = os.pipe()
    heard: list[bytes] = []

    def read(_events: int) -> None:
        heard.append(os.read(reader, 10))
        loop.forget(reader)
        loop.after(0.01, loop.stop)
        os.write(writer, b"unheard")

    loop.watch(reader, read)
    os.write(writer, b"x")
    loop.run()
    os.close(reader)
    os.close(writer)
    assert heard == [b"x"]


def test_a_descriptor_that_rests_twice_is_watched_again_after_the_pause(loop):
    reader, writer = os.pipe()
    heard: list[int] = []
    loop.watch(reader, lambda _: (heard.append(reader), loop.stop()))
    os.write(writer, b"x")
    loop.rest(reader, 0.05)
    loop.rest(reader, 0.05)
    loop.turn(0)
    assert heard == []
    loop.after(1, loop.stop)
    loop.run()
    os.close(reader)
    os.close(writer)
    assert heard == [reader]


def test_several_handlers_of_one_directory_share_an_inotify_watch(loop, tmp_path):
    inotify, seen = Inotify(loop), []
    first = inotify.add(str(tmp_path), CLOSE_WRITE, lambda name, _: seen.append(("first", name)))
    inotify.add(str(tmp_path), CLOSE_WRITE, lambda name, _: (seen.append(("second", name)), loop.stop()))
    (tmp_path / "a").write_text("x")
    loop.run()
    inotify.remove(first)
    (tmp_path / "b").write_text("x")
    loop.run()
    inotify.close()
    assert seen == [("first", "a"), ("second", "a"), ("second", "b")]


def test_cancelled_timers_do_not_pile_up_until_they_are_due(loop):
    kept = [loop.after(60, lambda: None) for _ in range(3)]
    for _ in range(10_000):
        loop.after(60, lambda: None).cancel()
    assert len(loop._timers) <= 2 * FEW_TIMERS
    for timer in kept:
        timer.cancel()
        timer.cancel()
    loop.after(0, loop.stop)
    loop.run()
    loop.after(0, loop.stop).cancel()
    loop.after(0, loop.stop)
    loop.run()


def test_a_reused_descriptor_gets_no_event_of_the_closed_one(loop):
    pipes = [os.pipe() for _ in range(2)]
    heard: list[str] = []

    def close_the_other(descriptor: int, other: int) -> None:
        loop.forget(descriptor)
        loop.forget(other)
        os.close(other)
        reader, writer = os.pipe()
        assert reader == other
        loop.watch(reader, lambda _: heard.append("stale"))
        pipes.append((reader, writer))
        loop.after(0.01, loop.stop)

    (first, _), (second, _) = pipes
    loop.watch(first, lambda _: close_the_other(first, second))
    loop.watch(second, lambda _: close_the_other(second, first))
    for _, writer in pipes:
        os.write(writer, b"x")
    loop.run()
    for fd in {fd for pipe in pipes for fd in pipe}:
        os.close(fd)
    assert heard == []


@pytest.fixture
def sigusr1():
    previous = signal.signal(signal.SIGUSR1, lambda *_: None)
    yield signal.SIGUSR1
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGUSR1, previous)


def test_a_signal_wakes_up_a_sleeping_loop(loop, sigusr1):
    calls = []
    loop.watch_signals(lambda: calls.append("signal"))
    threading.Timer(0.05, os.kill, (os.getpid(), sigusr1)).start()
    assert loop.turn(timeout=10)
    assert calls == ["signal"]
    assert not loop.turn(timeout=0)
