"""Jobs and their slots: what a job does after its end, and that a failed start releases its slot."""

from __future__ import annotations

import errno
import os
import pickle
import resource
import signal
import socket
import threading
import time

import pytest

from api.docker.errors import ApiError
from api.docker.workers import PARALLEL_LIMIT, Job, Workers, WorkerVerb


def test_a_closed_job_does_not_reach_the_process_that_now_has_its_descriptor():
    ours, theirs = socket.socketpair()
    pidfd = os.pidfd_open(os.getpid())
    job = Job(ours, pidfd, threading.Semaphore(0))
    signals: list[int] = []
    previous = signal.signal(signal.SIGWINCH, lambda number, _: signals.append(number))
    try:
        job.kill(signal.SIGWINCH)
        assert (job.pid(), signals) == (os.getpid(), [signal.SIGWINCH])
        job.close()
        job.kill(signal.SIGWINCH)  # the descriptor is closed
        other = os.pidfd_open(os.getpid())
        os.dup2(other, pidfd)  # and used again
        job.kill(signal.SIGWINCH)
        assert (job.pid(), signals) == (-1, [signal.SIGWINCH])
    finally:
        signal.signal(signal.SIGWINCH, previous)
    for descriptor in {pidfd, other}:
        os.close(descriptor)
    theirs.close()


def test_the_error_of_a_job_is_known_only_after_the_end_of_the_worker():
    """Otherwise the next request would not finish the work that the failed job has left."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        answer = pickle.dumps(("error", 409, "in use"))
        theirs.sendall(len(answer).to_bytes(8, "big") + answer)
        time.sleep(0.2)
        os._exit(0)
    job = Job(ours, os.pidfd_open(pid), threading.Semaphore(0))
    with pytest.raises(ApiError, match="in use"):
        job.result()
    assert os.waitpid(pid, os.WNOHANG) == (pid, 0)
    theirs.close()


def test_without_a_free_descriptor_the_pid_is_unknown():
    ours, theirs = socket.socketpair()
    job = Job(ours, os.pidfd_open(os.getpid()), threading.Semaphore(0))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        assert job.pid() == -1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    job.close()
    theirs.close()


def test_a_start_that_fails_releases_its_slot(monkeypatch):
    def without_descriptors():
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    parent, service = socket.socketpair()
    service.close()
    workers = Workers(parent)
    for attempt in range(PARALLEL_LIMIT + 1):  # without a free slot, the last attempt would block
        if attempt == 1:
            monkeypatch.setattr(socket, "socketpair", without_descriptors)
        reason = "Too many open files" if attempt else "Broken pipe"
        with pytest.raises(ApiError, match=f"^no process for the request could be started: .*{reason}$"):
            WorkerVerb(workers).system.info()
    parent.close()
