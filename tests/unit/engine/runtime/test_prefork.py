"""An idle child process waits for work, which it gets as a file descriptor. It ends when it is not needed."""

from __future__ import annotations

import errno
import os
import signal
import socket
from pathlib import Path

import pytest

from engine.runtime.prefork import IdleChild, receive
from tests.conftest import until


def work(channel):
    """Write this process's id to the descriptor that comes over the channel; then exit with code 7."""
    try:
        os.write(receive(channel), str(os.getpid()).encode())
    finally:
        os._exit(7)


@pytest.fixture
def answer():
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def test_the_child_that_waits_gets_the_work(answer):
    reading, writing = answer
    idle = IdleChild(work)
    assert idle.hand_over(writing) == 0
    idle.prepare()
    idle.prepare()
    pid = idle.hand_over(writing)
    assert os.read(reading, 100) == str(pid).encode()
    assert os.waitpid(pid, 0)[1] == 7 << 8
    assert idle.hand_over(writing) == 0


def prepared(idle: IdleChild) -> int:
    """Prepare the idle child, and return its pid.

    The function compares the children before and after, because this process may have children of other tests.
    """
    before = children()
    idle.prepare()
    (pid,) = until(lambda: children() - before)
    return pid


def children() -> set[int]:
    return set(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))


def test_a_child_that_is_not_needed_exits(answer):
    idle = IdleChild(work)
    pid = prepared(idle)
    idle.dismiss()
    idle.dismiss()
    assert os.waitpid(pid, 0)[1] == 0


def test_no_work_goes_to_a_killed_child(answer):
    _, writing = answer
    idle = IdleChild(work)
    pid = prepared(idle)
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert idle.hand_over(writing) == 0
    os.waitpid(pid, 0)
    idle.prepare()
    idle.ended(pid)
    second = idle.hand_over(writing)
    assert second not in (0, pid)
    os.waitpid(second, 0)


def test_the_lack_of_descriptors_is_no_error(answer, monkeypatch):
    def exhausted(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    idle = IdleChild(work)
    with monkeypatch.context() as patched:
        patched.setattr(socket, "socketpair", exhausted)
        idle.prepare()
    assert idle.hand_over(answer[1]) == 0
