"""The tests check the agent's file watches while the kernel has no descriptor left or drops events."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.eventloop import inotify
from engine.eventloop.inotify import DELETE_SELF, MODIFY, Inotify
from engine.eventloop.loop import Loop
from tests.unit.engine.conftest import no_descriptor_left


@pytest.fixture
def loop(monkeypatch) -> Iterator[Loop]:
    monkeypatch.setattr(inotify, "TIMER_SECONDS", 0.01)
    made = Loop()
    yield made
    made.close()


def test_watches_begin_when_the_kernel_has_a_descriptor_again(loop, tmp_path):
    kept, deleted, removed = (tmp_path / name for name in ("kept", "deleted", "removed"))
    for file in (kept, deleted, removed):
        file.write_text("")
    watches, events = Inotify(loop), []
    with no_descriptor_left():
        for file in (kept, deleted):
            watches.add(str(file), MODIFY, lambda _, mask, name=file.name: events.append((name, mask)))
        watches.remove(watches.add(str(removed), MODIFY, lambda *_: events.append(("removed", 0))))
        with pytest.raises(OSError):
            watches.add(str(tmp_path / "missing"), MODIFY, lambda *_: None)
        loop.after(0.05, loop.stop)
        loop.run()
        assert events == []
    deleted.unlink()
    loop.after(0.05, loop.stop)
    loop.run()
    assert events == [("kept", 0), ("deleted", DELETE_SELF)]
    kept.write_text("new")
    loop.after(0.05, loop.stop)
    loop.run()
    assert ("kept", MODIFY) in events
    watches.close()


def test_each_path_may_have_changed_after_the_kernel_has_dropped_events(loop, tmp_path):
    kept, deleted = tmp_path / "kept", tmp_path / "deleted"
    for file in (kept, deleted):
        file.write_text("")
    watches, events = Inotify(loop), []
    watches.add(str(kept), MODIFY, lambda name, mask: events.append((name, mask)))
    watches.add(str(deleted), DELETE_SELF, lambda name, mask: events.append((name, mask)))
    with kept.open("r+") as first, (tmp_path / "other").open("w") as second:
        watches.add(second.name, MODIFY, lambda *_: None)
        for _ in range(int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())):
            for file in (first, second):  # the kernel does not queue equal events in a row
                os.pwrite(file.fileno(), b"x", 0)
    deleted.unlink()
    events.clear()
    loop.after(0.5, loop.stop)
    loop.run()
    assert events[-2:] == [("", 0), ("", DELETE_SELF)]
    watches.close()


WITHOUT_WATCHES = 'echo 0 > /proc/sys/user/max_inotify_watches && exec "$0" -c "$1" "$2"'
WATCH = """
import select, sys
from engine.eventloop.inotify import MODIFY, watch_directory
print(bool(select.select([watch_directory(sys.argv[1], MODIFY)], [], [], 5)[0]))
"""


def test_a_directory_is_read_at_intervals_while_the_user_has_no_watch_left(tmp_path):
    """The limit holds for a user namespace of its own, because all processes of the user share the host's."""
    argv = ["unshare", "-Ur", "sh", "-c", WITHOUT_WATCHES, sys.executable, WATCH, str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("True\n", "")
