"""A container uses up the epoll watches of the user root, but the event loops of hawse still work.

The test uses up the watches of another user id, because all services of the machine share root's watches.
"""

from __future__ import annotations

import os
import resource
import select
from pathlib import Path

import pytest

from engine.eventloop.loop import Loop

pytestmark = pytest.mark.netns

USER = 0x7AB3C5D1
WATCHES = 2000  # of each epoll descriptor
LIMIT = int(Path("/proc/sys/fs/epoll/max_user_watches").read_text())


def use_up_watches() -> list[select.epoll]:
    """Add watches until the kernel refuses one, because the real user id of this process has the most it may have."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (2 * WATCHES + LIMIT // WATCHES,) * 2)
    reader, _ = os.pipe()
    opened, watched = [], [os.dup(reader) for _ in range(WATCHES)]
    with pytest.raises(OSError, match="No space left"):
        while True:
            opened.append(select.epoll())
            for fd in watched:
                opened[-1].register(fd, 0)
    return opened


def works_without_watches() -> bool:
    """Return whether a loop of a process of ``USER`` with root's rights works, after ``USER``'s watches are used up."""
    os.setresuid(USER, 0, 0)
    kept, calls, (reader, writer) = use_up_watches(), list[int](), os.pipe()
    loop = Loop(catches=False)
    loop.watch(reader, calls.append)
    os.write(writer, b"!")
    loop.turn(1)
    return bool(kept and calls) and os.getresuid() == (USER, 0, 0)


@pytest.mark.skipif(LIMIT > 8_000_000, reason="the watches would need more than 1.5 GB")
def test_a_loop_works_after_all_watches_of_its_user_are_used_up():
    child = os.fork()
    if child == 0:
        try:
            os._exit(not works_without_watches())
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
