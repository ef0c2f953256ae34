"""The tests check processes that the agent starts and that outlive the agent: their logs and pid files.

No other user may read these files, or redirect them with a symbolic link.
"""

from __future__ import annotations

import os
import signal
import stat
import time
from pathlib import Path

import pytest

from engine.swarm import daemons


def log_of(run, text):
    file = daemons.run_directory(run) / "etcd.log"
    file.write_text(text)
    return file


def test_the_last_log_line_is_shown_as_plain_text(tmp_path):
    log_of(
        tmp_path, '{"level":"warn","msg":"first"}\n{"level":"fatal","msg":"discovery failed","error":"no such thing"}\n'
    )
    assert daemons.last_log_line(tmp_path, "etcd") == "no such thing"
    log_of(tmp_path, '{"level":"fatal","msg":"discovery failed"}\n')
    assert daemons.last_log_line(tmp_path, "etcd") == "discovery failed"
    log_of(tmp_path, "Traceback\nKeyError: 'x'\n")
    assert daemons.last_log_line(tmp_path, "etcd") == "KeyError: 'x'"
    assert daemons.last_log_line(tmp_path, "other") == ""


def test_a_long_log_is_emptied_and_written_further(tmp_path):
    file = log_of(tmp_path, "x" * daemons.LONG_LOG)
    with file.open("a") as writer:
        daemons.trim_logs(tmp_path)
        writer.write("more")
        writer.flush()
        assert file.stat().st_size == daemons.LONG_LOG + 4
        daemons.trim_logs(tmp_path)
        writer.write("again")
    assert file.read_text() == "again"


@pytest.fixture
def run(tmp_path):
    """Yield a HAWSE_RUN directory; after the test, kill the process ``store`` that the test has started with it."""
    yield tmp_path / "run"
    note = tmp_path / "run" / "cluster" / "store.pid"
    if note.exists() and note.read_text():
        os.kill(int(note.read_text().partition(":")[0]), signal.SIGKILL)
        daemons.reap(tmp_path / "run", "store")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_pid_file_and_log_are_private_with_any_umask(run):
    before = os.umask(0)
    try:
        assert daemons.ensure(run, "store", ["sleep", "60"])
    finally:
        os.umask(before)
    assert {path.name: mode(path) for path in (run / "cluster").iterdir()} == {"store.pid": 0o600, "store.log": 0o600}
    assert daemons.is_running(run, "store")
    assert not daemons.ensure(run, "store", ["false"])


def test_no_process_runs_unrecorded_after_its_starter_was_killed(run, tmp_path, monkeypatch):
    """The starter is killed at the moment when the process exists but its pid file is still empty."""
    proof = tmp_path / "proof"
    starter = os.fork()
    if starter == 0:
        monkeypatch.setattr(daemons, "start_time", lambda _: os.kill(os.getpid(), signal.SIGKILL))
        try:
            daemons.ensure(run, "store", ["touch", str(proof)])
        finally:
            os._exit(1)
    os.waitpid(starter, 0)
    time.sleep(0.5)  # time for the process to execute its program
    assert not daemons.is_running(run, "store")
    assert not proof.exists()


@pytest.mark.parametrize("name", ["store.log", "store.pid"])
def test_links_are_not_followed(run, name):
    (run / "cluster").mkdir(mode=0o700, parents=True)
    (run / "cluster" / name).symlink_to(run / "victim")
    with pytest.raises(OSError, match="symbolic links"):
        daemons.ensure(run, "store", ["sleep", "60"])
    assert not (run / "victim").exists()
