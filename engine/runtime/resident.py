"""The lock and the socket of a resident process in HAWSE_RUN: agent, supervisor or warm server.

The lock ensures that only one process of each kind runs. Commands connect to the process through the socket
(`engine.runtime.peer`).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import socket
import stat
import time
import zlib
from collections.abc import Callable

from drivers.linux import process
from engine.runtime import peer

FIRST_LISTEN_DESCRIPTOR = 3
"""The number of the first file descriptor that systemd passes to a process (sd_listen_fds(3))."""
_BACKLOG = 128


def open_lock(run: str, name: str) -> int:
    """Open the lock file ``name`` in ``run``, and create it if it is missing; return its file descriptor."""
    move_foreign_file(run, name, stat.S_ISREG)
    return os.open(os.path.join(run, name), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def move_foreign_file(run: str, name: str, is_right: Callable[[int], bool]) -> None:
    """Rename the file ``name`` in ``run`` if it has the wrong type for a lock file or a socket; idempotent.

    Another program may have created the file. Its new name is the old name with a number appended. ``is_right`` gets
    the file's mode (st_mode) and returns whether the type is right, such as `stat.S_ISREG` for a lock file.
    """
    path = os.path.join(run, name)
    with contextlib.suppress(OSError):
        if not is_right(os.lstat(path).st_mode):
            os.rename(path, f"{path}.{time.time_ns()}")


def try_lock(fd: int) -> bool:
    """Lock an open file until the file is closed; return False immediately if another process holds the lock."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def listen(listener: socket.socket, run: str, name: str) -> None:
    """Bind the new socket ``listener`` to the path ``name`` in the directory ``run`` (mode 0600), and listen on it.

    An old socket at this path is replaced. The caller holds the lock of the resident process, so an old socket can only
    belong to a dead process.
    """
    move_foreign_file(run, name, stat.S_ISSOCK)
    with peer.socket_address(run, name) as address:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(address)
        mask = os.umask(0o177)
        try:
            listener.bind(address)
        finally:
            os.umask(mask)
    listener.listen(_BACKLOG)


def is_socket_activated() -> bool:
    """Return whether systemd started this process with a listening socket as file descriptor."""
    return os.environ.get("LISTEN_PID") == str(os.getpid())


def idle_seconds(variable: str, default: float) -> float:
    """Return the seconds in an environment variable, at least 0.1, or ``default`` if it has no valid number."""
    try:
        return max(0.1, float(os.environ.get(variable, "")))
    except ValueError:
        return default


def sign(lock: int) -> None:
    """Write the pid and the start time of this process into a lock file, so that `holder` finds this process.

    ``lock`` is the file descriptor of the file, which this process has locked. Errors, such as a full disk, are
    ignored.
    """
    with contextlib.suppress(OSError):  # a full disk must not prevent the start
        os.ftruncate(lock, 0)
        os.pwrite(lock, process.identity().encode(), 0)


def holder(run: str, name: str) -> int:
    """Return the pid that `sign` wrote into the lock file ``name`` in ``run``, or 0 if that process has ended.

    Also returns 0 if the file or /proc cannot be read.
    """
    try:
        with open(os.path.join(run, name), encoding="utf-8", errors="replace") as file:
            signature = file.read(64)
        return int(signature.partition(":")[0]) if process.is_owner_running(signature) else 0
    except OSError:
        return 0


def kill_stopped_holder(run: str, name: str, before: int) -> int:
    """Return the pid of the process that holds the lock ``name`` in ``run`` if SIGSTOP has stopped it, otherwise 0.

    ``before`` is the result of the caller's previous call. If the same process was already stopped then, it is killed.
    The process may have been stopped before it listened on its socket. Only its lock then shows that it exists.
    """
    pid = holder(run, name)
    if not process.is_stopped(pid):
        return 0
    if pid == before:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return pid


class Residence:
    """The lock file and the socket of a resident process. `restore` creates them again if they were deleted.

    ``lock`` is the file descriptor of the locked file. The caller handles the connections of ``listener``.
    """

    def __init__(self, run: str, names: tuple[str, str], lock: int, listener: socket.socket) -> None:
        self.run, self.listener = run, listener
        self._names, self._lock = names, lock
        self._inode = _inode(run, names[1])

    def is_intact(self) -> bool:
        """Return whether the lock and the socket are at their paths, where commands find this process."""
        lock, name = self._names
        return is_open(self.run, lock, self._lock) and _inode(self.run, name) == self._inode

    def restore(self) -> bool:
        """Create a missing lock file or socket again; does nothing if another process has the lock.

        Returns True if ``listener`` is a new socket. The caller then closes the old socket.
        """
        lock, name = self._names
        os.makedirs(self.run, mode=0o700, exist_ok=True)
        if not is_open(self.run, lock, self._lock):
            taken = open_lock(self.run, lock)
            if not try_lock(taken):
                os.close(taken)
                return False
            os.dup2(taken, self._lock, inheritable=False)
            os.close(taken)
            sign(self._lock)
        if _inode(self.run, name) == self._inode:
            return False
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listen(self.listener, self.run, name)
        self.listener.setblocking(False)
        self._inode = _inode(self.run, name)
        return True


def is_open(run: str, name: str, fd: int) -> bool:
    """Return whether the open file ``fd`` is still the file ``name`` in ``run``."""
    return _inode(run, name) == os.fstat(fd).st_ino


def _inode(run: str, name: str) -> int:
    """Return the inode of a file in ``run``, or 0 if there is no such file."""
    try:
        return os.lstat(os.path.join(run, name)).st_ino
    except (FileNotFoundError, NotADirectoryError):
        return 0


def claim(run: str, name: str) -> socket.socket | None:
    """Reserve an abstract socket address for the resident process ``name``; return the socket bound to the address.

    ``run`` is the directory HAWSE_RUN of the process. The address ensures that only one process of this name runs for
    ``run``. A lock file is not enough, because another program may delete it. No program can delete the address. It is
    released when the socket is closed.

    - If another process of hawse with the same ``run`` has the address, returns None.
    - If binding fails for any other reason, returns an unbound socket. For example, a foreign program may have the
      address. The resident process then starts without the reservation.
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
    """Return whether the process that listens at ``address`` is hawse's own and has the same directory ``run``.

    ``address`` is the abstract socket address that belongs to ``run`` (`claim`).
    """
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


def close_probe(holder: socket.socket) -> None:
    """Accept and close a connection to the claimed address; ``holder`` is the socket that `claim` has returned.

    Another process connects only to check whether this process is hawse's own. The event loop calls this function when
    ``holder`` is readable.
    """
    with contextlib.suppress(OSError):
        holder.accept()[0].close()
