"""The exec instances: when a client may resize a terminal, which instances are deleted, and what an end closes."""

from __future__ import annotations

import os
import threading

import pytest

from api.docker import execs
from api.docker.errors import ApiError
from api.docker.execs import Exec, Execs
from engine.model import ExecCreate


@pytest.fixture
def instance() -> Exec:
    """Return an exec instance with a terminal whose command is not started."""
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


def test_a_new_instance_stays_even_if_all_others_run(instance, monkeypatch):
    monkeypatch.setattr(execs, "REMEMBERED_LIMIT", 2)
    known = Execs()
    running = [known.add(lambda exec_id: Exec(exec_id, "c", "", instance.command, (True, True))) for _ in range(3)]
    for each in running[1:]:
        each.claim()
    newest = known.add(lambda exec_id: Exec(exec_id, "c", "", instance.command, (True, True)))
    assert known.get(newest.id) is newest
    assert all(known.get(each.id) is each for each in running[1:])
    with pytest.raises(ApiError, match=f"^No such exec instance: {running[0].id}$"):
        known.get(running[0].id)


def test_a_command_that_cannot_be_started_leaves_no_open_terminal(instance):
    master, slave = instance.open_terminal()
    os.close(slave)
    instance.finish(126)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(master)
