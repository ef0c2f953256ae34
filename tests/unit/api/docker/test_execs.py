"""The exec instances: when a client may resize the terminal of a command."""

from __future__ import annotations

import threading

import pytest

from api.docker import execs
from api.docker.errors import ApiError
from api.docker.execs import Exec
from engine.model import ExecCreate


@pytest.fixture
def instance() -> Exec:
    """An exec instance that is not started."""
    return Exec("e" * 64, "c" * 64, "", ExecCreate(cmd=["true"], tty=True), (True, True))


def test_a_resize_waits_for_the_start(instance):
    waiting = threading.Thread(target=instance.resize, args=(20, 30))
    waiting.start()
    waiting.join(0.1)
    assert waiting.is_alive()
    assert instance.size == (0, 0)
    instance.claim()
    waiting.join(5)
    assert instance.size == (20, 30)


def test_a_resize_of_a_command_that_is_never_started_fails_as_with_docker(instance, monkeypatch):
    monkeypatch.setattr(execs, "START_SECONDS", 0.01)
    with pytest.raises(ApiError, match=r"^timeout waiting for exec session ready$") as caught:
        instance.resize(20, 30)
    assert caught.value.status == 500


def test_a_resize_of_a_command_that_has_ended_fails_as_with_docker(instance):
    instance.claim()
    instance.finish(0)
    with pytest.raises(ApiError, match=f"^process does not exist {instance.id}: not found$") as caught:
        instance.resize(20, 30)
    assert caught.value.status == 404


def test_a_resize_of_a_command_that_could_not_be_executed_fails_as_with_docker(instance):
    instance.claim()
    instance.finish(126, executed=False)
    with pytest.raises(ApiError, match=r"^exec process is not started$") as caught:
        instance.resize(20, 30)
    assert caught.value.status == 400
