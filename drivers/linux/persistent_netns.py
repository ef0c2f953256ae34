"""Network namespaces that outlive the process that made them; each namespace is identified by the path of a file.

A namespace is kept alive in one of two ways:

- Usually a bind mount on the file keeps the namespace alive, as with ``ip netns``. However, a command may run in its
  own mount namespace (``ip netns exec``, service managers), and mounts end with their mount namespace. Therefore, the
  mount is made in the mount namespace of process 1. Other processes find it through ``/proc/1/root``.
- If process 1 is not accessible (in a locked-down container), or does not see the same directory at the file's path,
  an idle process keeps the namespace alive. The file then holds the PID and the start time of that process.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from drivers.errors import KernelError, Unsupported
from drivers.linux import netns, process, recording
from drivers.linux.errors import refusal
from drivers.linux.namespaces import is_namespace_file

INIT = "/proc/1"
OWN = "/proc/self/ns/net"
# The program of the idle process. It first waits for a line on its standard input. hawse writes this line after it has
# stored the idle process's PID in the file. If hawse dies before that, the idle process ends too. Otherwise, the idle
# process would run for ever, because no other command could find it.
HOLDER = ("/bin/sh", "-c", "read -r _ && exec sleep infinity </dev/null")
TIMEOUT = 30  # seconds to wait for an external command
END = 2000  # milliseconds to wait until a killed process has ended


def netns_path(file: Path) -> str:
    """Return the path at which this process can open the namespace identified by ``file``."""
    keeper = _keeper(file)
    if keeper:
        return f"/proc/{keeper}/ns/net"
    return f"{INIT}/root{file}" if _init_shares(file.parent) else str(file)


def exists(file: Path) -> bool:
    """Return whether the namespace of ``file`` exists; False if a crashed process has left only an empty file."""
    try:
        return is_namespace_file(os.stat(netns_path(file)))
    except OSError:
        return False


def make(file: Path) -> None:
    """Create an empty network namespace that ``file`` identifies and that outlives this process; idempotent."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if exists(file):
        return
    os.close(_open(file, os.O_RDWR | os.O_CREAT))
    with netns.new_netns():
        if _init_shares(file.parent):
            _run("nsenter", f"--mount={INIT}/ns/mnt", "--", "mount", "--bind", OWN, str(file))
        else:
            _start_keeper(file)
    if not exists(file):
        raise KernelError("keep network namespace", str(file), errno.EINVAL)
    if keeper := _keeper(file):
        recording.comment(f"Process {keeper} keeps a new network namespace: unshare --net sleep infinity")
    else:
        recording.command("touch", str(file))
        recording.command("unshare", f"--net={file}", "true")


def remove(file: Path) -> None:
    """Undo `make`: stop keeping the namespace of ``file`` alive; idempotent.

    The kernel deletes the namespace when no process and no other file keeps it alive.
    """
    keeper = _keeper(file)
    if keeper:
        _end(keeper)
        recording.command("kill", str(keeper))
    elif exists(file) and _init_shares(file.parent):
        _run("nsenter", f"--mount={INIT}/ns/mnt", "--", "umount", "--lazy", str(file))
        recording.command("umount", "--lazy", str(file))
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise refusal("remove", str(file), error.errno or errno.EIO) from error
        # Also unmount the file in this process's mount namespace, which may have a copy of the mount.
        _run("umount", "--lazy", str(file))
        file.unlink(missing_ok=True)


@contextmanager
def directory_lock(directory: Path) -> Iterator[None]:
    """Hold an exclusive lock on a directory for the length of a ``with`` block.

    Blocks until no other process holds the lock. The directory is created if missing, and removed at the end if it is
    empty.
    """
    while True:
        directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Do not use exist_ok=True: mkdir() then fails if another process removes the directory during the call.
        with suppress(FileExistsError):
            directory.mkdir(mode=0o700)
        try:
            fd = _open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:  # another process has just removed the directory
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if _is(fd, directory):  # False if another process has removed or replaced the directory
                yield
                with suppress(OSError):
                    directory.rmdir()
                return
        finally:
            os.close(fd)


def _open(path: Path, flags: int) -> int:
    """Open a file, and return the file descriptor; raises OSError if the file is a symbolic link.

    ``flags`` are those of open(2). A new file is accessible to root only.
    """
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _is(fd: int, directory: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(directory))
    except FileNotFoundError:
        return False


def _init_shares(directory: Path) -> bool:
    try:
        return os.path.samestat(os.stat(f"{INIT}/root{directory}"), os.stat(directory))
    except OSError:
        return False


def _start_keeper(file: Path) -> None:
    """Start the idle process that keeps the calling thread's namespace alive; only `remove` ends that process.

    The PID and the start time of that process are written to ``file``.
    """
    null, pipe = subprocess.DEVNULL, subprocess.PIPE
    keeper = subprocess.Popen(HOLDER, cwd="/", stdin=pipe, stdout=null, stderr=null, start_new_session=True)
    assert keeper.stdin is not None
    with keeper.stdin:
        with open(_open(file, os.O_WRONLY | os.O_TRUNC), "w") as note:
            note.write(f"{keeper.pid} {process.start_time(keeper.pid)}\n")
        keeper.stdin.write(b"\n")


def _keeper(file: Path) -> int:
    """Return the PID of the idle process that keeps the namespace of ``file`` alive, or 0 if no such process runs."""
    try:
        with open(_open(file, os.O_RDONLY)) as note:
            pid, start = map(int, note.read().split())
    except (OSError, ValueError):  # no idle process: the file is missing, empty or a mount point
        return 0
    return pid if process.is_running(pid, start) else 0


def _end(pid: int) -> None:
    with suppress(ProcessLookupError):
        pidfd = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            waiting = select.poll()
            waiting.register(pidfd, select.POLLIN)
            waiting.poll(END)
        finally:
            os.close(pidfd)
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def _run(*command: str) -> None:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except FileNotFoundError as error:
        raise Unsupported(f"{error.filename} is missing: install util-linux") from error
    except subprocess.TimeoutExpired as error:
        raise Unsupported(f"{' '.join(command)} did not end within {TIMEOUT} s") from error
    if done.returncode:
        raise Unsupported(f"{' '.join(command)}: {done.stderr.strip()}")
