"""Make sockets in other network namespaces, and notice when the process or path of a namespace is gone.

A socket stays in the network namespace where it was made. Therefore the agent's loop thread enters a namespace only for
a few system calls. An open socket also keeps the namespace alive, so the agent must close the socket when the sandbox
ends. The agent detects the end of the sandbox without polling. If the namespace was opened as ``/proc/PID/ns/net``, the
agent watches a pidfd of that process. If it was opened as a bind mount such as /run/netns/NAME, the agent watches for
the removal of the mount.
"""

from __future__ import annotations

import os
import re
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import TypeVar

from drivers.linux.namespaces import CLONE_NEWNET, open_namespace, return_home, setns
from drivers.linux.process import is_running, start_time
from engine.eventloop.inotify import DELETE, MOVED_FROM, Inotify
from engine.eventloop.loop import Loop

T = TypeVar("T")
PROCESS_PATH = re.compile(r"/proc/(\d+)/")


@cache
def home() -> int:
    """Return a file descriptor of the host's network namespace, in which this process started."""
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def inside(netns: int, action: Callable[[], T]) -> T:
    """Run ``action`` in the network namespace ``netns`` (a file descriptor), and return its result.

    Only the calling thread changes its network namespace (setns(2)), and changes it back afterwards. If the thread
    cannot return to the host's namespace, the process ends (`return_home`).
    """
    back = home()
    setns(netns, CLONE_NEWNET)
    try:
        return action()
    finally:
        return_home(back)


def sockets_in(netns: int | None, family: int, kind: int, number: int) -> list[socket.SocketType]:
    """Make ``number`` non-blocking sockets in a network namespace, or fewer if file descriptors run out.

    ``netns`` is the namespace's file descriptor; None means the thread's present namespace. ``family`` and ``kind`` are
    those of socket(2), such as AF_INET and SOCK_DGRAM. Raises OSError if no socket can be made. The sockets have the
    type of Python's C module (`_socket`), because an object of the class socket.socket takes twice as long to make.
    """
    kind |= socket.SOCK_NONBLOCK

    def make() -> list[socket.SocketType]:
        made = [socket.SocketType(family, kind)]
        with suppress(OSError):
            while len(made) < number:
                made.append(socket.SocketType(family, kind))
        return made

    return make() if netns is None else inside(netns, make)


class PinnedNamespace:
    """An open network namespace, with a watch on the process or path through which it was opened.

    - ``path``: /proc/PID/ns/net, or a bind mount such as /run/netns/NAME.
    - ``gone``: called once, from the loop, when the process has ended or the path was removed.
    - ``inode``: the expected inode number, or 0 for any.
    - ``pid``: a process in the namespace, or 0. While this process runs, a removed path does not count as the end.
    - ``pid_start``: the start time of the process ``pid`` in clock ticks since boot, or 0.

    The constructor raises OSError if the path is not a namespace, or is not the expected namespace.
    """

    def __init__(
        self,
        loop: Loop,
        inotify: Inotify,
        path: str,
        gone: Callable[[], None],
        *,
        inode: int = 0,
        pid: int = 0,
        pid_start: int = 0,
    ) -> None:
        self._loop, self._inotify, self._gone = loop, inotify, gone
        self._stop: Callable[[], None] = lambda: None
        self.fd = open_namespace(path)
        try:
            if inode and os.fstat(self.fd).st_ino != inode:
                raise FileNotFoundError(f"network namespace {path} is another one now")
            match = PROCESS_PATH.match(path)
            if match:
                self._watch_process(int(match[1]), pid_start if int(match[1]) == pid else 0)
            else:
                self._watch_path(path, pid, pid_start)
        except OSError:
            os.close(self.fd)
            raise

    def _watch_process(self, pid: int, expected_start: int) -> None:
        pidfd = os.pidfd_open(pid)
        try:
            if expected_start and start_time(pid) != expected_start:
                raise ProcessLookupError(f"process {pid} is another one now")
        except OSError:
            os.close(pidfd)
            raise

        def stop() -> None:
            self._loop.forget(pidfd)
            os.close(pidfd)

        self._stop = stop
        self._loop.watch(pidfd, lambda _: self._lost(), select.EPOLLIN)

    def _watch_path(self, path: str, pid: int, pid_start: int) -> None:
        """Watch for the removal of a path; if it is removed while the process ``pid`` runs, watch the process instead.

        ``pid`` is 0 if there is no such process. ``pid_start`` is the process's start time.
        """
        directory, name = os.path.split(path)

        def seen(changed: str, _mask: int) -> None:
            is_missed = not changed and not os.path.lexists(path)  # removed before the watch began
            if changed != name and not is_missed:
                return
            if pid and is_running(pid, pid_start):
                with suppress(OSError):
                    self._stop()
                    self._stop = lambda: None
                    self._watch_process(pid, pid_start)
                    return
            self._lost()

        watch = self._inotify.add(directory, DELETE | MOVED_FROM, seen)
        self._stop = lambda: self._inotify.remove(watch)

    def _lost(self) -> None:
        stop, self._stop = self._stop, lambda: None
        stop()
        self._gone()

    def release(self) -> None:
        """Close the file descriptor of the network namespace, so that this object does not keep the namespace alive.

        The object still watches the process or path, and calls ``gone``, until `close` ends the watch.
        """
        os.close(self.fd)
        self.fd = -1

    def unwatch(self) -> None:
        """Stop watching; idempotent. The file descriptor of the network namespace stays open until `release`."""
        stop, self._stop = self._stop, lambda: None
        stop()

    def close(self) -> None:
        """Stop watching, and close the file descriptor of the network namespace."""
        self.unwatch()
        if self.fd >= 0:
            self.release()
