"""Run jobs in child processes, at most one for each processor. A job can require that other jobs end first.

Jobs run in processes instead of threads, because a job may fork. A process with several threads must not fork.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable, Collection, Iterable

from msgspec import Struct, field

from engine.errors import EngineError, Unavailable

LONGEST_MESSAGE_BYTES = 4096
"""Bytes of a job's error that the parent reads. A pipe holds this much, so a job never waits for its parent."""


_MAY_PASS = 75
"""The exit code of a job that failed because something was unavailable (EX_TEMPFAIL)."""


class Job(Struct, frozen=True):
    """A function to run, and the names of the jobs that must end first; unknown names are ignored."""

    name: str
    work: Callable[[], object]
    after: Collection[str] = ()


class Failure(Struct, frozen=True):
    """The reason why a job failed. With ``may_pass``, something was unavailable, and another attempt may succeed."""

    text: str
    may_pass: bool = False


class _Running(Struct):
    job: Job
    pid: int
    pidfd: int
    errors: int


class _Pool(Struct):
    waiting: list[Job]
    running: dict[int, _Running] = field(default_factory=dict)
    failed: dict[str, Failure] = field(default_factory=dict)


def run(jobs: Iterable[Job], width: int = 0) -> dict[str, Failure]:
    """Run jobs in parallel child processes, wait until every job has ended, and return the failures by job name.

    If a job fails temporarily (`Failure.may_pass`), the jobs that wait for this job (`Job.after`) are not run. The same
    failure is returned for them. Jobs that wait for each other in a circle run too, in any order. ``width`` is the
    number of parallel processes; 0 means one for each processor that this process may use.
    """
    pool, width = _Pool(list(jobs)), width or len(os.sched_getaffinity(0))
    poll = select.poll()
    while pool.waiting or pool.running:
        while len(pool.running) < width and (job := _next(pool)) is not None:
            obstacle = next((f for name in job.after if (f := pool.failed.get(name)) and f.may_pass), None)
            if obstacle is not None:
                pool.failed[job.name] = obstacle
                continue
            child = _start(job)
            pool.running[child.pidfd] = child
            poll.register(child.pidfd, select.POLLIN)
        for pidfd, _ in poll.poll() if pool.running else ():
            poll.unregister(pidfd)
            _finish(pool, pool.running.pop(pidfd))
    return pool.failed


def _next(pool: _Pool) -> Job | None:
    """Remove and return the next waiting job that can start, or None if each of them must still wait.

    A job can start when the jobs in ``after`` have ended. If no job runs, the first waiting job is returned in any
    case, because the waiting jobs need each other in a circle.
    """
    unfinished = {job.name for job in pool.waiting} | {child.job.name for child in pool.running.values()}
    for number, job in enumerate(pool.waiting):
        if not unfinished.intersection(job.after) - {job.name}:
            return pool.waiting.pop(number)
    return pool.waiting.pop(0) if pool.waiting and not pool.running else None


def _start(job: Job) -> _Running:
    errors, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            job.work()
            code = 0
        except EngineError as error:
            code = _MAY_PASS if isinstance(error, Unavailable) else 1
            os.write(theirs, str(error).encode("utf-8", "replace")[:LONGEST_MESSAGE_BYTES])
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    os.close(theirs)
    os.set_blocking(errors, False)
    return _Running(job, pid, os.pidfd_open(pid), errors)


def _finish(pool: _Pool, child: _Running) -> None:
    _, status = os.waitpid(child.pid, 0)
    try:
        text = os.read(child.errors, LONGEST_MESSAGE_BYTES).decode("utf-8", "replace")
    except BlockingIOError:  # a process that the job started holds the pipe open
        text = ""
    os.close(child.errors)
    os.close(child.pidfd)
    if status:
        may_pass = os.waitstatus_to_exitcode(status) == _MAY_PASS
        pool.failed[child.job.name] = Failure(text or "its start was killed or failed", may_pass)
