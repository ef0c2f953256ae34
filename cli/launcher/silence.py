"""Find out why a warm server does not answer, and end a server that a signal has stopped or that hangs.

The launcher imports this module only after a server has not answered for a moment.
"""

import posix

from cli.launcher.launch import DEFAULT_RUN, LOCK, SOCKET, ServerRefused, connect

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal

Activity = tuple[bytes, int]
"""The state of a process, such as b"T" after SIGSTOP (/proc/PID/stat), and its processor time in 1/100 s."""
SPIN_TICKS = 20
"""Processor time in 1/100 s. A server that uses this time without accepting a connection hangs in a loop."""


def activity_of(pid: int) -> Activity:
    """Return the activity of a process, or (b"", 0) if the process does not exist."""
    try:
        fields = stat(pid)
        return fields[0], int(fields[11]) + int(fields[12])
    except (OSError, IndexError):
        return b"", 0


def server_pid() -> int:
    """Return the pid of the warm server, or 0 if no server is running.

    The server has written its pid and its start time into its lock file. The result is 0 if no running process has this
    pid and this start time.
    """
    try:
        signature = read_file((posix.environ.get(b"HAWSE_RUN") or DEFAULT_RUN) + b"/" + LOCK)
        pid, _, started = signature.partition(b":")
        return int(pid) if stat(int(pid))[19] == started else 0
    except (OSError, ValueError, IndexError):
        return 0


def stat(pid: int) -> list[bytes]:
    """Return the fields of /proc/PID/stat after the program's name; the first is the process state. Raises OSError."""
    return read_file(b"/proc/%d/stat" % pid).rpartition(b")")[2].split()


def is_stopped(checks: list[Activity]) -> bool:
    """Return whether a signal (SIGSTOP) had stopped the warm server at the last two ``checks``."""
    return [state for state, _ in checks[-2:]] == [b"T", b"T"]


def hangs(checks: list[Activity]) -> bool:
    """Return whether a silent warm server hangs, judged by its activity at several ``checks``, the latest last.

    A server hangs if it has not accepted the connection, and either slept all the time or used at least `SPIN_TICKS` of
    processor time. A server that waits for a disk does not hang. Nor does a server that is ready to run, but gets
    little processor time.
    """
    used = checks[-1][1] - checks[0][1]
    is_idle = used == 0 and {state for state, _ in checks} == {b"S"}
    return (is_idle or used >= SPIN_TICKS) and is_unaccepted()


def is_unaccepted() -> bool:
    """Return whether a connection from this network namespace still waits for a warm server to accept it.

    If no connection waits, the server has accepted this process's connection and passed it to a child. In this case,
    the server does not hang: only the child is slow.
    """
    file = posix.open(b"/proc/self/net/unix", posix.O_RDONLY | posix.O_CLOEXEC)
    lines = b""
    while data := posix.read(file, 1 << 16):
        lines += data
    posix.close(file)
    # The columns are address, references, protocol, flags, type, state, inode and path. State 2 is SS_CONNECTING.
    return any(line.split()[5:6] == [b"02"] and line.endswith(b"/" + SOCKET) for line in lines.splitlines())


def read_file(path: bytes) -> bytes:
    """Return the first 4 KiB of a file; raises OSError, also if ``path`` is a symbolic link."""
    file = posix.open(path, posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_CLOEXEC)
    try:
        return posix.read(file, 4096)
    finally:
        posix.close(file)


def end_server() -> bool:
    """Kill a warm server that is stopped or hangs; return whether this process must start the next warm server.

    The caller has found that the server does not answer. The result is False if a process still listens on the server's
    socket: another server, or systemd, which starts the next server.
    """
    try:
        pid = server_pid()
        process = posix.pidfd_open(pid, 0)
        if pid != server_pid():
            return False
        _signal.pidfd_send_signal(process, _signal.SIGKILL)
        posix.close(process)
        for _ in range(100):
            if activity_of(pid)[0] in (b"", b"Z"):
                break
            _signal.sigtimedwait([], 0.01)
        connect().close()
    except ServerRefused:
        return False
    except OSError:
        return True
    return False
