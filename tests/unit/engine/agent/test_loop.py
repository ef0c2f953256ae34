from __future__ import annotations

import os

import pytest

from engine.agent.inotify import CLOSE_WRITE, Inotify
from engine.agent.loop import Loop


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


def test_exception_of_a_handler_stops_nothing(loop, capsys):
    def fail() -> None:
        raise ValueError("broken")

    loop.after(0, fail)
    loop.after(0.01, loop.stop)
    loop.run()
    assert "ValueError: broken" in capsys.readouterr().err


def test_handlers_hear_of_readiness_until_forgotten(loop):
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


def test_inotify_shares_one_watch_among_several_interests(loop, tmp_path):
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
