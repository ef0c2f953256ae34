"""Hide hawse's own directories from a container that uses the host's file system.

HAWSE_ROOT has the local store and keys. HAWSE_RUN has the sockets and the process descriptions of all containers. A
directory may be visible at several paths, because file systems can be mounted twice and directories can be
bind-mounted. Therefore a directory is hidden at every path at which this mount namespace shows the directory. A
directory that the user binds into the container stays visible.
"""

from __future__ import annotations

import os
import re

from engine.runtime import syscalls
from engine.runtime.syscalls import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_FLAGS = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
_OCTAL = re.compile(r"\\([0-7]{3})")

Mount = tuple[str, str, str]
"""A mount: its device, the directory of the device's file system that is mounted, and the path of the mount point."""


def hide(directories: Sequence[str]) -> set[tuple[int, int]]:
    """Hide each of ``directories`` that exists, by mounting an empty read-only directory over it.

    The empty directory is mounted at every path where the hidden directory is visible. Returns the pair (device, inode)
    of each hidden directory.
    """
    hidden = set()
    mounts = _mounts() if directories else []
    for directory in filter(os.path.isdir, directories):
        status = os.stat(directory)
        hidden.add((status.st_dev, status.st_ino))
        for path in list(_paths(directory, mounts)):
            syscalls.mount("tmpfs", path, "tmpfs", _FLAGS, "size=4k,mode=700")
    return hidden


def uncover(source: int, target: str, hidden: set[tuple[int, int]]) -> None:
    """Show a hidden directory at ``target``, where the user has bind-mounted the directory into the container.

    `hide` has mounted an empty directory over the hidden one. The user's bind mount is recursive, so ``target`` shows a
    copy of the empty directory. This function unmounts the copy. Does nothing if the directory is not hidden.

    - ``source``: a file descriptor of the directory
    - ``hidden``: the result of `hide`
    """
    status = os.stat(source)
    if (status.st_dev, status.st_ino) in hidden:
        syscalls.unmount(os.path.realpath(target))


def _paths(directory: str, mounts: list[Mount]) -> Iterator[str]:
    """Yield every path at which a directory is visible in ``mounts``, the mounts of this mount namespace.

    ``directory`` is a path without symbolic links.
    """
    status = os.stat(directory)
    device, root, at = max((m for m in mounts if _is_below(directory, m[2])), key=lambda m: len(m[2]))
    inside = _joined(root, directory[len(at.rstrip("/")) :])
    for other, shown, path in mounts:
        if other == device and _is_below(inside, shown):
            alias = _joined(path, inside[len(shown.rstrip("/")) :])
            if alias != directory and _is(alias, status):
                yield alias
    yield directory


def _mounts() -> list[Mount]:
    """Return the mounts of this mount namespace, the latest first (proc_pid_mountinfo(5))."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        rows = [line.split(" ", 5) for line in file]
    return [(row[2], _plain(row[3]), _plain(row[4])) for row in reversed(rows)]


def _plain(path: str) -> str:
    """Return a path from mountinfo with its escape sequences (for blanks and backslashes) decoded."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), path)


def _is_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _joined(directory: str, rest: str) -> str:
    return directory.rstrip("/") + rest or "/"


def _is(path: str, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), status)
    except OSError:
        return False
