"""The agent backs up the store some time after a change, at most once in an interval, and when the agent ends."""

from __future__ import annotations

import pytest

from engine.agent.service import Snapshot
from engine.agentd import backup as agent_backup
from engine.agentd.backup import BackupService
from engine.eventloop.loop import Loop
from engine.model import NetworkRecord
from engine.store import backup, salvage
from engine.store.sqlite import SqliteStore


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(agent_backup, "DELAY_SECONDS", 0.05)
    return SqliteStore(tmp_path / "hawse.db")


def put(store, name):
    with store.write() as tx:
        tx.put_network(NetworkRecord(name, name, "", "bridge"))


def backed_up(store):
    kept = backup.path_of(store.path)
    return [n.name for n in salvage.read_file(kept).records["networks"].values()] if kept.exists() else None


def turned(loop, service, seconds):
    loop.after(seconds, loop.stop)
    loop.run()
    if service._thread is not None:
        service._thread.join()


def test_a_change_is_backed_up_later_and_the_next_only_after_the_interval(store):
    loop = Loop(catches=False)
    service = BackupService(loop, store.path)
    put(store, "one")
    service.reconcile(Snapshot())
    assert backed_up(store) is None
    turned(loop, service, 0.2)
    assert backed_up(store) == ["one"]
    put(store, "two")
    service.reconcile(Snapshot())
    turned(loop, service, 0.2)
    assert backed_up(store) == ["one"]
    service.close()
    assert backed_up(store) == ["one", "two"]


def test_a_failed_backup_is_logged_and_the_agent_continues(store, capsys):
    loop = Loop(catches=False)
    service = BackupService(loop, store.path)
    service.reconcile(Snapshot())
    turned(loop, service, 0.2)
    service.close()
    assert "cannot be backed up" in capsys.readouterr().err
