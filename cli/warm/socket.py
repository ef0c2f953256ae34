"""The lock and the socket of the warm server.

The lock is in the directory HAWSE_RUN. The server creates the socket there too, unless systemd passes a socket.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

from cli.launcher.launch import DEFAULT_RUN, LOCK, SOCKET
from engine.paths import check, make_private_directory, open_private
from engine.runtime import resident


def directory() -> bytes:
    """Return the directory that the environment variable HAWSE_RUN names, as an absolute path.

    Without this variable, return the default directory.
    """
    return os.path.abspath(os.environb.get(b"HAWSE_RUN") or DEFAULT_RUN)


class WarmSocket:
    """The socket on which the warm server listens.

    The server holds the lock of the directory HAWSE_RUN while it uses the socket. Exception: with a socket of systemd,
    another server may hold the lock.
    """

    def __init__(self, listener: socket.socket, path: bytes | None, lock: int) -> None:
        self.listener, self._path, self._lock = listener, path, lock
        self._made = os.stat(path) if path else None
        listener.setblocking(False)

    def is_ours(self) -> bool:
        """Return whether launchers can still find this server by the path of the server's socket.

        If the socket or the socket's directory was removed, return False; the server must then end. For a socket from
        systemd, always return True.
        """
        if self._path is None:
            return True
        try:
            status = os.stat(self._path)
        except OSError:
            return False
        return self._made is not None and (status.st_dev, status.st_ino) == (self._made.st_dev, self._made.st_ino)

    def leave(self) -> None:
        """Stop listening and release the lock of HAWSE_RUN, so that another warm server can start; idempotent."""
        if self._lock < 0:
            return
        if self._path is not None and self.is_ours():
            with suppress(OSError):
                os.unlink(self._path)
        self.listener.close()
        os.close(self._lock)
        self._lock = -1


def lock() -> int | None:
    """Take the lock of HAWSE_RUN and return the file descriptor of the lock.

    Return None if another server holds the lock. The directory HAWSE_RUN is created with mode 0700 if it is missing. If
    another user can change the directory's contents, PermissionDenied is raised.

    With a socket from systemd, return the lock file's file descriptor even if another server holds the lock. Launchers
    then connect to the socket from systemd, and no longer to the other server. The other server detects this and ends.
    """
    run = directory()
    path = Path(os.fsdecode(run))
    check(path, "HAWSE_RUN")
    make_private_directory(path)
    descriptor = open_private(os.path.join(run, LOCK), os.O_RDWR | os.O_CREAT)
    if resident.try_lock(descriptor) or resident.is_socket_activated():
        os.ftruncate(descriptor, 0)  # remove the signature of the earlier server, see `listen`
        return descriptor
    os.close(descriptor)
    return None


def listen(locked: int) -> WarmSocket:
    """Listen on the socket that systemd passed to this process; without such a socket, listen on a new socket.

    ``locked`` is the file descriptor that `lock` returned. This function writes the server's signature (its pid and
    start time) into the lock file. If a server does not answer, a launcher finds it by the signature, and may kill it.
    Launchers may connect to a socket from systemd while the server still imports modules. The server signs only after
    the import, so that no launcher kills it during the import.
    """
    resident.sign(locked)
    if resident.is_socket_activated():
        os.set_inheritable(resident.FIRST_LISTEN_DESCRIPTOR, False)
        return WarmSocket(socket.socket(fileno=resident.FIRST_LISTEN_DESCRIPTOR), None, locked)
    run = directory()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    resident.listen(listener, os.fsdecode(run), os.fsdecode(SOCKET))
    return WarmSocket(listener, os.path.join(run, SOCKET), locked)
