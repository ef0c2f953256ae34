"""Removals of many containers are done in bunches, and no removal waits for ever."""

from __future__ import annotations

import os
import signal
import subprocess
from types import SimpleNamespace

from drivers.linux import process
from engine.containers import remove
from engine.errors import KernelFailure


def test_removals_of_killed_commands_are_finished_in_bunches(monkeypatch, tmp_path):
    """A command with a thousand open locks would have no descriptor left for its work."""
    finished: list[int] = []

    def finish(_host: object, ids: list[str]) -> dict[str, KernelFailure]:
        finished.append(len(ids))
        return {ids[0]: KernelFailure("no")}

    monkeypatch.setattr(remove, "_finish_removals", finish)
    monkeypatch.setattr(remove, "announce", lambda _: None)
    errors = remove.resume_removals(SimpleNamespace(run=tmp_path), [f"c{number}" for number in range(250)])
    assert finished == [100, 100, 50]
    assert list(errors) == ["c0", "c100", "c200"]


def test_a_process_that_survives_sigkill_ends_the_wait(monkeypatch):
    """A process in an uninterruptible wait of the kernel does so; here the signal is not sent."""
    monkeypatch.setattr(remove, "KILLED_TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda *_: None)
    child = subprocess.Popen(["sleep", "60"])
    try:
        record = SimpleNamespace(pid=child.pid, pid_start=process.start_time(child.pid))
        remove.end_orphan(record, signal.SIGTERM, 0.05)
        remove.end_orphan(record, signal.SIGKILL, None)
        assert child.poll() is None
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
