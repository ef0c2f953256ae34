"""Fork an idle child process in advance, so that its work can start later without the delay of a fork.

When there is work, the parent sends a file descriptor to the child. The child gets its work from this descriptor. The
parent must have only one thread. The child exits when the parent has ended or has dismissed the child.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from engine.eventloop.readiness import wait_readable

DELAY_SECONDS = 0.05
"""Seconds from the start of a child's work until the next idle child is forked. An earlier fork would slow the work.

If the work ends earlier, the next idle child is forked at the end of the work.
"""


class IdleChild:
    """Forks an idle child in advance, and keeps at most one.

    ``work`` is the function that runs in the child. Its argument is the child's end of a socket pair; the parent has
    the other end. ``work`` calls `receive` with this argument, to wait for a file descriptor from the parent. It then
    reads its task from the file descriptor.
    """

    def __init__(self, work: Callable[[socket.socket], NoReturn]) -> None:
        self._work = work
        self._pid = 0
        self._channel: socket.socket | None = None

    def prepare(self) -> None:
        """Fork the idle child, unless it exists; ignore errors, because the child is not required."""
        if self._channel is not None:
            return
        with suppress(OSError):
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                pid = os.fork()
                if pid == 0:
                    ours.close()
                    self._work(theirs)
                self._pid, self._channel = pid, ours

    def hand_over(self, descriptor: int) -> int:
        """Pass a file descriptor to the idle child, which then starts its work; return the child's pid.

        Returns 0 if there is no idle child.
        """
        pid, channel = self._pid, self._channel
        self._pid, self._channel = 0, None
        if channel is not None:
            with suppress(OSError), channel:
                socket.send_fds(channel, [b"."], [descriptor])
                return pid
        return 0

    def ended(self, pid: int) -> None:
        """Forget the idle child if it is the process ``pid``, which has ended."""
        if pid == self._pid:
            self.dismiss()

    def dismiss(self) -> None:
        """Let the idle child exit; idempotent."""
        if self._channel is not None:
            self._channel.close()
        self._pid, self._channel = 0, None


def has_work(channel: socket.socket) -> bool:
    """Return whether an idle child must wake up: the parent has sent a file descriptor, or has closed the channel.

    ``channel`` is the child's end of the socket pair to the parent.
    """
    return bool(wait_readable([channel], seconds=0))


def receive(channel: socket.socket) -> int:
    """Wait in an idle child until the parent sends a file descriptor; return the file descriptor.

    The child then reads its work from this descriptor. Exits the process if the parent has ended or no longer needs the
    child. ``channel`` is the child's end of the socket pair to the parent.
    """
    _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
    if not descriptors:
        os._exit(0)
    return descriptors[0]
