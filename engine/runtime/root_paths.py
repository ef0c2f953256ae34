"""Paths inside a root directory that may be hostile: resolved as its own processes would, never outside it.

A symbolic link of an image may lead anywhere, so no path of it is opened by its text alone. Every step is taken beneath
a descriptor of the root with openat2, and what is opened for reading must be a regular file.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque

from engine.runtime import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

LARGEST = 16 << 20
"""Bytes of a file of the root that are read at most."""

_MOST_LINKS = 40
_DIRECTORY = os.O_PATH | os.O_DIRECTORY


def open_root(path: str) -> int:
    """Open a root directory, the caller's to close."""
    return os.open(path, _DIRECTORY | os.O_CLOEXEC)


def read_lines(root: int, path: str) -> Iterator[str]:
    """The lines of a regular file of at most `LARGEST` bytes; none where there is no such file."""
    try:
        found = syscalls.open_in_root(root, path, os.O_PATH)
    except OSError:
        return
    try:
        if not stat.S_ISREG(os.fstat(found).st_mode):
            return
        # Because the descriptor names one file, opening it anew cannot reach another one.
        fd = os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    finally:
        os.close(found)
    with open(fd, "rb") as file:
        content = file.read(LARGEST)
    yield from content.decode("utf-8", "surrogateescape").splitlines()


def ensure(root: int, path: str, *, directory: bool, replace: bool = False, mounted: Collection[str] = ()) -> str:
    """Make ``path`` where it is missing; its canonical path, which has no symbolic link.

    With ``replace``, a component that is no directory is removed and made anew, as Docker does in its own layer.
    Nothing is made at or below a path of ``mounted``, because a mount will cover it.
    """
    todo, done, links = deque(path.split("/")), list[str](), 0
    while todo:
        if "/" + "/".join(done) in mounted:
            return os.path.normpath("/" + "/".join([*done, *todo]))
        name = todo.popleft()
        if name in ("", "."):
            continue
        if name == "..":
            del done[-1:]
            continue
        parent = syscalls.open_in_root(root, "/".join(done), _DIRECTORY, links=False)
        try:
            link = _step(parent, name, directory=directory or any(todo), replace=replace)
        finally:
            os.close(parent)
        if link is None:
            done.append(name)
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        if link.startswith("/"):
            done.clear()
        todo.extendleft(reversed(link.split("/")))
    return "/" + "/".join(done)


def _step(parent: int, name: str, *, directory: bool, replace: bool) -> str | None:
    """Make one component where it is missing; what it leads to if it is a symbolic link that is to stay."""
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        found = None
    if found is not None and replace and (stat.S_ISLNK(found.st_mode) or directory > stat.S_ISDIR(found.st_mode)):
        os.unlink(name, dir_fd=parent)
        found = None
    if found is not None and stat.S_ISLNK(found.st_mode):
        return os.readlink(name, dir_fd=parent)
    if found is not None:
        if directory and not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name)
        return None
    if directory:
        os.mkdir(name, 0o755, dir_fd=parent)
    else:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(name, flags, 0o644, dir_fd=parent))
    return None
