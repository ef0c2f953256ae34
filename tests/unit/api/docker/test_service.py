"""The parent of the API service starts the front again if the front is killed, also if it cannot fork at once."""

from __future__ import annotations

import errno
import os

import pytest

from api.docker import service
from api.docker.service import Service


@pytest.fixture
def parent(monkeypatch):
    monkeypatch.setattr(service, "RESTART_SECONDS", 0)
    return Service(None, [], None)


def failing(number: int, call):
    """Return a function that fails ``number`` times for lack of processes, and then does ``call``."""
    attempts = iter(range(number))

    def fork():
        if next(attempts, None) is not None:
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        return call()

    return fork


def test_the_front_is_started_again_when_processes_are_available_again(parent, monkeypatch, capfd):
    monkeypatch.setattr(os, "fork", failing(2, lambda: 12345))
    parent._front_ended(-9)
    assert parent._front == 12345
    assert capfd.readouterr().err.count("cannot start the front of the service: ") == 2


def test_sigterm_ends_the_attempts_and_no_process_is_killed(parent, monkeypatch):
    def terminated():
        parent._end(0)
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", terminated)
    parent._front_ended(-9)
    assert parent._front == 0
