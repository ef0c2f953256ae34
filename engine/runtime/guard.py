"""The guard: a small process that restarts the agent and the supervisor of a HAWSE_RUN after a kill.

Agent and supervisor start the guard (`engine.runtime.guarded`). The guard also replaces an agent or supervisor that
SIGSTOP has stopped or that hangs. The guard ends when neither process is needed.

It is not enough that the agent and the supervisor watch each other. A kill of both at once would not be detected. A
host without containers has no supervisor, so a kill of its agent would not be detected either.

The guard holds a connection to each process, so it detects an end immediately. It has no code for networks or
containers, and imports only what the supervisor imports. It uses 5 MB.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import time

from drivers.linux import process
from engine.eventloop.loop import Loop
from engine.runtime import attributes, cgroup, guarded, peer, protocol, resident, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LOCK = "guard.lock"
LOOK_INTERVAL_SECONDS = 1.0
"""Seconds between two checks of the state of each process."""
PING_INTERVAL_SECONDS = 5.0
HANG_SECONDS = 10.0
"""A process counts as hanging if it has slept for this number of seconds and used no processor time.

A process that is only slow uses processor time, or waits for a processor or a disk, so it is never killed.
"""
START_TIMEOUT_SECONDS = 10.0
CONNECT_INTERVAL_SECONDS = 0.02
STEADY_SECONDS = 5.0
"""Seconds after which a start counts as successful. The next start is then not delayed."""
DELAYS_SECONDS = (0.0, 0.1, *[0.2] * 8)
LONGEST_DELAY_SECONDS = 30.0
_DESCRIPTORS_LIMIT = 1 << 20
_LOCK_ATTEMPTS = 5
_FORK_SECONDS = 0.1  # seconds in which a forked supervisor takes its lock
_DEFAULT_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGHUP)


def delay_seconds(failures: int) -> float:
    """Return the seconds to wait before the next start, after ``failures`` failed starts in a row."""
    if failures < len(DELAYS_SECONDS):
        return DELAYS_SECONDS[failures]
    return min(LONGEST_DELAY_SECONDS, 2.0 ** min(failures - len(DELAYS_SECONDS), 10))


class GuardedProcess:
    """One process that the guard keeps running: the agent or the supervisor (``name``).

    The guard sends the message ``hello`` when it connects to the process. The guard then sends ``ping`` regularly, to
    check that the process answers.
    """

    def __init__(self, loop: Loop, run: str, name: str, hello: bytes, ping: bytes) -> None:
        self._loop, self._run, self._name, self._hello, self._ping = loop, run, name, hello, ping
        self._connection: socket.socket | None = None
        self._record: dict[str, Any] | None = None
        self._pid, self._began, self._failures, self._child = 0, 0.0, 0, 0
        self._starting, self._vanished, self._stopped = False, math.inf, 0
        self._liveness = Liveness()

    @property
    def needed(self) -> bool:
        """Whether the guard must continue for this process: it is connected to the process, or a start record exists.

        A start record (`guarded.save`) is a file that says how to start the process. A process without this file need
        not run.
        """
        return self._connection is not None or guarded.is_saved(self._run, self._name)

    def look(self) -> None:
        """Start the process if the guard has no connection to it; kill a process that is stopped or hangs."""
        if self._connection is None:
            if not self._starting:
                self._start()
            return
        if self._liveness.is_stuck(self._pid):
            peer.kill(self._connection)
        elif self._liveness.is_ping_due():
            with contextlib.suppress(OSError):  # the socket is full if the process reads nothing
                self._connection.send(self._ping, socket.MSG_DONTWAIT)

    def _connect(self) -> bool:
        try:
            connection = peer.connect(self._run, f"{self._name}.sock")
            connection.setblocking(False)
            connection.send(self._hello)
        except OSError:
            return False
        self._load()
        self._connection, self._pid = connection, peer.credentials(connection)[0]
        self._began, self._starting, self._liveness = time.monotonic(), False, Liveness()
        self._loop.watch(connection.fileno(), lambda _: self._read(connection))
        return True

    def _read(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._liveness.answered()
            return
        self._loop.close_socket(connection)
        self._connection = None
        self._failures = 0 if time.monotonic() - self._began >= STEADY_SECONDS else self._failures + 1
        self._start_later()

    def _load(self) -> dict[str, Any] | None:
        """Return the start record of the process (`guarded.save`), or None if the process need not run.

        If another program has damaged the record, return the last undamaged record.
        """
        kept = self._record if guarded.is_saved(self._run, self._name) else None
        self._record = guarded.load(self._run, self._name) or kept
        return self._record

    def _start_later(self) -> None:
        record = self._load()
        self._starting = record is not None
        if record is not None:
            self._loop.after(delay_seconds(self._failures) + record["delay"], self._start)

    def _start(self) -> None:
        """Start the process if it has a start record (`guarded.save`) but does not accept a connection."""
        record = self._load()
        self._starting = record is not None and not self._connect()
        if record is not None and self._starting:
            self._execute(record)
            self._loop.after(CONNECT_INTERVAL_SECONDS, lambda: self._await(time.monotonic() + START_TIMEOUT_SECONDS))

    def _execute(self, record: dict[str, Any]) -> None:
        argv = record["argv"]
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
        # If the log cannot be opened (it is a directory or a symbolic link), use /dev/null instead.
        for log in (record["log"], os.devnull):
            files = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0)]
            files += [(os.POSIX_SPAWN_OPEN, fd, log, flags, 0o600) for fd in (1, 2)]
            # Another program may have written wrong values into the record.
            with contextlib.suppress(OSError, TypeError, ValueError, IndexError):
                self._child = os.posix_spawn(
                    argv[0], argv, record["env"], file_actions=files, setsid=True, setsigdef=_DEFAULT_SIGNALS
                )
                return

    def _await(self, deadline: float) -> None:
        """Check repeatedly, without blocking, until the started process listens.

        If the process has ended, or does not listen by ``deadline`` (monotonic clock), schedule another start.
        """
        if self._connect():
            return
        self._stopped = resident.kill_stopped_holder(self._run, f"{self._name}.lock", self._stopped)
        if time.monotonic() < deadline and not self._has_failed():
            self._loop.after(CONNECT_INTERVAL_SECONDS, lambda: self._await(deadline))
            return
        self._failures += 1
        self._start_later()

    def _has_failed(self) -> bool:
        """Return whether the started process has ended, and no process has held its lock for `_FORK_SECONDS`.

        The end of the started process alone is no failure. The first process of a supervisor forks the supervisor and
        ends. The supervisor takes the lock within `_FORK_SECONDS`.
        """
        if process.stat_fields(self._child) or resident.holder(self._run, f"{self._name}.lock"):
            self._vanished = math.inf
            return False
        self._vanished = min(self._vanished, time.monotonic())
        return time.monotonic() > self._vanished + _FORK_SECONDS


class Liveness:
    """Detects that a connected process is stopped or hangs, from unanswered pings and the process's state in /proc."""

    def __init__(self) -> None:
        self._stopped = False
        self._asked = self._answered = time.monotonic()
        self._unanswered = False
        self._used, self._asleep = b"", 0.0

    def answered(self) -> None:
        """Record an answer of the process."""
        self._unanswered = False

    def is_ping_due(self) -> bool:
        """Return whether a ping must be sent now. If so, record that the ping was sent."""
        if self._unanswered or time.monotonic() < self._asked + PING_INTERVAL_SECONDS:
            return False
        self._asked, self._unanswered, self._used = time.monotonic(), True, b""
        return True

    def is_stuck(self, pid: int) -> bool:
        """Return whether the process hangs, or is in the stopped state at this check and at the previous check.

        SIGSTOP causes the stopped state. The process hangs if it has not answered a ping, and its main thread has slept
        for a long time (`_hangs`).
        """
        state = (process.stat_fields(pid) or [b""])[0]
        stopped, self._stopped = self._stopped and state == b"T", state == b"T"
        return stopped or (self._unanswered and self._hangs(pid, state))

    def _hangs(self, pid: int, state: bytes) -> bool:
        """Return whether the process's main thread has slept for `HANG_SECONDS` without processor time.

        ``state`` is the process's state in /proc/PID/stat, one letter: b"S" means sleep. Waiting for a disk has another
        letter (b"D"), and does not count as sleep.
        """
        used = _processor_time(pid)
        if state != b"S" or used != self._used:
            self._used, self._asleep = used, time.monotonic()
        return time.monotonic() >= self._asleep + HANG_SECONDS


