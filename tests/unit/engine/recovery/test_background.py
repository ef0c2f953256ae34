"""The processes that continue after a command: a dry run starts none of them."""

from __future__ import annotations

import os

import pytest

from drivers.explain.dry_run import DryRunRecorder
from drivers.linux import process, recording
from engine.config import Config
from engine.host import Host
from engine.networks import activate
from engine.recovery import recover
from engine.runtime.local import LocalRuntime
from engine.store.api import Intent, IntentKind
from engine.store.sqlite import SqliteStore


class Started(Exception):
    """A process would have been started."""


@pytest.fixture
def host(tmp_path, monkeypatch):
    def fork():
        raise Started

    monkeypatch.setattr(os, "fork", fork)
    return Host(tmp_path, tmp_path, Config(), SqliteStore(tmp_path / "hawse.db"), LocalRuntime(tmp_path, tmp_path))


def finish(host):
    with host.store.write() as tx:
        tx.put_intent(Intent(IntentKind.NETWORK_RETIRE, "a" * 64, process.identity()))
    recover.finish_in_background(host, activate.BACKGROUND_REMOVAL_LIMIT)


@pytest.mark.parametrize("start", [recover.schedule_cleanup, finish])
def test_a_dry_run_starts_no_process(host, monkeypatch, start):
    with pytest.raises(Started):
        start(host)
    monkeypatch.setattr(recording, "recorder", DryRunRecorder())
    start(host)
