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
import zlib

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


class Residence:
    """The lock file and the socket of a resident process. If another program deletes them, they are put back.

    ``lock`` is the descriptor of the locked file. The caller handles the connections of ``listener``.
    """

    def __init__(self, run: str, names: tuple[str, str], lock: int, listener: socket.socket) -> None:
        self.run, self.listener = run, listener
        self._names, self._lock = names, lock
        self._inode = _inode(run, names[1])

    def is_intact(self) -> bool:
        """Return whether commands still find this process: its lock and its socket are at their paths."""
        lock, name = self._names
        return _inode(self.run, lock) == os.fstat(self._lock).st_ino and _inode(self.run, name) == self._inode

    def restore(self) -> bool:
        """Put back what is missing; return whether there is a new listener, because the socket was missing.

        The caller closes the old listener then. Returns False if another process has the lock.
        """
        lock, name = self._names
        os.makedirs(self.run, mode=0o700, exist_ok=True)
        if _inode(self.run, lock) != os.fstat(self._lock).st_ino:
            taken = os.open(os.path.join(self.run, lock), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            if not try_lock(taken):
                os.close(taken)
                return False
            os.dup2(taken, self._lock, inheritable=False)
            os.close(taken)
        if _inode(self.run, name) == self._inode:
            return False
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listen(self.listener, self.run, name)
        self.listener.setblocking(False)
        self._inode = _inode(self.run, name)
        return True


def _inode(run: str, name: str) -> int:
    """Return the inode of a file in ``run``, or 0 if there is no such file."""
    try:
        return os.lstat(os.path.join(run, name)).st_ino
    except (FileNotFoundError, NotADirectoryError):
        return 0


def claim(run: str, name: str) -> socket.socket | None:
    """Reserve an address that is no file for the resident process ``name`` of ``run``, until the result is closed.

    The lock of a running process is lost when its file is deleted. This address is not. Returns None if a process of
    the same directory has the address. An address that a foreign process has taken prevents nothing.
    """
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    address = f"\0hawse/{name}/{zlib.crc32(os.fsencode(run)):08x}{run[-64:]}".encode("utf-8", "surrogateescape")[:107]
    try:
        holder.bind(address)
        holder.listen(_BACKLOG)
        holder.setblocking(False)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and _is_claimed(run, address):
            holder.close()
            return None
    return holder


def _is_claimed(run: str, address: bytes) -> bool:
    """Return whether the process that listens at ``address`` is hawse's own and has the same directory ``run``."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1)
        try:
            connection.connect(address)
            if not peer.is_genuine(connection):
                return False
            pid = peer.credentials(connection)[0]
            return os.path.samestat(os.stat(f"/proc/{pid}/root{run}"), os.stat(run))
        except OSError:
            return False


def turn_away(holder: socket.socket) -> None:
    """Close a connection to a claimed address. The event loop calls this when the address is readable."""
    with contextlib.suppress(OSError):
        holder.accept()[0].close()
