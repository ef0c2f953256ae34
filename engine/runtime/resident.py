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
import os
import socket

from engine.runtime import peer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_BACKLOG = 128


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


def connect(run: str, name: str, timeout: float | None = None) -> socket.socket:
    """Connect to the socket ``name`` in the directory ``run``.

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
