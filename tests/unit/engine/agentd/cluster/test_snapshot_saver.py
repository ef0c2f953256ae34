"""`SnapshotSaver` saves the newest snapshot in its own thread, and rarely if saving takes long."""

from __future__ import annotations

import threading
import time

import pytest

from engine.agentd.cluster import snapshot_saver
from engine.agentd.cluster.snapshot_saver import SnapshotSaver
from engine.cluster import membership as memberships
from engine.cluster import snapshot
from tests.conftest import until


@pytest.fixture
def saves(monkeypatch):
    """The revisions that were saved; the fixture saves no file."""
    revisions = []

    def save(_root, view):
        assert threading.current_thread().name == "snapshot-saver"
        revisions.append(view.revision)
        time.sleep(0.01)

    monkeypatch.setattr(snapshot, "save", save)
    monkeypatch.setattr(snapshot_saver, "is_clustered", lambda _root: True)
    monkeypatch.setattr(snapshot_saver, "SHORTEST_PAUSE_SECONDS", 0.0)
    return revisions


@pytest.fixture
def saver(saves, tmp_path):
    memberships.directory(tmp_path).mkdir()
    saver = SnapshotSaver(tmp_path)
    saver.start()
    yield saver
    saver.stop()


def test_the_newest_snapshot_is_saved_after_a_pause_that_depends_on_the_duration(saver, saves):
    for revision in range(1, 101):
        saver.update(snapshot.make(revision, {}))
        time.sleep(0.005)
    until(lambda: saves[-1] == 100)
    assert len(saves) < 10


def test_an_error_does_not_end_the_thread(saver, saves, monkeypatch, capsys):
    working = snapshot.save
    monkeypatch.setattr(snapshot, "save", lambda *_: 1 / 0)
    saver.update(snapshot.make(1, {}))
    until(lambda: "ZeroDivisionError" in capsys.readouterr().err)
    monkeypatch.setattr(snapshot, "save", working)
    saver.update(snapshot.make(2, {}))
    until(lambda: saves == [2])


def test_a_host_that_has_left_its_cluster_saves_nothing(saver, saves, monkeypatch):
    monkeypatch.setattr(snapshot_saver, "is_clustered", lambda _root: False)
    saver.update(snapshot.make(1, {}))
    time.sleep(0.1)
    assert saves == []


def test_nothing_is_saved_while_a_command_ends_the_membership(saver, saves, tmp_path):
    with memberships.locked(tmp_path):
        saver.update(snapshot.make(1, {}))
        time.sleep(0.1)
        assert saves == []
    until(lambda: saves == [1])
