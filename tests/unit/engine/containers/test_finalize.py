"""The end of a container's run: what a dry run leaves in place."""

from __future__ import annotations

from drivers.explain.dry_run import DryRunRecorder
from drivers.linux import recording
from engine.config import Config
from engine.containers import finalize
from engine.host import Host
from engine.model import ContainerConfig, ContainerRecord, HostConfig
from engine.runtime.local import LocalRuntime
from engine.store.sqlite import SqliteStore


def test_a_dry_run_leaves_the_link_to_the_sandbox(tmp_path, monkeypatch):
    host = Host(tmp_path, tmp_path, Config(), SqliteStore(tmp_path / "hawse.db"), LocalRuntime(tmp_path, tmp_path))
    link = tmp_path / "sandbox"
    link.symlink_to("/proc/1/ns/net")
    record = ContainerRecord("c" * 64, "web", "", ContainerConfig("bb"), HostConfig(), sandbox_path=str(link))
    with monkeypatch.context() as dry:
        recorder = DryRunRecorder()
        dry.setattr(recording, "recorder", recorder)
        finalize.close_sandbox(host, record)
    assert link.is_symlink()
    assert recorder.commands == [f"# {finalize.SANDBOX_ENDS}"]
    finalize.close_sandbox(host, record)
    assert not link.is_symlink()
