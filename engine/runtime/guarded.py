"""Keep the agent and the supervisor running: record how each was started, and start their guard.

The guard (`engine.runtime.guard`) restarts a killed agent or supervisor, and both restart a killed guard. Therefore all
three run again after any two of them were killed at once.

The record of a process is a file in HAWSE_RUN. If the process ends because it is no longer needed, it removes its
record.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import sys

from drivers.linux import process
from engine.runtime.directory import DocumentDirectory
from engine.runtime.spawn import python_command, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from engine.eventloop.loop import Loop

AGENT, SUPERVISOR, GUARD = "agent", "supervisor", "guard"
JOIN_SECONDS = 0.5
"""Seconds for which a new agent or supervisor waits before it starts a guard.

An earlier start of the guard would slow down the command that waits for the new process.
"""
CHECK_INTERVAL_SECONDS = 3.0
"""Seconds between two checks of the record and of the guard's state."""
SYSTEMD_DELAY_SECONDS = 2.0
"""Seconds that the guard waits for systemd to start a process again."""

_OF_ONE_PROCESS = (
    "HAWSE_AGENT_READY", "HAWSE_AGENT_LOCK", "LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET", "SYSTEMD_EXEC_PID",
    "WATCHDOG_PID", "WATCHDOG_USEC",
)  # fmt: skip

_FIELDS = {"argv": list, "env": dict, "log": str, "network": int, "delay": float}
"""The types of a record's values."""


def is_run_by_systemd() -> bool:
    """Return whether this process is the main process of a systemd unit, so that systemd restarts it after a kill."""
    return os.environ.get("SYSTEMD_EXEC_PID") == str(os.getpid())


def save(run: str, name: str, log: str = "/dev/null") -> None:
    """Record in the directory ``run`` how this process was started, so that the guard can start it again.

    ``name`` says whether this process is the agent or the supervisor. When the guard starts it again, its output is
    appended to the file ``log``. If the disk is full, an older record stays.
    """
    document = {
        "argv": [sys.executable, *sys.orig_argv[1:]],
        "env": _environment(),
        "log": log,
        "network": _own_network(),
        "delay": SYSTEMD_DELAY_SECONDS if is_run_by_systemd() else 0.0,
    }
    if load(run, name) == document:
        return
    with contextlib.suppress(OSError):
        DocumentDirectory(run).write(_file(name), document)


def load(run: str, name: str) -> dict[str, Any] | None:
    """Return the record that says how to start the agent or supervisor (``name``) again.

    The keys are "argv", "env", "log" (the file for the output), "network" (the inode number of the network namespace)
    and "delay" (seconds before the start). Returns None if the record is missing or damaged.
    """
    try:
        document = DocumentDirectory(run).read(_file(name)) or {}
    except (OSError, ValueError, RecursionError):
        return None
    return document if all(isinstance(document.get(key), kind) for key, kind in _FIELDS.items()) else None


def is_saved(run: str, name: str) -> bool:
    """Return whether the agent or supervisor (``name``) has a start record (`save`).

    The guard restarts only a process that has a record.
    """
    return os.path.lexists(os.path.join(run, _file(name)))


def forget(run: str, name: str) -> None:
    """Remove the start record of this process, which `save` has written; idempotent.

    The process is about to end. Without the record, the guard does not restart it.
    """
    with contextlib.suppress(OSError):
        DocumentDirectory(run).unlink(_file(name))


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _OF_ONE_PROCESS}


def _file(name: str) -> str:
    return f"{name}.start"


def _own_network() -> int:
    """Return the inode number of this process's network namespace."""
    return os.stat("/proc/self/ns/net").st_ino


def start_guard(run: str) -> int:
    """Start a guard, which ends at once if another guard runs; return its pid, or 0 if it cannot be started now."""
    try:
        return spawn(python_command("engine.runtime.guard", run), _environment())
    except OSError:
        return 0


def needs_guard(run: str) -> bool:
    """Return whether the guard was killed, and the agent or the supervisor was killed too.

    The agent or the supervisor was killed if it has a start record (`save`), but does not run. Returns False if no
    start record names the network namespace of the calling process. If the guard runs, the call takes only a few
    microseconds.
    """
    saved = [name for name in (AGENT, SUPERVISOR) if is_saved(run, name)]
    if not saved or not _is_free(run, GUARD) or not any(_is_free(run, name) for name in saved):
        return False
    network = _own_network()
    return any((load(run, name) or {}).get("network") == network for name in saved)


def _is_free(run: str, name: str) -> bool:
    """Return whether the lock of the resident process ``name`` is free, which means that the process does not run.

    Returns False if the lock file cannot be opened, and True if it does not exist.
    """
    try:
        lock = os.open(os.path.join(run, f"{name}.lock"), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        return error.errno == errno.ENOENT
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(lock)
    return True


class Guarded:
    """Renews the start record of this process, and starts a guard if none is connected.

    The record says how this process was started. After a kill of this process, the guard starts it again as the record
    says. Its output is then appended to the file ``log``. ``name`` is `AGENT` or `SUPERVISOR`. The process calls
    `joined` when a guard has connected, and `left` when the guard's connection has closed.
    """

    def __init__(self, loop: Loop, run: str, name: str, log: str = "/dev/null") -> None:
        self._loop, self._run, self._name, self._log = loop, run, name, log
        self._guard = self._child = 0  # pids of the connected guard, and of the guard that this process has started
        self._stopped = self._closed = False
        loop.after(JOIN_SECONDS, self._check)

    def joined(self, pid: int) -> None:
        """Record that the guard with this pid has connected."""
        self._guard, self._stopped = pid, False

    def left(self, pid: int) -> None:
        """Note that the connection of the guard ``pid`` has closed, and start another guard.

        Does nothing if another guard has connected meanwhile.
        """
        if pid == self._guard:
            self._guard = 0
            self._start()

    def close(self) -> None:
        """Stop starting guards, because this process ends; idempotent."""
        self._closed = True

    def _check(self) -> None:
        """Start a guard if none is connected; kill the guard if it is stopped (SIGSTOP) at two checks in a row.

        Also write this process's start record (`save`) again if it is missing or damaged. The cause may be a full disk
        or another program.
        """
        if self._closed:
            return
        self._reap()
        save(self._run, self._name, self._log)
        if not self._guard:
            self._start()
        stopped = self._guard > 0 and process.is_stopped(self._guard)
        if stopped and self._stopped:
            with contextlib.suppress(ProcessLookupError):
                # No other process has this pid while the guard's connection is open.
                os.kill(self._guard, signal.SIGKILL)
        self._stopped = stopped
        self._loop.after(CHECK_INTERVAL_SECONDS, self._check)

    def _start(self) -> None:
        """Start a guard, which ends at once if another guard runs."""
        if self._closed:
            return
        self._reap()
        self._child = start_guard(self._run) or self._child

    def _reap(self) -> None:
        """Reap the guard that this process has started, if the guard has ended and was not reaped by other code."""
        with contextlib.suppress(ChildProcessError):
            if self._child:
                os.waitpid(self._child, os.WNOHANG)
