"""System calls for namespaces: open, setns(2), unshare(2), and mounts that are visible to this process only.

Python's os module has setns and unshare only since 3.12, and no function for mounts. This module imports little,
because the supervisor of containers uses it and must use little memory.
"""

from __future__ import annotations

import ctypes
import errno
import os
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

NO_RETURN = 71
"""Exit code of a process that cannot return to its own network namespace; sysexits.h names the code EX_OSERR."""

_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
_CLOEXEC, _SET_FLAG, _SET_STRING, _CREATE = 1, 0, 1, 6  # flag of fsopen and fsmount; commands of fsconfig

_mount_changes = [0]
_libc = ctypes.CDLL(None, use_errno=True)  # loaded once, because a load takes ten times as long as a call


def open_namespace(path: str) -> int:
    """Return a new file descriptor of the namespace at ``path``; raises FileNotFoundError if no namespace is there.

    A file that is not a namespace is not opened, and raises this error too. Because an unprivileged user may own the
    path, the file could be a device, or a FIFO on which the call would block.
    """
    path_fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not is_namespace_file(os.fstat(path_fd)):
            raise FileNotFoundError(errno.ENOENT, "not a namespace", path)
        return os.open(f"/proc/self/fd/{path_fd}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(path_fd)


def is_namespace_file(status: os.stat_result) -> bool:
    """Return whether ``status``, the result of stat(2) for a file, shows that the file is a namespace of any kind."""
    return status.st_dev == os.stat("/proc/thread-self/ns/net").st_dev


def setns(fd: int, kinds: int) -> None:
    """Enter the namespace that is open as ``fd``; ``kinds`` are flags of setns(2).

    If ``fd`` is a pidfd, enter the process's namespaces of these kinds.
    """
    check(_libc.setns(fd, kinds), "setns")
    _mount_changes[0] += bool(kinds & CLONE_NEWNS)


def return_home(home: int) -> None:
    """Move the calling thread back into its network namespace, the file descriptor ``home``.

    If the kernel refuses, this process ends with the exit code `NO_RETURN`. The next step, such as the rollback of a
    failed change, would otherwise change the network of a container instead of the host's.
    """
    try:
        setns(home, CLONE_NEWNET)
    except OSError as error:
        reason = os.strerror(error.errno or errno.EIO).lower()
        with suppress(OSError):
            os.write(2, f"hawse: cannot return to the host's network namespace: {reason}\n".encode())
        os._exit(NO_RETURN)


def unshare(kinds: int) -> None:
    """Move the calling thread into new namespaces; ``kinds`` are flags of unshare(2).

    A new pid namespace applies only to child processes that are forked later.
    """
    check(_libc.unshare(kinds), "unshare")
    _mount_changes[0] += bool(kinds & CLONE_NEWNS)


def mount_changes() -> int:
    """Return how often `setns` and `unshare` have changed the mount namespace of this process."""
    return _mount_changes[0]


def open_file_system(kind: str, options: Mapping[str, str | None]) -> int:
    """Mount a file system without a mount point, and return a file descriptor of its root directory.

    ``kind`` is the type of the file system, such as "proc". In ``options``, the value None means an option without a
    value. The caller closes the file descriptor, which ends the mount.
    """
    context: int = _libc.syscall(_FSOPEN, kind.encode(), _CLOEXEC)
    check(context, f"fsopen {kind}")
    try:
        for name, value in options.items():
            command, text = (_SET_FLAG, None) if value is None else (_SET_STRING, value.encode())
            check(_libc.syscall(_FSCONFIG, context, command, name.encode(), text, 0), f"fsconfig {name}")
        check(_libc.syscall(_FSCONFIG, context, _CREATE, None, None, 0), f"fsconfig {kind}")
        root: int = _libc.syscall(_FSMOUNT, context, _CLOEXEC, 0)
        check(root, f"fsmount {kind}")
        return root
    finally:
        os.close(context)


def check(result: int, what: str) -> None:
    """Raise OSError with libc's error number if ``result`` is negative.

    ``result`` is the return value of a libc function. ``what`` names the call in the error.
    """
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)
