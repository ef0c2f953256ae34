"""The programs that the supervisor executes for ended containers, immediately or when a restart is due.

Each container has at most one job. A program that fails or is killed is executed again after a pause. A durable job is
also a file below HAWSE_RUN. If the supervisor is killed, the next supervisor reads the file and takes the job over.
"""

from __future__ import annotations

import collections
import contextlib
import os
import time

from engine.eventloop.loop import Loop, Timer
from engine.runtime.directory import ContainerDirectory, DocumentDirectory
from engine.runtime.reaper import Children
from engine.runtime.spawn import spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RESTARTS = "restarts"
"""The subdirectory of HAWSE_RUN that holds one file for each job that must survive the supervisor."""

_RUNNING_LIMIT = 8  # programs that run at the same time
_ATTEMPTS_WITHOUT_FILES = 8
"""Maximum repetitions of a failed job that is not durable and whose container has no files; they take two minutes."""
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 60.0  # seconds after a failure; the pause doubles with each failure


class Job:
    """A program for one container: its arguments, and the variables that are added to the supervisor's environment."""

    def __init__(self, container_id: str, argv: Sequence[str], env: Mapping[str, str]) -> None:
        self.container_id, self.argv, self.env = container_id, list(argv), dict(env)
        self.durable = False
        self.failures = 0
        self.timer: Timer | None = None


class Jobs:
    """The jobs of all containers of one host."""

    def __init__(self, loop: Loop, children: Children, run: str) -> None:
        self._loop, self._children, self._run = loop, children, run
        self._files = DocumentDirectory(os.path.join(run, RESTARTS))
        self._jobs: dict[str, Job] = {}
        self._due: collections.deque[Job] = collections.deque()
        self._running = 0

    def __len__(self) -> int:
        """Return the number of jobs whose programs have not succeeded yet."""
        return len(self._jobs)

    def has(self, container_id: str) -> bool:
        """Return whether the container has a job whose program has not succeeded yet."""
        return container_id in self._jobs

    def adopt(self) -> None:
        """Take over the durable jobs of an earlier supervisor."""
        try:
            names = [name for name in os.listdir(self._files.path) if not name.startswith(".")]
        except FileNotFoundError:
            return
        for name in names:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # the file is damaged
                document = self._files.read(name) or {}
                job = Job(name, document["argv"], document["env"])
                # Wait no longer than the original delay, even if the clock has been set back.
                left = min(document["at"] - time.time(), document["delay"])
                self.add(job, durable=True, delay=max(0.0, left))
                self.run(job, left)

    def add(self, job: Job, *, durable: bool = False, delay: float = 0.0) -> None:
        """Register a job without executing it. The job replaces the container's earlier job.

        A ``durable`` job is also written to a file. If this supervisor is killed, the next supervisor then executes the
        job ``delay`` seconds after this call.
        """
        self.drop(self._jobs.get(job.container_id))
        self._jobs[job.container_id], job.durable = job, durable
        if durable:
            document = {"argv": job.argv, "env": job.env, "at": time.time() + delay, "delay": delay}
            # If the disk is full, this supervisor still executes the job, but the next supervisor does not know it.
            with contextlib.suppress(OSError):
                os.makedirs(self._files.path, mode=0o700, exist_ok=True)
                self._files.write(job.container_id, document)

    def run(self, job: Job, delay: float = 0.0) -> None:
        """Execute a job's program after ``delay`` seconds, and again until it succeeds."""
        if delay > 0:
            job.timer = self._loop.after(delay, lambda: self.run(job))
            return
        self._due.append(job)
        self._start()

    def drop(self, job: Job | None) -> None:
        """Remove a job that is done or not needed; idempotent. The job's program continues if it already runs.

        Nothing happens if ``job`` is None, or is no longer the container's job.
        """
        if job is None or self._jobs.get(job.container_id) is not job:
            return
        del self._jobs[job.container_id]
        if job.timer is not None:
            job.timer.cancel()
        if job.durable:
            with contextlib.suppress(OSError):
                self._files.unlink(job.container_id)

    def cancel(self, container_id: str) -> None:
        """Remove the job of a container; idempotent. The job's program continues if it already runs."""
        self.drop(self._jobs.get(container_id))

    def _start(self) -> None:
        while self._due and self._running < _RUNNING_LIMIT:
            job = self._due.popleft()
            if self._jobs.get(job.container_id) is job:
                self._execute(job)

    def _execute(self, job: Job) -> None:
        try:
            pid = spawn(job.argv, {**os.environ, **job.env})
        except OSError:
            self._fail(job)
            return
        self._running += 1
        self._children.expect(pid, lambda status: self._ended(job, status))

    def _ended(self, job: Job, status: int) -> None:
        self._running -= 1
        if status:
            self._fail(job)
        else:
            self.drop(job)
        self._start()

    def _fail(self, job: Job) -> None:
        """Schedule another execution of a failed job's program, unless the job was replaced or removed.

        If a job is not durable and its container has no files, the job is repeated at most `_ATTEMPTS_WITHOUT_FILES`
        times. It is not dropped at once, because the job's program may itself have deleted the files. The program may
        then have been killed before it scheduled the container's restart.
        """
        if self._jobs.get(job.container_id) is not job:
            return
        has_files = job.durable or ContainerDirectory(self._run, job.container_id).exists()
        if not has_files and job.failures >= _ATTEMPTS_WITHOUT_FILES:
            self.drop(job)
            return
        self.run(job, min(_FIRST_PAUSE_SECONDS * 2**job.failures, _LONGEST_PAUSE_SECONDS))
        job.failures = min(job.failures + 1, 10)
