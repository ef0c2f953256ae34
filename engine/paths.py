"""Protect hawse's own directories and files: only root may read them, and no other user may change them.

`check` walks a path from the root directory down. Each directory on the path must belong to root or the calling user,
and no other user may write to the directory. Exception: other users may write to a sticky directory (such as /tmp),
because they cannot replace the entries of root or the calling user there. The last directory on the path must not be
such a directory.

Another user cannot replace a directory that has been checked. Therefore the path still leads to the checked directory
when hawse uses the path.

Another user may have created files in a directory before the directory was given to root. To refuse such files, hawse
opens files with O_NOFOLLOW and requires that each file belongs to root or the calling user.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from engine.errors import PermissionDenied

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_OTHERS = "is a link, belongs to another user or can be written by one: refusing to use it"
_LINKS_LIMIT = 40  # symbolic links in one path, as in the kernel (MAXSYMLINKS)
_CREATIONS_LIMIT = 100  # attempts to create a directory while another user creates and removes it
_WHOLE_MAP = ["0", "0", "4294967295"]
"""The fields of /proc/self/uid_map in the initial user namespace, in which every user id is mapped to itself."""


def check(path: Path, name: str) -> None:
    """Check that only root and the calling user can change the contents of a directory; raises PermissionDenied.

    ``name`` is the environment variable that names the directory (HAWSE_ROOT or HAWSE_RUN). A missing directory is
    normally created later by `make_private_directory`. In a sticky directory such as /tmp, another user could create
    the missing directory first. This function therefore creates it immediately.
    """
    try:
        _check_path(str(path))
    except _Untrusted as error:
        what = "it" if error.path == str(path) else error.path
        remedy = f"{error.remedy} {error.path}, or choose another directory"
        raise PermissionDenied(f"{name} {path} is refused: {what} {error.fault} ({remedy})") from error


def make_private_directory(path: Path) -> None:
    """Create a directory and its missing parents with mode 0700; an existing directory is not changed.

    Raises PermissionDenied if another user owns or can write to the existing directory, or could replace the new one.
    Raises NotADirectoryError if a file is at the path.
    """
    if not _make_missing(path) and not is_own(os.stat(path)):
        raise PermissionDenied(f"{path} {_OTHERS}")


def open_private(path: Path | str | bytes, flags: int) -> int:
    """Open one of hawse's own files without following a symbolic link; return the file descriptor.

    ``flags`` are those of open(2). The file gets mode 0600, even if it existed with another mode. The caller closes the
    descriptor. Raises PermissionDenied if the file belongs to another user, or if another user can write to the file.
    """
    fd = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        status = os.fstat(fd)
        require_own_file(path, status)
        if stat.S_IMODE(status.st_mode) != 0o600:
            os.fchmod(fd, 0o600)
    except BaseException:
        os.close(fd)
        raise
    return fd


def no_follow(path: str, flags: int) -> int:
    """Open a file without following a symbolic link. Callers pass this function as ``opener`` to open().

    The function is for directories in which a container may have created symbolic links.
    """
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def require_own_file(path: Path | str | bytes, status: os.stat_result) -> None:
    """Check that a file is no symbolic link, and that no other user owns or can change it; raises PermissionDenied.

    ``status`` is the result of lstat for the file.
    """
    if stat.S_ISLNK(status.st_mode) or not is_own(status):
        raise PermissionDenied(f"{os.fsdecode(path)} {_OTHERS}")


class _Untrusted(Exception):
    """The error for a path that another user can change.

    ``fault`` is the problem, and ``remedy`` the command that solves the problem.
    """

    def __init__(self, path: str, fault: str, remedy: str) -> None:
        super().__init__(path, fault, remedy)
        self.path, self.fault, self.remedy = path, fault, remedy


def _check_path(path: str) -> None:
    """Check every directory from the root down to ``path``, and every symbolic link on the way.

    Raises `_Untrusted` at the first directory or link that another user can change.
    """
    current, links = "", 0
    sticky = _check_directory("/", os.lstat("/"), in_sticky=False, is_last=False)
    pending = _parts(path)
    while pending:
        part = pending.pop()
        entry = current.rpartition("/")[0] if part == ".." else f"{current}/{part}"
        try:
            status = _status(entry or "/", make=sticky)
        except OSError:
            return  # the path is unusable, or is missing and no other user can create it
        if stat.S_ISLNK(status.st_mode):
            _check_owner(entry, status, in_sticky=sticky)
            links += 1
            if links > _LINKS_LIMIT:
                raise _Untrusted(entry, "is one of too many symbolic links", "unlink")
            target = os.readlink(entry)
            current = "" if target.startswith("/") else current
            pending += _parts(target)
        else:
            sticky = _check_directory(entry or "/", status, in_sticky=sticky, is_last=not pending)
            current = entry


def _status(path: str, *, make: bool) -> os.stat_result:
    """Return the result of lstat for ``path``; raises OSError if nothing exists at this path.

    With ``make``, a missing directory is first created with mode 0700. No other user can then create anything at this
    path. If another user removes a file at this path before lstat, the creation is tried again.
    """
    for _ in range(_CREATIONS_LIMIT if make else 0):
        try:
            os.mkdir(path, 0o700)
            os.chmod(path, 0o700)
            break
        except FileExistsError:
            with suppress(FileNotFoundError):
                return os.lstat(path)
        except OSError:
            break
    return os.lstat(path)


def _parts(path: str) -> list[str]:
    """Return the components of a path in reverse order, without empty components and without "."."""
    return [part for part in path.split("/") if part not in ("", ".")][::-1]


def _check_directory(path: str, status: os.stat_result, *, in_sticky: bool, is_last: bool) -> bool:
    """Check that no other user can replace the contents of a directory; raises `_Untrusted`.

    - ``status``: the directory's stat result
    - ``in_sticky``: whether the directory is inside a sticky directory
    - ``is_last``: whether it is the last directory of the checked path; a sticky directory is then refused

    Returns whether users other than root and the calling user can write to the directory.
    """
    _check_owner(path, status, in_sticky=in_sticky or is_last)
    if not status.st_mode & _WRITABLE_BY_OTHERS:
        return False
    if is_last or not status.st_mode & stat.S_ISVTX:
        raise _Untrusted(path, "can be written by other users", "chmod go-w")
    return True


def _check_owner(path: str, status: os.stat_result, *, in_sticky: bool) -> None:
    if status.st_uid not in (0, os.geteuid()) and (in_sticky or not _is_unmapped(status.st_uid)):
        raise _Untrusted(path, f"belongs to user {status.st_uid}", "chown -h root")


def _is_unmapped(user: int) -> bool:
    """Return whether ``user`` is the id that the kernel shows for all users who have no id in this user namespace.

    The real owner of a file with this id is normally the host's root. In the initial user namespace, the result is
    False.
    """
    if user != int(Path("/proc/sys/kernel/overflowuid").read_text()):
        return False
    return Path("/proc/self/uid_map").read_text().split() != _WHOLE_MAP


def _make_missing(path: Path) -> bool:
    """Create a directory and its missing parents with mode 0700, independent of the umask.

    Return True if the directory was created, and False if it already existed. Raises PermissionDenied if another user
    could replace the new directory, and NotADirectoryError if a file is at the path.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        if not _make_missing(path.parent) and not _is_safe_parent(path.parent):
            raise PermissionDenied(f"{path.parent} {_OTHERS}") from None
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)
            os.chmod(path, 0o700)
            return True
        status = os.stat(path)
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    return False


