"""The event loops' epoll watches count for a user id that no container has.

The tests do not use up the watches of a user: this takes a gigabyte of memory, and other programs have the same users.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys

import pytest

from engine.eventloop.loop import Loop

pytestmark = pytest.mark.netns

HIGH_ID = 1 << 20  # accounts and services have lower ids
IN_USER_NAMESPACE = """
import os
from engine.eventloop.loop import Loop
loop, calls = Loop(catches=False), []
reader, writer = os.pipe()
loop.watch(reader, calls.append)
os.write(writer, b"!")
loop.turn(1)
print(len(calls), os.getresuid())
"""


def test_each_loop_creates_its_epoll_descriptor_under_another_user_id(monkeypatch):
    """The kernel counts the watches of an epoll descriptor for the real user id of its creation."""
    create, ids = select.epoll, list[tuple[int, int, int]]()

    def recorded() -> select.epoll:
        ids.append(os.getresuid())
        return create()

    monkeypatch.setattr(select, "epoll", recorded)
    for _ in range(2):
        Loop(catches=False).close()
    users = {real for real, _, _ in ids}
    assert len(users) == 2
    assert min(users) >= HIGH_ID
    assert [(effective, saved) for _, effective, saved in ids] == [(0, 0)] * 2
    assert os.getresuid() == (0, 0, 0)


def test_a_loop_works_in_a_user_namespace_that_has_no_other_user_id():
    argv = ["unshare", "-Ur", sys.executable, "-c", IN_USER_NAMESPACE]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("1 (0, 0, 0)\n", "")
