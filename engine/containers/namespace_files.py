"""Maintain the resolv.conf of adopted namespaces, so that `ip netns exec` and `exec` resolve names there.

`ip netns exec NAME` mounts the files in /etc/netns/NAME over those in /etc. hawse writes resolv.conf there while the
namespace NAME is on a network. During this time, the user's own file is in /etc/netns/.hawse/NAME. hawse moves the
file, because a rename keeps the owner, the mode and a symbolic link. For other namespaces, the file is in the
container's directory, and only `exec` uses it.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from drivers.linux import recording
from engine.host import Host
from engine.model import ContainerRecord
from engine.paths import make_private_directory
from engine.resolv_conf import HEADER

NETNS_DIRECTORY = Path("/run/netns")
ETC = Path("/etc/netns")
KEPT = ETC / ".hawse"
NAME = "resolv.conf"
NEW = ".resolv.conf.hawse"
"""The temporary name of a new resolv.conf while hawse writes it. A kill during the write could leave a file without
`MARK`. Under the final name, hawse would take such a file for the user's.
"""
MARK = "# Written by hawse while this namespace is on its networks. An earlier file comes back afterwards.\n"
FILE_LIMIT_BYTES = 1 << 20
"""Size limit in bytes. A user's file that is larger is not read."""


def path(host: Host, record: ContainerRecord) -> Path:
    """Return the path of the file in which hawse writes the resolv.conf of an adopted namespace.

    For a namespace of `ip netns`, the file is in /etc/netns/NAME. For any other namespace, the file is in the
    container's directory.
    """
    directory = _of_name(record.sandbox_path)
    return directory / NAME if directory else host.directory_of(record.id) / NAME


def user_text(sandbox_path: str) -> str:
    """Return the text of the user's own resolv.conf for the namespace at a path, or "" if there is none.

    The user's file is in /etc/netns/NAME. While hawse has its own file there, the user's file is in the directory
    `KEPT`. If both places have a file of the user, the file in /etc/netns/NAME is used, because it is newer.
    """
    directory = _of_name(sandbox_path)
    if directory is None:
        return ""
    texts = map(_text, (directory / NAME, KEPT / directory.name))
    return next((text for text in texts if text and not text.startswith(MARK)), "")


def write(host: Host, record: ContainerRecord, text: str) -> None:
    """Write the resolv.conf of an adopted namespace; the user's own file is kept.

    If /etc is read-only, the file is not written. This is not an error, because the network works without names.
    """
    target, directory = path(host, record), _of_name(record.sandbox_path)
    recording.comment(f"{target} gets the address of the resolver, 127.0.0.11.")
    if recording.is_dry_run():
        return
    try:
        if directory is None:
            make_private_directory(target.parent)
        else:
            directory.mkdir(0o755, parents=True, exist_ok=True)
        data = (MARK + text.removeprefix(HEADER)).encode("utf-8", "surrogateescape")
        if _is_ours(target):
            _fill(target, data)
            return
        _fill(target.with_name(NEW), data)
        if directory is not None:
            _keep(target, KEPT / directory.name)
        target.with_name(NEW).rename(target)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise


def restore(host: Host, record: ContainerRecord) -> None:
    """Remove hawse's resolv.conf of an adopted namespace, and restore the user's file; idempotent.

    A file that the user has written in place of hawse's file is not removed. Errors are ignored, because the namespace
    must leave its networks in any case. For example, if the user has made hawse's file immutable (chattr +i), the
    user's earlier file stays in `KEPT`.
    """
    target, directory = path(host, record), _of_name(record.sandbox_path)
    if recording.is_dry_run():
        return
    with suppress(OSError):
        target.with_name(NEW).unlink()
    with suppress(OSError):
        if _is_ours(target):
            target.unlink()
    if directory is None:
        return
    with suppress(OSError):
        _put_back(KEPT / directory.name, target)
    for each in (directory, KEPT):
        with suppress(OSError):  # the directory is missing, or has other files
            each.rmdir()


def _put_back(kept: Path, target: Path) -> None:
    """Move the user's resolv.conf from ``kept`` back to ``target``, where hawse's file was.

    If the user has written a newer file at ``target``, ``kept`` is deleted instead. No effect if ``kept`` is missing,
    or if ``target`` is still hawse's file.
    """
    if not os.path.lexists(kept) or _is_ours(target):
        return
    if os.path.lexists(target):
        kept.unlink()
    else:
        target.parent.mkdir(0o755, exist_ok=True)
        kept.rename(target)


def _of_name(sandbox_path: str) -> Path | None:
    """Return /etc/netns/NAME for the path of a namespace of `ip netns`, or None for any other path."""
    directory, name = os.path.split(sandbox_path)
    return ETC / name if directory == str(NETNS_DIRECTORY) and name not in ("", KEPT.name) else None


def _fill(file: Path, data: bytes) -> None:
    """Write ``data`` to a file without replacing the file, because other mount namespaces may have it bind-mounted.

    ``data`` begins with `MARK`, which identifies hawse's files. If the write fails halfway, the file begins with `MARK`
    too, and can be removed later.
    """
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(fd, "wb") as opened:
        opened.write(data)
        opened.truncate()
        os.fchmod(fd, 0o644)


def _keep(target: Path, kept: Path) -> None:
    """Move the user's resolv.conf from ``target`` to ``kept``, where it replaces an older file.

    hawse then writes its own file at ``target``. No effect if ``target`` is missing or is hawse's file.
    """
    if os.path.lexists(target) and not _is_ours(target):
        make_private_directory(kept.parent)
        target.replace(kept)


def _is_ours(target: Path) -> bool:
    return not target.is_symlink() and (_text(target) or "").startswith(MARK)


def _text(file: Path) -> str | None:
    """Return the contents of a file, or None if it is missing, is no regular file or exceeds `FILE_LIMIT_BYTES`."""
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_size > FILE_LIMIT_BYTES:
        os.close(fd)
        return None
    with open(fd, encoding="utf-8", errors="replace") as opened:
        return opened.read()
