"""The answer about a container's end comes after the last output of the attached clients."""

from __future__ import annotations

import threading
import time

import pytest

from api.docker import attachments
from api.docker.attachments import Attachments


@pytest.fixture
def attached(monkeypatch) -> Attachments:
    monkeypatch.setattr(attachments, "LAST_OUTPUT_SECONDS", 0.3)
    return Attachments()


def waited(attached: Attachments, container_id: str) -> float:
    """Return the seconds for which an answer about the container's end is delayed."""
    began = time.monotonic()
    attached.await_output(container_id, time.time())
    return time.monotonic() - began


def test_the_answer_comes_when_the_last_client_has_left(attached):
    left = threading.Event()

    def attach() -> None:
        with attached.member("web"):
            time.sleep(0.1)
            left.set()

    thread = threading.Thread(target=attach)
    thread.start()
    while not attached._members:
        time.sleep(0.001)
    attached.await_output("web", time.time())
    assert left.is_set()
    thread.join()


def test_a_client_that_does_not_leave_delays_one_answer_only(attached):
    with attached.member("web"):
        assert waited(attached, "db") < 0.2
        assert waited(attached, "web") >= 0.3
        assert waited(attached, "web") < 0.2
