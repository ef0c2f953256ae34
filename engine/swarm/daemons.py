"""Starts and stops processes that outlive the agent: the etcd member ("etcd") and the manager's server ("server").

For each process, a file in HAWSE_RUN/cluster records the pid and the start time. After an agent was killed, the next
agent finds the processes by these files. The start time shows whether a pid has been reused.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from drivers.linux.process import is_owner_running, start_time
from engine.paths import make_private_directory, open_private
from engine.store.locks import locked

STOP_TIMEOUT_SECONDS = 5.0
"""Seconds to wait after SIGTERM for a process to end; after that, the process gets SIGKILL."""
LONG_LOG = 1 << 20
"""Maximum bytes of a process's log; a longer log is emptied."""
GATE = 'read -r go && exec "$@" < /dev/null'
"""A script of sh that executes a program as soon as it can read a line from its standard input.

If its standard input ends earlier, the script ends without executing the program.
"""


def run_directory(run: Path) -> Path:
    """Return the directory with the pid files and logs of etcd and the manager's server; create it if it is missing.

    The directory has mode 0700.
    """
    path = run / "cluster"
    make_private_directory(path)
    return path


def is_running(run: Path, name: str) -> bool:
    """Return whether the process ``name`` is running."""
    return is_owner_running(_note(run, name))


def pid_of(run: Path, name: str) -> int:
    """Return the pid of the process ``name``, or 0 if it does not run."""
    note = _note(run, name)
    return int(note.partition(":")[0]) if is_owner_running(note) else 0


def ensure(run: Path, name: str, argv: Sequence[str], directory: Path = Path("/")) -> bool:
    """Start the process ``name`` if it does not run; return whether it was started.

    The process gets its own session. ``argv`` is the command line of the process, ``directory`` its working directory.
    A lock prevents two callers from starting the process twice. The process executes the program of ``argv`` only after
    its pid file is written. Therefore a killed caller cannot leave a process without a pid file.
    """
    with locked(run, "process", name):
        if is_running(run, name):
            return False
        where = run_directory(run)
        with (
            open(open_private(where / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab") as log,
            open(open_private(where / f"{name}.pid", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "w") as note,
        ):
            process = subprocess.Popen(
                ["/bin/sh", "-c", GATE, "sh", *argv], stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=directory,
                start_new_session=True, umask=0o077,
            )  # fmt: skip
            note.write(f"{process.pid}:{start_time(process.pid)}")
        assert process.stdin is not None
        with process.stdin as gate:
            gate.write(b"go\n")
        process.returncode = 0  # prevents Popen from collecting the child's exit status, because `reap` collects it
        return True


def reap(run: Path, name: str) -> None:
    """Collect the exit status of the child process ``name`` if it has ended, so that it does not remain a zombie.

    Does nothing if the process is not a child of this process.
    """
    pid = _note(run, name).partition(":")[0]
    if pid.isdigit():
        with suppress(ChildProcessError):
            os.waitpid(int(pid), os.WNOHANG)


def stop(run: Path, name: str, timeout: float = STOP_TIMEOUT_SECONDS) -> None:
    """End the process ``name`` with SIGTERM, wait until it has ended, and delete its pid file; idempotent.

    If the process still runs after ``timeout`` seconds, the process gets SIGKILL.
    """
    note = _note(run, name)
    deadline = time.monotonic() + timeout
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
    """Return the last line of the log of the process ``name``, or "" without a log.

    The error for a failed start shows this line. If the line is a JSON object, the result is its field ``error`` or,
    without an error, its field ``msg``. The result has at most 500 characters.
    """
    with suppress(OSError):
        lines = (run_directory(run) / f"{name}.log").read_text(errors="replace").strip().splitlines()
        return _plain(lines[-1])[:500] if lines else ""
    return ""


def _plain(line: str) -> str:
    """Return the error or the message of a JSON log line, or the line itself if it is not JSON."""
    try:
        entry = json.loads(line)
        return str(entry.get("error") or entry["msg"])
    except (ValueError, KeyError, AttributeError):
        return line


def trim_logs(run: Path) -> None:
    """Empty each process log that is longer than `LONG_LOG` bytes.

    The logs are in HAWSE_RUN, which is in main memory (tmpfs) on most systems.
    """
    for log in run_directory(run).glob("*.log"):
        with open(open_private(log, os.O_WRONLY), "ab") as file:
            if file.tell() > LONG_LOG:
                file.truncate(0)  # safe, because processes only append to the file


def _note(run: Path, name: str) -> str:
    try:
        with open(open_private(run / "cluster" / f"{name}.pid", os.O_RDONLY)) as note:
            return note.read()
    except OSError:
        return ""
