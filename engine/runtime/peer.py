"""Connect to a server of hawse, and identify the process at the other end of a Unix socket (the peer).

A path can be longer than the 107 bytes of a socket address. Therefore an address contains a file descriptor of the
socket's directory instead of the path. A client accepts only a server of the same user (`is_genuine`).

The servers are the supervisor, the agent and the warm server (a resident process that runs commands). A server acts for
its peers with its own rights. Therefore it accepts only a peer that belongs to the same user and has every right of the
server:

- Same user: the kernel records the user when the peer connects.
- Same user namespace, because every process has all capabilities in a user namespace that it created.
- All capabilities of the server, normally including CAP_SYS_ADMIN.
- No more seccomp filters than the server.
- Same network namespace, for the supervisor only. When a container ends, the supervisor executes ``on_exit`` in the
  supervisor's own network namespace. The agent executes nothing for its clients.

The mount namespace is not compared. Each ``ip netns exec`` creates a new mount namespace, and a peer's capabilities are
enough to enter any other mount namespace. Labels of security modules are not compared, because these modules control
the connection itself.

The launcher is the process that the user starts as ``hawse``. A child of the warm server runs the launcher's command.
The child enters the launcher's network and mount namespaces, but has the rights of the warm server. Therefore the warm
server requires that the launcher's rights are equal to its own (`identity`).
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import select
import signal
import socket
import struct
import time

from drivers.linux import process as processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SO_NETNS_COOKIE, SO_PEERPIDFD = 71, 77
_CREDENTIALS = struct.Struct("iII")
_COOKIE = struct.Struct("Q")
_CAP_SYS_ADMIN = 1 << 21
_FILE_BYTES = 65536  # maximum bytes to read from a /proc file; the files read here are smaller
_SAME = (
    b"Uid", b"CapInh", b"CapPrm", b"CapEff", b"CapBnd", b"CapAmb", b"NoNewPrivs", b"Seccomp", b"Seccomp_filters"
)  # fmt: skip
_NAMESPACES = ("user", "pid", "uts", "ipc", "cgroup", "time")

OTHER_USER, OTHER_NETWORK = "is of another user", "is in another network namespace"
"""Two reasons to refuse a peer. The supervisor treats them differently from all other reasons.

The supervisor sends no reply to a peer of another user. An idle supervisor ends if a peer is in another network
namespace, because that namespace needs its own supervisor.
"""

STOPPED_SECONDS = 0.5
"""Seconds after which a client kills a server that does not answer, if a signal (SIGSTOP) has stopped the server."""
_LONGEST_PAUSE_SECONDS = 5.0
CONNECT_TIMEOUT_SECONDS = 1.0
"""Seconds that a client waits for its connection. If a server accepts no connections, the kernel makes clients wait."""

Identity = tuple[object, ...]


class Rights:
    """The rights of a process. A server compares its own rights with the rights of a peer."""

    def __init__(self, pid: int, user: int, network: int) -> None:
        # Read the capabilities before the user namespace. A process has all capabilities in a new user namespace, but
        # cannot leave that namespace again. The process may enter a new user namespace between the two reads. The
        # second read then shows the new namespace, and the process is refused.
        status = _status(pid)
        self.user, self.network = user, network
        self.capabilities = _permitted(status)
        self.filters = int(_value(status, b"Seccomp_filters") or b"0")
        self.user_namespace = _user_namespace(pid)


def own_rights(*, any_network: bool = False) -> Rights:
    """Return the rights of this process, to compare them with the rights of a peer.

    With ``any_network``, the network namespace is 0, and the namespace of a peer is not compared.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        return Rights(os.getpid(), os.geteuid(), 0 if any_network else _network(connection))


def credentials(connection: socket.socket) -> tuple[int, int, int]:
    """Return the pid, the user id and the group id that the peer had when it connected.

    The pid is 0 if the peer is not in this pid namespace.
    """
    pid, user, group = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, user, group


@contextlib.contextmanager
def process(connection: socket.socket) -> Iterator[int]:
    """Yield the peer's pid in a ``with`` block; raises OSError at the end of the block if the peer has ended.

    After the peer's end, another process may get the same pid. On Linux 6.5 and later, a pidfd of the peer detects
    this. On older kernels, a process that got the pid before this call is mistaken for the peer. Raises PermissionError
    if the peer is in another pid namespace.
    """
    pid, _, _ = credentials(connection)
    if pid == 0:
        raise PermissionError("the peer is in another pid namespace")
    pidfd = _pidfd(connection, pid)
    try:
        yield pid
        ended = select.poll()
        ended.register(pidfd, select.POLLIN)
        if ended.poll(0):
            raise ProcessLookupError(f"process {pid} has ended")
    finally:
        os.close(pidfd)


def objection(connection: socket.socket, rights: Rights) -> str:
    """Return the reason why this server must not act for the peer, or "" if this server may act for the peer.

    ``rights`` are the rights of this server.
    """
    try:
        theirs = _rights(connection)
    except OSError:
        return "cannot be identified"
    if theirs.user != rights.user:
        return OTHER_USER
    if theirs.user_namespace != rights.user_namespace:
        return "is in another user namespace"
    if rights.capabilities & ~theirs.capabilities:
        return "lacks some of its capabilities"
    if theirs.filters > rights.filters:
        return "is under a seccomp filter"
    if rights.network and theirs.network != rights.network:
        return OTHER_NETWORK
    return ""


