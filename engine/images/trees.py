"""Remove and measure directory trees of any depth."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: str | bytes) -> None:
    """Remove a file, or a directory with its content; idempotent.

    Other processes may remove the same tree, or a part of it, at the same time.

    The tree is walked with only one open file descriptor and without recursion, because an image may nest directories
    very deeply. The depth may exceed Python's recursion limit, the limit of open files and the maximum length of a
    path.
    """
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):  # unlink(2) of a directory fails with EISDIR on Linux, EPERM in POSIX
        pass
    else:
        return
    with suppress(FileNotFoundError):
        _empty(os.open(path, _DIRECTORY))
        os.rmdir(path)


def tree_size(path: str | os.PathLike[str]) -> int:
    """Return the size in bytes of all files below a directory, or 0 if the directory is missing.

    The directories themselves are not counted. The tree is walked with only one open file descriptor and without
    recursion. A container may change the tree during the walk. Files that vanish are not counted. If a directory is
    moved while it is read, the rest of the tree is not counted.
    """
    try:
        fd = os.open(path, _DIRECTORY)
    except FileNotFoundError:
        return 0
    total = 0
    try:
        total, names = _measure(fd)
        levels, identities = [names], [_identity(fd)]
        while levels[-1] or len(levels) > 1:
            if levels[-1]:
                try:
                    fd = _replace(fd, levels[-1].pop())
                except OSError:
                    continue  # the directory has vanished, or is now a link
                size, names = _measure(fd)
                total += size
                levels.append(names)
                identities.append(_identity(fd))
            else:
                levels.pop()
                identities.pop()
                fd = _replace(fd, b"..")
                if _identity(fd) != identities[-1]:
                    break
    except FileNotFoundError:  # the directory was moved out of the mount, so its entry ``..`` cannot be opened
        return total
    finally:
        os.close(fd)
    return total


def _measure(fd: int) -> tuple[int, list[bytes]]:
    """Return the size in bytes of all files in a directory, and the names of its subdirectories.

    ``fd`` is a file descriptor of the directory. The files in the subdirectories are not counted.
    """
    total, directories = 0, []
    with os.scandir(fd) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # the container has removed the file
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    directories.append(os.fsencode(entry.name))
                else:
                    total += status.st_size
    return total, directories


def _empty(fd: int) -> None:
    """Remove the content of the directory to which the file descriptor ``fd`` refers, and close ``fd``."""
    levels = [(b"", _remove_files(fd))]  # for each level: the directory's name and its remaining subdirectories
    identities = [_identity(fd)]
    try:
        while True:
            name, left = levels[-1]
            if left:
                name = left.pop()
                try:
                    fd = _replace(fd, name)
                except FileNotFoundError:
                    continue  # another process has removed the directory
                levels.append((name, _remove_files(fd)))
                identities.append(_identity(fd))
            elif len(levels) == 1:
                return
            else:
                fd = _replace(fd, b"..")
                levels.pop()
                identities.pop()
                if _identity(fd) != identities[-1]:
                    raise OSError("a directory was moved while it was being removed")
                with suppress(FileNotFoundError):
                    os.rmdir(name, dir_fd=fd)
    finally:
        os.close(fd)


def _replace(fd: int, name: bytes) -> int:
    """Open the directory ``name`` inside the directory ``fd``, then close ``fd``; both are file descriptors.

    Returns the new file descriptor.
    """
    opened = os.open(name, _DIRECTORY, dir_fd=fd)
    os.close(fd)
    return opened


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _remove_files(fd: int) -> list[bytes]:
    """Remove the files in a directory; return the names of its subdirectories, which are kept.

    ``fd`` is a file descriptor of the directory. If another process has removed the directory, the result is empty.
    """
    directories, children = [], []
    with suppress(FileNotFoundError), os.scandir(fd) as entries:
        children = [(os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in children:
        if is_directory:
            directories.append(name)
        else:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=fd)
    return directories
