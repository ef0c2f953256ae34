"""The exec instances of the service: commands that run, have run or will run in containers.

They are in the memory of the front. As with Docker, the end of the service deletes them.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from signal import SIGWINCH
from typing import Any

from msgspec import Struct, field

from api.docker.errors import ApiError
from api.docker.workers import Job
from engine.model import ExecCreate
from engine.runtime import terminal

START_SECONDS = 10.0
"""Maximum seconds for which a resize waits until the command is started, as dockerd does."""
READABLE_SECONDS = 2.0
"""Seconds for which the exit code of a command can be read although its container was removed.

In Docker, the removal takes longer than the read of the exit code by ``docker exec``.
"""
REMEMBERED_LIMIT = 4096
"""Maximum number of exec instances. Above it, the oldest instances that do not run are deleted."""


def run_of(document: dict[str, Any]) -> str:
    """Return the start time (RFC 3339) of the container's present run, or "" if the container does not run.

    The time identifies the run. ``document`` is the container's inspect document. A container that waits for a restart
    does not run.
    """
    state = document["State"]
    return str(state["StartedAt"]) if state["Running"] and not state["Restarting"] else ""


class Exec(Struct):
    """One exec instance: a command that runs, has run or will run in a container.

    - ``run``: the container's run in which the instance was created; the value is the run's start time (`run_of`)
    - ``attached``: whether the client gets stdout, and whether it gets stderr
    - ``keys``: the detach keys as the client sent them; "" means the default keys
    - ``size``: rows and columns of the terminal; (0, 0) if the client gave none
    - ``exit_code``: None until the command has ended
    - ``ended_at``: monotonic time of the command's end in seconds, or 0 before it
    - ``executed``: False if the command could not be executed
    - ``terminal``: master of the pseudo-terminal between the service and the worker (a file descriptor), or -1
    - ``job``: the job that runs the command, or None
    - ``lock``: a thread holds it while it changes the other fields
    - ``started``: is set as soon as a client has started the command
    """

    id: str
    container_id: str
    run: str
    command: ExecCreate
    attached: tuple[bool, bool]
    keys: str = ""
    size: tuple[int, int] = (0, 0)
    exit_code: int | None = None
    ended_at: float = 0
    executed: bool = True
    terminal: int = -1
    job: Job | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    started: threading.Event = field(default_factory=threading.Event)

    @property
    def is_running(self) -> bool:
        """Whether the command runs."""
        return self.started.is_set() and self.exit_code is None

    @property
    def has_just_ended(self) -> bool:
        """Whether the command has ended within the last `READABLE_SECONDS`."""
        return self.exit_code is not None and time.monotonic() - self.ended_at < READABLE_SECONDS

    def claim(self) -> None:
        """Mark the command as started; raises ApiError (409) for a second start."""
        with self.lock:
            if self.started.is_set():
                raise ApiError(409, f"Error: Exec command {self.id} has already run" if self.exit_code is not None
                               else f"Error: Exec command {self.id} is already running")  # fmt: skip
            self.started.set()

    def resize(self, rows: int, columns: int) -> None:
        """Wait for the start of the command, at most for `START_SECONDS`, and set the size of its terminal.

        If the terminal does not exist yet, it gets this size later. If both numbers are 0, the size of an existing
        terminal is not changed. Raises ApiError if the command is not started in time (500), could not be executed
        (400), or has ended (404).
        """
        if not self.started.wait(START_SECONDS):
            raise ApiError(500, "timeout waiting for exec session ready")
        with self.lock:
            if not self.executed:
                raise ApiError(400, "exec process is not started")
            if self.exit_code is not None:
                raise ApiError(404, f"process does not exist {self.id}: not found")
            self.size = rows, columns
            if self.terminal >= 0 and (rows or columns):
                with suppress(OSError):
                    terminal.set_size(self.terminal, rows, columns)
                if self.job is not None:
                    self.job.kill(SIGWINCH)

    def open_terminal(self) -> tuple[int, int]:
        """Open a pseudo-terminal; return the file descriptors of its master and its slave.

        `finish` closes the master. The caller closes the slave.
        """
        with self.lock:
            self.terminal, slave = os.openpty()
            return self.terminal, slave

    def connect(self, job: Job) -> None:
        """Record the job that runs the command, for `resize` and `runner`; `finish` removes this record."""
        with self.lock:
            self.job = job

    def finish(self, code: int, *, executed: bool = True) -> None:
        """Record the exit code of the command, and close its terminal.

        ``executed`` is False if the command could not be executed.
        """
        with self.lock:
            self.exit_code, self.job, self.executed = code, None, executed
            self.ended_at = time.monotonic()
            if self.terminal >= 0:
                os.close(self.terminal)
                self.terminal = -1

    def runner(self) -> int:
        """Return the pid of the worker that runs the command, or 0 if the command does not run."""
        with self.lock:
            return 0 if self.job is None else max(self.job.pid(), 0)

    def document(self, pid: int) -> dict[str, Any]:
        """Return the document of GET /exec/{id}/json; ``pid`` is the command's pid, or 0 if it does not run."""
        command = self.command
        return {
            "ID": self.id,
            "Running": self.is_running,
            "ExitCode": self.exit_code,
            "ProcessConfig": {
                "tty": command.tty,
                "entrypoint": command.cmd[0],
                "arguments": list(command.cmd[1:]),
                "privileged": command.privileged,
                **({"user": command.user} if command.user else {}),
            },
            "OpenStdin": command.attach_stdin,
            "OpenStderr": self.attached[1],
            "OpenStdout": self.attached[0],
            "CanRemove": False,
            "ContainerID": self.container_id,
            "DetachKeys": self.keys,
            "Pid": pid,
        }


class Execs:
    """All exec instances, by id."""

    def __init__(self) -> None:
        self._known: dict[str, Exec] = {}
        self._lock = threading.Lock()

    def add(self, make: Callable[[str], Exec]) -> Exec:
        """Make an exec instance with a new id, store it, and return it; ``make`` makes the instance from its id."""
        instance = make(secrets.token_hex(32))
        with self._lock:
            surplus = len(self._known) + 1 - REMEMBERED_LIMIT
            idle = [known.id for known in self._known.values() if not known.is_running][: max(0, surplus)]
            for each in idle:
                del self._known[each]
            self._known[instance.id] = instance
        return instance

    def get(self, exec_id: str) -> Exec:
        """Return an exec instance by its id; raises ApiError (404) for an unknown id."""
        with self._lock:
            instance = self._known.get(exec_id)
        if instance is None:
            raise ApiError(404, f"No such exec instance: {exec_id}")
        return instance

    def of_container(self, container_id: str, run: str) -> list[str]:
        """Return the ids of the exec instances that were created in a container's run and have not ended.

        ``run`` is the start time of this run, see `run_of`.
        """
        with self._lock:
            known = list(self._known.values())
        mine = (each for each in known if (each.container_id, each.run) == (container_id, run))
        return [each.id for each in mine if each.exit_code is None]


EXECS = Execs()
"""The exec instances of the front."""
