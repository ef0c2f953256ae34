"""Containers with the host's pid namespace leave no process behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import until

pytestmark = [pytest.mark.netns, pytest.mark.usefixtures("either")]

DAEMON = "setsid sh -c 'echo $$; exec sleep 4242' & "


def daemon(lab) -> Path:
    """Return the /proc entry of the process that the container's first process started in another session."""
    return Path("/proc") / until(lambda: lab.output("one").strip())


def test_all_processes_end_with_the_first(lab):
    lab.launch("one", "sh", "-c", DAEMON + "exec sleep 4242", pid_host=True)
    entry = daemon(lab)
    assert entry.exists()
    lab.runtime.delete("one")
    until(lambda: not (entry / "exe").exists())


def test_all_processes_end_although_the_first_ends_at_once(lab):
    lab.launch("one", "sh", "-c", DAEMON + "sleep 0.2; exit 3", pid_host=True)
    assert lab.runtime.wait("one", timeout=10) == 3
    entry = daemon(lab)
    until(lambda: not (entry / "exe").exists())


def test_the_next_supervisor_ends_them_too(lab):
    lab.launch("one", "sh", "-c", DAEMON + "exec sleep 4242", pid_host=True)
    entry = daemon(lab)
    lab.kill_supervisor()
    assert lab.runtime.wait("one", timeout=0.2) is None
    lab.runtime.delete("one")
    until(lambda: not (entry / "exe").exists())


def test_other_processes_of_the_host_continue(lab):
    other = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "4242")
    try:
        lab.launch("one", "sleep", "4242", pid_host=True)
        lab.runtime.delete("one")
        assert Path(f"/proc/{other}/exe").exists()
        assert Path(f"/proc/{lab.supervisor_pid()}/exe").exists()
    finally:
        os.kill(other, 9)
        os.waitpid(other, 0)
