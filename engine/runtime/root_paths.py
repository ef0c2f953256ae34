"""Resolve paths inside a root directory with possibly malicious content. No path leads outside the root.

Paths are resolved as processes in the container would resolve them. A symbolic link of an image may point anywhere.
Therefore every path of an image is resolved with openat2, below a file descriptor of the root. Only regular files are
read.
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

FILE_LIMIT_BYTES = 16 << 20
"""The maximum number of bytes that are read from a file in a container's root directory."""

_MOST_LINKS = 40
_DIRECTORY = os.O_PATH | os.O_DIRECTORY


class ForeignLink(PermissionError):
    """Raised if a path leads through a symbolic link of another user, who may exchange it at any time."""


def open_root(path: str) -> int:
    """Open a container's root directory ``path`` with O_PATH; return the file descriptor, which the caller closes."""
    return os.open(path, _DIRECTORY | os.O_CLOEXEC)


def is_blocked(directory: str, path: str) -> bool:
    """Return whether a file is in the way of the directory ``path`` below the root directory ``directory``.

    This is the case if ``path`` itself, or a directory on the way to it, exists but is no directory.
    """
    try:
        root = open_root(directory)
    except OSError:
        return False
    try:
        os.close(syscalls.open_in_root(root, path, _DIRECTORY))
    except NotADirectoryError:
        return True
    except OSError:
        return False
    finally:
        os.close(root)
    return False


def read_lines(root: int, path: str) -> Iterator[str]:
    """Yield the lines of a regular file in a container's root directory; yield nothing if the file cannot be opened.

    Only a newline ends a line, as in Docker. Python's other line separators belong to the line. ``root`` is a file
    descriptor of the root directory, which symbolic links in ``path`` cannot leave. Only the first `FILE_LIMIT_BYTES`
    bytes of the file are read.
    """
    try:
        handle = syscalls.open_in_root(root, path, os.O_PATH)
    except OSError:
        return
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return
        # Open the file a second time through its file descriptor. This is safe, because the descriptor refers to one
        # fixed file.
        fd = os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    finally:
        os.close(handle)
    with open(fd, "rb") as file:
        content = file.read(FILE_LIMIT_BYTES)
    yield from content.decode("utf-8", "surrogateescape").split("\n")


def ensure(
    root: int,
    path: str,
    *,
    directory: bool,
    replace: bool = False,
    mounted: Collection[str] = (),
    own_links: bool = False,
) -> str:
    """Create ``path`` as a file or directory if it is missing; return its canonical path, without symbolic links.

    ``root`` is a file descriptor of the root directory. Nothing is created at or below a path in ``mounted``, because a
    mount will cover that path. Raises OSError.

    - With ``replace``, a real directory or file replaces a symbolic link in ``path``, and a directory replaces a file
      where a directory is needed. Docker does the same in the writable layer.
    - With ``own_links``, raises `ForeignLink` for a symbolic link that belongs neither to root nor to the calling user.
    """
    todo, done, links = deque(path.split("/")), list[str](), 0
    while todo:
        if "/" + "/".join(done) in mounted:
            return os.path.normpath("/" + "/".join([*done, *todo]))
        name = todo.popleft()
        if name == "..":
            del done[-1:]
        if name in ("", ".", ".."):
            continue
        parent = syscalls.open_in_root(root, "/".join(done), _DIRECTORY, links=False)
        try:
            link = _step(parent, name, directory=directory or any(todo), replace=replace, own_links=own_links)
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


def _step(parent: int, name: str, *, directory: bool, replace: bool, own_links: bool) -> str | None:
    """Create the path component ``name`` in the directory ``parent`` (a file descriptor) if it is missing.

    With ``replace``, a symbolic link, or a file where a directory is needed, is replaced. Without ``replace``, a
    symbolic link is kept, and the function returns the link's target. If another process has created ``name`` in the
    meantime, returns ``name``, which the caller then resolves again. In all other cases, returns None. Raises
    `ForeignLink` as `ensure` does, and OSError.
    """
    try:
        entry = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except FileNotFoundError:
        return _create(parent, name, directory=directory)
    try:
        # Because another user may exchange ``name`` at any time, everything is read from this one descriptor.
        status = os.fstat(entry)
        mode, owner = status.st_mode, status.st_uid
        if replace and (stat.S_ISLNK(mode) or directory > stat.S_ISDIR(mode)):
            os.unlink(name, dir_fd=parent)
            return _create(parent, name, directory=directory)
        if stat.S_ISLNK(mode):
            if own_links and owner not in (0, os.geteuid()):
                raise ForeignLink(errno.EPERM, "the link belongs to another user", name)
            return os.readlink("", dir_fd=entry)
    finally:
        os.close(entry)
    if directory and not stat.S_ISDIR(mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name)
    return None


def _create(parent: int, name: str, *, directory: bool) -> str | None:
    """Create a file or directory in the directory ``parent``; return None, or ``name`` if it exists already."""
    try:
        if directory:
            os.mkdir(name, 0o755, dir_fd=parent)
        else:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(name, flags, 0o644, dir_fd=parent))
    except FileExistsError:
        return name
    return None
