"""Processes that outlive the agent: a member of the store, the server. Started once, adopted afterwards.

A note in HAWSE_RUN/cluster names the process by pid and start time, so that a killed agent's successor finds it and
a reused pid is noticed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from drivers.linux.process import is_owner_running, start_time
from engine.paths import make_private_directory, open_private
from engine.store.locks import locked

STOP_TIMEOUT_SECONDS = 5.0
"""Seconds a process may take to end when asked to."""
LONG_LOG = 1 << 20
"""Bytes after which a log begins anew."""


def run_directory(run: Path) -> Path:
    """Where notes and logs of kept processes are (0700)."""
    path = run / "cluster"
    make_private_directory(path)
    return path


def is_running(run: Path, name: str) -> bool:
    """Whether the noted process is there."""
    return is_owner_running(_note(run, name))


def ensure(
    run: Path,
    name: str,
    argv: Sequence[str],
    environment: Mapping[str, str] | None = None,
    directory: Path = Path("/"),
) -> bool:
    """Start a process in a session of its own unless it runs already; whether it was started now."""
    with locked(run, "process", name):
        if is_running(run, name):
            return False
        where = run_directory(run)
        with (
            open(open_private(where / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab") as log,
            open(open_private(where / f"{name}.pid", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "w") as note,
        ):
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=directory, start_new_session=True,
                umask=0o077, env=dict(environment) if environment is not None else None,
            )  # fmt: skip
            note.write(f"{process.pid}:{start_time(process.pid)}")
        process.returncode = 0  # it is nobody's to wait for: `reap` collects it where it was our child
        return True


def reap(run: Path, name: str) -> None:
    """Collect a child that has ended, so that it does not stay a zombie."""
    pid = _note(run, name).partition(":")[0]
    if pid.isdigit():
        with suppress(ChildProcessError):
            os.waitpid(int(pid), os.WNOHANG)


def stop(run: Path, name: str, patience: float = STOP_TIMEOUT_SECONDS) -> None:
    """End a process: asked first, then forced; idempotent."""
    note = _note(run, name)
    deadline = time.monotonic() + patience
    number = signal.SIGTERM
    while is_owner_running(note):
        with suppress(ProcessLookupError):
            os.kill(int(note.partition(":")[0]), number)
        for _ in range(20):
            reap(run, name)
            if not is_owner_running(note):
                break
            time.sleep(0.05)
        if time.monotonic() > deadline:
            number = signal.SIGKILL
    (run_directory(run) / f"{name}.pid").unlink(missing_ok=True)


def last_log_line(run: Path, name: str) -> str:
    """The end of a process's log, for the error that says it did not start."""
    with suppress(OSError):
        lines = (run_directory(run) / f"{name}.log").read_text(errors="replace").strip().splitlines()
        return _plain(lines[-1])[:500] if lines else ""
    return ""


def _plain(line: str) -> str:
    """What a log's line in JSON says to people."""
    try:
        entry = json.loads(line)
        return str(entry.get("error") or entry["msg"])
    except (ValueError, KeyError, AttributeError):
        return line


def trim_logs(run: Path) -> None:
    """Begin logs anew that have grown long: HAWSE_RUN is memory on most systems."""
    for log in run_directory(run).glob("*.log"):
        with open(open_private(log, os.O_WRONLY), "ab") as file:
            if file.tell() > LONG_LOG:
                file.truncate(0)  # it is appended to


def _note(run: Path, name: str) -> str:
    try:
        with open(open_private(run / "cluster" / f"{name}.pid", os.O_RDONLY)) as note:
            return note.read()
    except OSError:
        return ""
