"""Protect hawse's own directories and files: only root may read them, and no other user may change them.

`check` walks a path from the root down. Each directory on the path must belong to root or the caller, and no other user
may write to it. A sticky directory (/tmp) is allowed on the path; the next directory must then meet the same
conditions.

Another user cannot replace a directory that has been checked. Therefore nothing can change between the check of a
directory and the use of what is below it.

Another user may have left files in a directory before it became root's. Such files are not used either: files are
opened with O_NOFOLLOW, and must belong to root or the caller.
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
_LINKS_LIMIT = 40
_WHOLE_MAP = ["0", "0", "4294967295"]
"""The contents of /proc/self/uid_map in the initial user namespace."""


def check(path: Path, name: str) -> None:
    """Raise PermissionDenied if a user other than root and the caller can change what is in a directory.

    ``name`` is the setting that names the directory (HAWSE_ROOT or HAWSE_RUN). A missing directory is normally created
    later, by `make_private_directory`. In a sticky directory it is created here, because another user could create it
    in the meantime.
    """
    try:
        _check_path(str(path))
    except _Untrusted as error:
        what = "it" if error.place == str(path) else error.place
        remedy = f"{error.remedy} {error.place}, or choose another directory"
        raise PermissionDenied(f"{name} {path} is refused: {what} {error.fault} ({remedy})") from error


def make_private_directory(path: Path) -> None:
    """Create a directory and its missing parents with mode 0700; an existing directory is not changed.

    Raises PermissionDenied if the existing directory belongs to another user or can be written by one.
    """
    if not _make_missing(path) and not is_own(os.stat(path)):
        raise PermissionDenied(f"{path} {_OTHERS}")


def open_private(path: Path | str | bytes, flags: int) -> int:
    """Open one of hawse's own files (mode 0600), but no symbolic link; the caller closes the descriptor.

    Raises PermissionDenied if the file belongs to another user or can be written by one.
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
    """Open a file but no symbolic link; for use as ``opener`` of open().

    It is needed in directories whose files containers may own.
    """
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def require_own_file(path: Path | str | bytes, status: os.stat_result) -> None:
    """Raise PermissionDenied if a file is a symbolic link, belongs to another user or can be written by one.

    ``found`` is the result of lstat.
    """
    if stat.S_ISLNK(status.st_mode) or not is_own(status):
        raise PermissionDenied(f"{os.fsdecode(path)} {_OTHERS}")


class _Untrusted(Exception):
    """A path that another user can change, what is wrong with it, and the command that repairs it."""

    def __init__(self, place: str, fault: str, remedy: str) -> None:
        super().__init__(place, fault, remedy)
        self.place, self.fault, self.remedy = place, fault, remedy


def _check_path(path: str) -> None:
    """Check every directory from the root down to ``path``, and every symbolic link on the way.

    Raises `_Untrusted` at the first one that another user can change.
    """
    current, links = "", 0
    sticky = _check_directory("/", os.lstat("/"), in_sticky=False, is_last=False)
    pending = _parts(path)
    while pending:
        part = pending.pop()
        place = current.rpartition("/")[0] if part == ".." else f"{current}/{part}"
        try:
            status = _found(place or "/", make=sticky)
        except OSError:
            return  # only root or the caller can create it, or it is unusable
        if stat.S_ISLNK(status.st_mode):
            _check_owner(place, status, in_sticky=sticky)
            links += 1
            if links > _LINKS_LIMIT:
                raise _Untrusted(place, "is one of too many symbolic links", "unlink")
            target = os.readlink(place)
            current = "" if target.startswith("/") else current
            pending += _parts(target)
        else:
            sticky = _check_directory(place or "/", status, in_sticky=sticky, is_last=not pending)
            current = place


def _found(place: str, *, make: bool) -> os.stat_result:
    """Return the lstat of a path; with ``make``, first create a missing directory, before another user can do so."""
    if make:
        with suppress(OSError):
            os.mkdir(place, 0o700)
            os.chmod(place, 0o700)
    return os.lstat(place)


def _parts(path: str) -> list[str]:
    """Return the names in a path in reverse order, without empty names and "."."""
    return [part for part in path.split("/") if part not in ("", ".")][::-1]


def _check_directory(place: str, status: os.stat_result, *, in_sticky: bool, is_last: bool) -> bool:
    """Check one directory; return whether it is a sticky directory that other users can write to."""
    _check_owner(place, status, in_sticky=in_sticky or is_last)
    if not status.st_mode & _WRITABLE_BY_OTHERS:
        return False
    if is_last or not status.st_mode & stat.S_ISVTX:
        raise _Untrusted(place, "can be written by other users", "chmod go-w")
    return True


def _check_owner(place: str, status: os.stat_result, *, in_sticky: bool) -> None:
    if status.st_uid not in (0, os.geteuid()) and (in_sticky or not _is_unmapped(status.st_uid)):
        raise _Untrusted(place, f"belongs to user {status.st_uid}", "chown -h root")


def _is_unmapped(user: int) -> bool:
    """Return whether the owner is a user outside this user namespace, normally the host's root."""
    if user != int(Path("/proc/sys/kernel/overflowuid").read_text()):
        return False
    return Path("/proc/self/uid_map").read_text().split() != _WHOLE_MAP


def _make_missing(path: Path) -> bool:
    """Create a directory (0700, independent of the umask) and its missing parents; return False if it existed."""
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
    """Return whether no other user can replace what hawse creates in a directory."""
    status = os.stat(path)
    return is_own(status) or bool(status.st_uid in (0, os.geteuid()) and status.st_mode & stat.S_ISVTX)


def is_own(status: os.stat_result) -> bool:
    """Return whether a file belongs to root or the caller, and no other user can write to it."""
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & _WRITABLE_BY_OTHERS


DEFAULT_ROOT = "/var/lib/hawse"


DEFAULT_RUN = "/run/hawse"


def root_directory() -> Path:
    """Return HAWSE_ROOT, by default /var/lib/hawse.

    Raises PermissionDenied if another user can change what is in it.
    """
    return _directory("HAWSE_ROOT", DEFAULT_ROOT)


def run_directory() -> Path:
    """Return HAWSE_RUN, by default /run/hawse; raises PermissionDenied as `root_directory` does."""
    return _directory("HAWSE_RUN", DEFAULT_RUN)


def _directory(name: str, default: str) -> Path:
    path = Path(os.environ.get(name) or default).absolute()
    check(path, name)
    return path