def _processor_time(pid: int) -> bytes:
    """Return how many nanoseconds the process's main thread has run, as decimal digits; b"" if this is unknown."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/schedstat", "rb") as file:
        return file.read().split()[0]
    return b""


def take_lock(run: str) -> int:
    """Take the guard's lock in the directory ``run``; return its file descriptor, or -1 if another guard runs.

    If the other guard is stopped by SIGSTOP, this guard kills it and takes the lock.
    """
    lock = resident.open_lock(run, LOCK)
    stopped = 0
    for _ in range(_LOCK_ATTEMPTS):
        if resident.try_lock(lock):
            resident.sign(lock)
            return lock
        stopped = resident.kill_stopped_holder(run, LOCK, stopped)
        if not stopped and resident.holder(run, LOCK):
            break
        time.sleep(peer.STOPPED_SECONDS / 2)
    os.close(lock)
    return -1


def keep_lock(run: str, lock: int) -> bool:
    """Take the guard's lock again if the lock file was deleted; return False if another guard has the lock.

    ``lock`` is the file descriptor of the locked file.
    """
    if resident.is_open(run, LOCK, lock):
        return True
    try:
        taken = take_lock(run)
    except OSError:  # the directory is missing: the supervisor or the agent creates it again
        return True
    if taken < 0:
        return False
    os.dup2(taken, lock, inheritable=False)
    os.close(taken)
    return True


def main(run: str) -> None:
    """Run as the guard of the directory ``run`` until no process needs a guard.

    Returns immediately if another guard runs.
    """
    os.chdir("/")
    os.umask(0o077)
    os.closerange(3, _DESCRIPTORS_LIMIT)  # descriptors of the process that started the guard
    lock = take_lock(run)
    if lock < 0:
        return
    syscalls.set_process_name("hawse-guard")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the started processes
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the guard must survive a SIGHUP that ends agent and supervisor
    cgroup.leave()
    attributes.become_service()
    loop = Loop()
    hello, ping = (protocol.control({"op": op, "id": ""}) for op in ("guard", "ping"))
    guarded_processes = [
        GuardedProcess(loop, run, guarded.SUPERVISOR, hello, ping),
        GuardedProcess(loop, run, guarded.AGENT, b"guard\n", b"ping\n"),
    ]

    def look(unneeded: int) -> None:
        for guarded_process in guarded_processes:
            guarded_process.look()
        unneeded = 0 if any(guarded_process.needed for guarded_process in guarded_processes) else unneeded + 1
        if unneeded > 1 or not keep_lock(run, lock):
            loop.stop()
        loop.after(LOOK_INTERVAL_SECONDS, lambda: look(unneeded))

    loop.after(0, lambda: look(0))
    loop.run()