def is_genuine(connection: socket.socket) -> bool:
    """Return whether the peer can be a server of hawse: it has the same user and user namespace, and CAP_SYS_ADMIN.

    The server may have fewer capabilities than this process, because the command that started it may have had fewer. If
    the server has more capabilities, this process cannot read which user namespace the server is in. Then only the
    server compares the user namespaces.
    """
    try:
        with process(connection) as pid:
            status = _status(pid)
            same = _user_namespace(pid) in (_user_namespace(os.getpid()), 0)
    except OSError:
        return False
    same_user = credentials(connection)[1] == os.geteuid()
    return same and same_user and bool(_permitted(status) & _CAP_SYS_ADMIN)


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


def listening_socket(directory: str, name: str) -> socket.socket:
    """Return a Unix socket that listens at ``name`` in a directory for one connection."""
    listener = socket.socket(socket.AF_UNIX)
    with socket_address(directory, name) as address:
        listener.bind(address)
    listener.listen(1)
    return listener


def is_listening(run: str, name: str) -> bool:
    """Return whether any process listens on the socket ``name`` in ``run``; this is faster than `connect`."""
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
    """Connect to the socket ``name`` of a server of hawse in the directory ``run``; return the connection.

    ``timeout`` is in seconds, and also holds for each later wait on the connection. Raises OSError if no process
    listens, or if the listening process cannot be a server of hawse (`is_genuine`).
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        with socket_address(run, name) as address:
            connection.connect(address)
        if not is_genuine(connection):
            raise PermissionError(errno.EPERM, "another user's process listens", os.path.join(run, name))
    except OSError:
        connection.close()
        raise
    return connection


def await_answer(connection: socket.socket, seconds: float | None) -> bool:
    """Wait for the server's answer or the end of the connection; return False if neither comes within ``seconds``.

    A server that a signal has stopped (SIGSTOP) is killed. The connection then ends, and the caller can start another
    server. A server that is already stopped at the call is killed after `STOPPED_SECONDS`. A server that is only slow
    is not killed.
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
    """Return whether SIGSTOP has stopped the peer; kill the peer if it was also stopped at the caller's previous call.

    ``before`` is the result of the previous call. The kill is safe, because the peer is a resident process. Its
    successor finds all data in files and in the kernel.
    """
    stopped = processes.is_stopped(credentials(connection)[0])
    if stopped and before:
        kill(connection)
    return stopped


def kill(connection: socket.socket) -> None:
    """Kill the peer; does nothing if the peer has ended."""
    with contextlib.suppress(OSError):
        pidfd = _pidfd(connection, credentials(connection)[0])
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)


def identity(pid: int) -> Identity:
    """Return all values that determine the rights of the process ``pid``; raises OSError.

    This process may run commands in place of ``pid`` only if the values of both processes are equal.
    """
    status = _status(pid)
    spaces = tuple(os.stat(f"/proc/{pid}/ns/{kind}").st_ino for kind in _NAMESPACES)
    return (*(_value(status, name) for name in _SAME), *spaces, _label(pid))


def _rights(connection: socket.socket) -> Rights:
    with process(connection) as pid:
        return Rights(pid, credentials(connection)[1], _network(connection))


def _network(connection: socket.socket) -> int:
    """Return the cookie of the network namespace in which the peer connected, or 0 before Linux 5.14."""
    try:
        (cookie,) = _COOKIE.unpack(connection.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, _COOKIE.size))
    except OSError:
        return 0
    return int(cookie)


def _pidfd(connection: socket.socket, pid: int) -> int:
    try:
        return connection.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
    except OSError as error:
        # ENOPROTOOPT: Linux before 6.5 does not have SO_PEERPIDFD. Any other error means that the peer has ended.
        if error.errno != errno.ENOPROTOOPT:
            raise
        return os.pidfd_open(pid)


def _status(pid: int) -> bytes:
    return _content(f"/proc/{pid}/status")


def _value(status: bytes, name: bytes) -> bytes:
    """Return the value of the line ``name`` of /proc/PID/status, or b"" if the kernel has no such line.

    ``status`` is the content of the file.
    """
    return status.partition(b"\n" + name + b":\t")[2].partition(b"\n")[0]


def _permitted(status: bytes) -> int:
    return int(_value(status, b"CapPrm"), 16)


def _user_namespace(pid: int) -> int:
    """Return the inode of a process's user namespace, or 0 if this process is not allowed to read it."""
    try:
        return os.stat(f"/proc/{pid}/ns/user").st_ino
    except PermissionError:
        return 0


def _label(pid: int) -> bytes:
    """Return the security module's label of a process, or b"" if the kernel has no such module."""
    try:
        return _content(f"/proc/{pid}/attr/current")
    except OSError:
        return b""


def _content(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, _FILE_BYTES)
    finally:
        os.close(fd)