def _is_safe_parent(path: Path) -> bool:
    """Return whether no other user can replace files that hawse creates in a directory."""
    status = os.stat(path)
    return is_own(status) or bool(status.st_uid in (0, os.geteuid()) and status.st_mode & stat.S_ISVTX)


def is_own(status: os.stat_result) -> bool:
    """Return whether a file belongs to root or the calling user, and no other user can write to it."""
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & _WRITABLE_BY_OTHERS


DEFAULT_ROOT = "/var/lib/hawse"
DEFAULT_RUN = "/run/hawse"


def root_directory() -> Path:
    """Return the path in the environment variable HAWSE_ROOT, by default /var/lib/hawse.

    Raises PermissionDenied if another user can change the contents of this directory.
    """
    return _directory("HAWSE_ROOT", DEFAULT_ROOT)


def run_directory() -> Path:
    """Return the path in the environment variable HAWSE_RUN, by default /run/hawse.

    Raises PermissionDenied if another user can change the contents of this directory.
    """
    return _directory("HAWSE_RUN", DEFAULT_RUN)


def api_socket() -> Path:
    """Return the default path of the socket of Docker's API, in the directory HAWSE_RUN.

    Raises PermissionDenied if another user can change the contents of this directory.
    """
    return run_directory() / "docker.sock"


def _directory(name: str, default: str) -> Path:
    path = Path(os.environ.get(name) or default).absolute()
    check(path, name)
    return path
