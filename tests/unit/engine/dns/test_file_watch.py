"""A watch reports when a file is created, changed, replaced or removed.

The tests change the file in each of the ways in which programs change resolv.conf.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.dns.file_watch import SETTLE_SECONDS, FileWatch
from engine.eventloop import inotify
from engine.eventloop.inotify import Inotify
from engine.eventloop.loop import Loop
from tests.unit.engine.conftest import no_descriptor_left

PATIENCE = 4 * SETTLE_SECONDS


class Watched:
    """A watched file, and the number of file changes that the watch has reported."""

    def __init__(self, path: Path, loop: Loop) -> None:
        self.path, self.loop, self.told = path, loop, 0
        self.inotify = Inotify(self.loop)
        self.watch = FileWatch(self.loop, self.inotify, str(path), self._tell)

    def _tell(self) -> None:
        self.told += 1

    def tells(self, change: Callable[[], object]) -> bool:
        self.told = 0
        change()
        self.loop.after(PATIENCE, self.loop.stop)
        self.loop.run()
        return self.told == 1

    def close(self) -> None:
        self.watch.close()
        self.inotify.close()
        self.loop.close()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    (tmp_path / "resolv.conf").write_text("first")
    made = Watched(tmp_path / "resolv.conf", Loop())
    yield made
    made.close()


def replace(path: Path, text: str) -> None:
    new = path.with_name("new")
    new.write_text(text)
    new.rename(path)


def link(path: Path, target: str) -> None:
    new = path.with_name("new")
    new.symlink_to(target)
    new.rename(path)


def test_file_is_followed_through_replacement_removal_and_return(watched):
    assert watched.tells(lambda: watched.path.write_text("second"))
    assert watched.tells(lambda: replace(watched.path, "third"))
    assert watched.tells(lambda: replace(watched.path, "fourth"))
    assert watched.tells(watched.path.unlink)
    assert watched.tells(lambda: watched.path.write_text("fifth"))


def test_link_is_followed_to_a_file_whose_directory_comes_late_and_goes(watched):
    """The watched file is a link to a file in another directory, which is created later and removed again.

    systemd-resolved, NetworkManager and resolvconf use such directories below /run.
    """
    directory = watched.path.with_name("run") / "resolve"
    target = directory / "stub.conf"
    assert watched.tells(lambda: link(watched.path, "run/resolve/stub.conf"))
    for _ in range(2):
        assert watched.tells(lambda: (directory.mkdir(parents=True), target.write_text("there")))
        assert watched.tells(lambda: replace(target, "new"))
        assert watched.tells(target.unlink)
        assert watched.tells(lambda: shutil.rmtree(directory.parent))


def test_each_link_of_a_chain_is_followed(watched):
    """The watched file is a link through a linked directory and a linked file, as with resolvconf or NixOS."""
    top = watched.path.parent
    for name in ("old", "new-directory"):
        (top / name).mkdir()
        (top / name / "first.conf").write_text("first")
        (top / name / "second.conf").write_text("second")
        (top / name / "resolv.conf").symlink_to("first.conf")
    (top / "static").symlink_to("old")
    assert watched.tells(lambda: link(watched.path, "static/resolv.conf"))
    assert watched.tells(lambda: link(top / "old" / "resolv.conf", "second.conf"))
    assert watched.tells(lambda: link(top / "static", "new-directory"))
    assert watched.tells(lambda: replace(top / "new-directory" / "first.conf", "third"))


def test_changes_of_other_files_are_not_reported(watched):
    assert not watched.tells(lambda: watched.path.with_name("other").write_text("x"))


def test_a_file_that_is_created_while_the_kernel_has_no_watch_left_is_reported(monkeypatch, tmp_path):
    monkeypatch.setattr(inotify, "TIMER_SECONDS", 0.01)
    loop = Loop()
    with no_descriptor_left():
        watched = Watched(tmp_path / "resolv.conf", loop)
    assert watched.tells(lambda: watched.path.write_text("first"))
    watched.close()
