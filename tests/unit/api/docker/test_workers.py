"""Jobs and their slots: what a job does after its end, and that a failed start releases its slot."""

from __future__ import annotations

import os
import signal
import socket
import threading

from api.docker.workers import Job


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
