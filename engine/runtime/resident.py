"""The lock and the socket of a resident process in HAWSE_RUN: agent, supervisor or warm server.

The lock ensures that only one such process runs. Commands connect to the process through the socket. A path can be
longer than the 107 bytes of a socket address. Therefore the address contains a file descriptor of the socket's
directory instead of the path.

This module has few imports, because the supervisor uses it and must use little memory.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import math
import os
import select
import signal
import socket
import time

from drivers.linux import process
from engine.runtime import peer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_BACKLOG = 128
STOPPED_SECONDS = 0.5
"""Seconds after which a client kills a server that does not answer, if a signal (SIGSTOP) has stopped the server."""
_LONGEST_PAUSE_SECONDS = 5.0
CONNECT_TIMEOUT_SECONDS = 1.0
"""Seconds that a client waits for its connection. The kernel makes clients wait if a server accepts none."""


@contextlib.contextmanager
def socket_address(path: str, name: str) -> Iterator[str]:
    """Yield an address of the socket ``name`` in the directory ``path``.

    The address contains a file descriptor of the directory, which stays open during the ``with`` block.
    """
    directory = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{name}"
    finally:
        os.close(directory)


def try_lock(fd: int) -> bool:
    """Lock an open file until the file is closed; return False immediately if another process holds the lock."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def listen(listener: socket.socket, run: str, name: str) -> None:
    """Listen on the socket ``name`` (mode 0600) in the directory ``run``, replacing an old socket.

    The caller holds the lock of the resident process, so an old socket can only belong to a dead process.
    """
    with socket_address(run, name) as address:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(address)
        mask = os.umask(0o177)
        try:
            listener.bind(address)
        finally:
            os.umask(mask)
    listener.listen(_BACKLOG)


def sign(lock: int) -> None:
    """Write this process's identity into its open and locked lock file, so that `holder` finds this process."""
    with contextlib.suppress(OSError):  # a full disk must not prevent the start
        os.ftruncate(lock, 0)
        os.pwrite(lock, process.identity().encode(), 0)


def holder(run: str, name: str) -> int:
    """Return the pid of the process that has signed the lock file ``name``, or 0 if that process has ended."""
    try:
        with open(os.path.join(run, name), encoding="ascii", errors="replace") as file:
            signature = file.read(64)
    except OSError:
        return 0
    return int(signature.partition(":")[0]) if process.is_owner_running(signature) else 0


def is_listening(run: str, name: str) -> bool:
    """Return whether any process listens on the socket ``name``; this is faster than `connect`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as connection:
        try:
            with socket_address(run, name) as address:
                connection.connect(address)
        except BlockingIOError:
            return True  # many connections wait to be accepted
        except OSError:
            return False
        return True


def connect(run: str, name: str, timeout: float = CONNECT_TIMEOUT_SECONDS) -> socket.socket:
    """Connect to the socket ``name`` in the directory ``run``; the connection gets the time-out ``timeout``.

    Raises OSError if no process listens, or if the listening process cannot be a server of hawse (`peer.is_genuine`).
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        with socket_address(run, name) as address:
            connection.connect(address)
        if not peer.is_genuine(connection):
            raise PermissionError(errno.EPERM, "another user's process listens", os.path.join(run, name))
    except OSError:
        connection.close()
        raise
    return connection


def await_answer(connection: socket.socket, seconds: float | None) -> bool:
    """Wait until the server's answer or the end of the connection can be read; return False after ``seconds``.

    A server that a signal has stopped (SIGSTOP) is killed, at first within `STOPPED_SECONDS`. The connection then ends,
    and the caller can start another server. A server that is only slow is not killed.
    """
    end, pause, stopped = time.monotonic() + (math.inf if seconds is None else seconds), STOPPED_SECONDS / 2, False
    readable = select.poll()
    readable.register(connection, select.POLLIN)
    while not readable.poll(1000 * max(0.0, min(pause, end - time.monotonic()))):
        if time.monotonic() >= end:
            return False
        stopped = kill_if_stopped(connection, before=stopped)
        pause = pause if stopped else min(1.5 * pause, _LONGEST_PAUSE_SECONDS)
    return True


def kill_if_stopped(connection: socket.socket, *, before: bool) -> bool:
    """Return whether a signal has stopped the peer. If it was also stopped ``before``, kill the peer.

    The kill is safe: agent and supervisor keep nothing in memory that their successors do not find elsewhere.
    """
    stopped = process.is_stopped(peer.credentials(connection)[0])
    if stopped and before:
        with contextlib.suppress(OSError):
            pidfd = peer.open_pidfd(connection)
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
    return stopped
