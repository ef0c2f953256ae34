"""A command that waits for another command's lock shows a notice after half a second.

The command line sets the function that shows the notice. Without this function, nothing is shown.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager

import pytest

from engine.errors import Unavailable
from engine.store import locks
from engine.store.locks import locked


@pytest.fixture
def notices():
    """Yield a list of the shown notices. Each notice is followed by "end" when its wait is over."""
    seen: list[str] = []

    @contextmanager
    def notice(text: str):
        seen.append(text)
        yield
        seen.append("end")

    locks.set_notice(notice)
    yield seen
    locks.set_notice(None)


def test_the_process_that_holds_the_lock_is_named(notices, tmp_path):
    with (
        locked(tmp_path, "container", "ab"),
        pytest.raises(Unavailable, match="waiting for another command"),
        locked(tmp_path, "container", "ab", timeout=0.7),
    ):
        pass
    assert notices == [notices[0], "end"]
    assert notices[0].startswith(f"Waiting for another command on container-ab: process {os.getpid()} (")


def test_a_short_wait_is_silent(notices, tmp_path):
    with (
        locked(tmp_path, "container", "ab"),
        pytest.raises(Unavailable),
        locked(tmp_path, "container", "ab", timeout=0.2),
    ):
        pass
    assert notices == []


def test_without_a_notice_the_lock_holder_is_not_determined():
    with locks.Wait("another command", lambda: pytest.fail("asked")) as wait:
        wait.began = time.monotonic() - 60
        wait.check()
