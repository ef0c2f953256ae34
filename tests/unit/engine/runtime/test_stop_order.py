"""The next supervisor continues the grace period of a stop request."""

from __future__ import annotations

import signal
import time

import pytest

from engine.eventloop.loop import Loop
from engine.runtime.directory import ContainerDirectory
from engine.runtime.stop_order import StopOrder


@pytest.mark.parametrize("clock", [-3600.0, 0.0, 3600.0])
def test_the_grace_period_is_never_longer_than_requested(tmp_path, monkeypatch, clock):
    """`clock` is the number of seconds by which the clock is changed between the two supervisors."""
    sent: list[int] = []
    directory = ContainerDirectory(str(tmp_path), "one")
    directory.create({})
    StopOrder(Loop(), directory, sent.append).give(signal.SIGTERM, 0.3, restart=False)
    actual = time.time
    monkeypatch.setattr(time, "time", lambda: actual() + clock)
    loop = Loop()
    StopOrder(loop, directory, sent.append).resume()
    began = time.monotonic()
    while len(sent) < 2 and time.monotonic() < began + 5:
        loop.turn(0.1)
    assert sent == [signal.SIGTERM, signal.SIGKILL]
    assert time.monotonic() < began + 2
