"""The parent process of the service: forks the front and the workers, and starts the front again if it is killed.

`api.docker` describes front and workers. The parent has only one thread. If a process with several threads forks, the
child may wait forever for a lock that another thread held.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from api.docker import rehearsal, workers
from api.docker.front import OUTDATED, Front
from api.docker.router import Router
from engine.eventloop.readiness import wait_readable
from engine.runtime.prefork import DELAY_SECONDS, IdleChild

if TYPE_CHECKING:
    import ssl

RESTART_SECONDS = 0.5  # between the end of a front and the start of the next
IDLE_SECONDS = 30.0
"""Seconds after which an idle worker ends, because it takes 5 MB. The next job then forks a worker."""


class Service:
    """Runs until SIGTERM or SIGINT, or until hawse's database belongs to a newer version of hawse."""

    def __init__(self, router: Router, listeners: Sequence[socket.socket], tls: ssl.SSLContext | None) -> None:
        self._router, self._listeners, self._tls = router, listeners, tls
        self._front, self._channel = 0, socket.socket()
        self._code: int | None = None
        self._idle, self._busy = IdleChild(self._be_idle), False
        self._scratch = 0  # pid of the process that creates the scratch host; its end starts the first idle worker

    def run(self) -> int:
        """Serve until the service ends; return the exit code of the process.

        - 0: after SIGTERM or SIGINT
        - 1: the front cannot be started at the beginning
        - `OUTDATED`: hawse's database belongs to a newer version of hawse
        """
        wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._end(0))
        self._scratch = rehearsal.create_scratch_host()
        gc.collect()
        gc.freeze()  # children then do not scan the existing objects, and share their memory
        if not self._start_front():
            self._end(1)
        while self._code is None:
            channel = self._channel.fileno()
            timeout = DELAY_SECONDS if self._busy else IDLE_SECONDS
            readable = wait_readable([wake, channel], seconds=timeout)
            if wake in readable:
                self._reap(wake)
            elif channel in readable:
                self._start_worker()
                self._busy = True
            elif self._busy:
                self._prepare()
            else:
                self._idle.dismiss()
        if self._front:
            with suppress(ProcessLookupError):
                os.kill(self._front, signal.SIGKILL)
        rehearsal.forget()
        return self._code

    def _end(self, code: int) -> None:
        self._code = code

    def _start_front(self) -> bool:
        """Start the front; return False if the kernel has no file descriptor, memory or process left for it."""
        self._channel.close()
        try:
            self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._front = os.fork()
        except OSError as error:
            print(f"hawse: cannot start the front of the service: {error}", file=sys.stderr, flush=True)
            return False
        if self._front == 0:
            self._channel.close()
            self._idle.dismiss()  # closes only the front's copy of the idle child's channel, so the child does not exit
            _forget_signals()
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # after ctrl-c, only the parent reacts; it kills the front
            Front(self._router, theirs, self._tls).run(self._listeners)
        theirs.close()
        return True

    def _start_worker(self) -> None:
        """Receive the socket of a job from the front, and pass it to the idle worker, or to a new worker."""
        try:
            _, descriptors, _, _ = socket.recv_fds(self._channel, 1, 1)
        except OSError:
            return
        if not descriptors:
            return  # the front has ended, and SIGCHLD follows
        channel = socket.socket(fileno=descriptors[0])
        with channel, suppress(OSError):
            if not self._idle.hand_over(channel.fileno()) and os.fork() == 0:
                self._become_worker()
                workers.serve(channel)

    def _prepare(self) -> None:
        self._busy = False
        self._idle.prepare()

    def _be_idle(self, channel: socket.socket) -> NoReturn:
        self._become_worker()
        workers.wait_for_job(channel)

    def _become_worker(self) -> None:
        self._channel.close()
        for listener in self._listeners:
            with suppress(OSError):
                listener.close()
        _forget_signals()

    def _reap(self, wake: int) -> None:
        with suppress(BlockingIOError):
            os.read(wake, 512)
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                self._idle.ended(ended[0])
                if self._code is None and (self._busy or ended[0] == self._scratch):
                    self._prepare()
                if ended[0] == self._front and self._code is None:
                    self._front_ended(os.waitstatus_to_exitcode(ended[1]))

    def _front_ended(self, code: int) -> None:
        """Start the front again, after it has ended with ``code``.

        If ``code`` is `OUTDATED`, hawse's database belongs to a newer version of hawse, and the service ends instead.
        If the kernel cannot start the front, try again until it can.
        """
        self._front = 0
        if code == OUTDATED:
            self._end(code)
            return
        print(f"hawse: the front of the service ended with code {code}, and starts again", file=sys.stderr, flush=True)
        started = False
        while not started and self._code is None:
            time.sleep(RESTART_SECONDS)
            started = self._start_front()


def _forget_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
