"""Unpacks layers into a directory, safely whatever they contain.

The work is done by a child process whose root is that directory, so the kernel resolves every path inside it: neither
``..`` nor an absolute name, a symbolic link or a hard link reaches anything outside. Whiteouts follow the OCI image
specification (``.wh.NAME``, ``.wh..wh..opq``). What is unpacked is counted, and more than the limit is refused.
"""

from __future__ import annotations

import bz2  # noqa: F401 (tarfile imports these on demand, which it cannot once the root has changed)
import gzip  # noqa: F401
import lzma  # noqa: F401
import os
import shutil
import stat
import tarfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import IO, NoReturn

from engine.errors import EngineError, InvalidArgument

_WHITEOUT, _OPAQUE, _RESERVED = ".wh.", ".wh..wh..opq", ".wh..wh."
_XATTR = "SCHILY.xattr."
_CHUNK = 1 << 20
_MOST_ENTRIES = 5_000_000


def unpack(layers: Iterable[Callable[[], IO[bytes]]], root: str, limit: int) -> int:
    """Unpack ``layers`` (openers of tar files, lowest first) into ``root``; bytes unpacked, at most ``limit``.

    Needs root. Raises `InvalidArgument` for archives that are broken, malicious or too large.
    """
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        _unpack_inside(layers, root, limit, write_end)
    os.close(write_end)
    with open(read_end, encoding="utf-8", errors="replace") as file:
        answer = file.read()
    os.waitpid(child, 0)
    word, _, rest = answer.partition(" ")
    if word == "size":
        return int(rest)
    raise (InvalidArgument(rest) if word == "invalid" else EngineError(rest or "unpacking the image was interrupted"))


def _unpack_inside(layers: Iterable[Callable[[], IO[bytes]]], root: str, limit: int, report: int) -> NoReturn:
    """Be the child: unpack within ``root`` as the whole world."""
    try:
        os.umask(0)
        os.chroot(root)
        os.chdir("/")
        unpacker = _Unpacker(limit)
        for layer in layers:
            unpacker.apply(layer())
        answer = f"size {unpacker.size}"
    except (InvalidArgument, tarfile.TarError, EOFError) as error:
        answer = f"invalid {error}"
    except BaseException as error:
        answer = f"failed {error}"
    os.write(report, answer.encode("utf-8", "replace"))
    os._exit(0)


class _Unpacker:
    """The state that layers share: how much has been unpacked."""

    def __init__(self, limit: int) -> None:
        self.size, self._entries, self._limit = 0, 0, limit
        self._own: set[str] = set()

    def apply(self, layer: IO[bytes]) -> None:
        self._own = set()
        with tarfile.open(fileobj=layer, mode="r|*" if not layer.seekable() else "r:*") as archive:
            for member in archive:
                self._entries += 1
                if self._entries > _MOST_ENTRIES:
                    raise InvalidArgument("the image has too many files")
                self._place(archive, member)

    def _place(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        path = _inside(member.name)
        directory, base = os.path.split(path)
        if base.startswith(_WHITEOUT):
            self._white_out(directory, base)
            return
        if path != "/":
            os.makedirs(directory, mode=0o755, exist_ok=True)
            if not (member.isdir() and _is_directory(path)):
                _remove(path)
        self._own.add(path)
        self._make(archive, member, path)
        if not member.islnk():
            _set_attributes(member, path)

    def _white_out(self, directory: str, base: str) -> None:
        if base == _OPAQUE:
            with suppress(FileNotFoundError):
                for name in os.listdir(directory):
                    path = os.path.join(directory, name)
                    if not any(own == path or own.startswith(path + "/") for own in self._own):
                        _remove(path)
        elif not base.startswith(_RESERVED):
            name = base.removeprefix(_WHITEOUT)
            if name not in ("", ".", ".."):
                _remove(os.path.join(directory, name))

    def _make(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        if member.isdir():
            with suppress(FileExistsError):
                os.mkdir(path)
        elif member.isreg():
            self._write(archive.extractfile(member), path)
        elif member.islnk():
            os.link(_inside(member.linkname), path, follow_symlinks=False)
        elif member.issym():
            os.symlink(member.linkname, path)
            self.size += os.lstat(path).st_size
        elif member.ischr() or member.isblk() or member.isfifo():
            kind = stat.S_IFCHR if member.ischr() else stat.S_IFBLK if member.isblk() else stat.S_IFIFO
            os.mknod(path, kind | 0o600, os.makedev(member.devmajor, member.devminor))
        else:
            raise InvalidArgument(f"unhandled tar entry type {member.type!r}: {member.name}")

    def _write(self, source: IO[bytes] | None, path: str) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(fd, "wb") as target:
            while source is not None and (data := source.read(_CHUNK)):
                self.size += len(data)
                if self.size > self._limit:
                    raise InvalidArgument(f"the image is larger than {self._limit} bytes")
                target.write(data)


def _inside(name: str) -> str:
    """The absolute path of an entry; names that climb are refused, though the root would hold them anyway."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in name:
        raise InvalidArgument(f"invalid tar entry: {name!r} leads out of the archive")
    return "/" + "/".join(parts)


def _is_directory(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _remove(path: str) -> None:
    if _is_directory(path):
        shutil.rmtree(path)
    else:
        with suppress(FileNotFoundError):
            os.unlink(path)


def _set_attributes(member: tarfile.TarInfo, path: str) -> None:
    os.chown(path, member.uid, member.gid, follow_symlinks=False)
    if not member.issym():
        os.chmod(path, member.mode & 0o7777)
    for name, value in member.pax_headers.items():
        if name.startswith(_XATTR):
            with suppress(OSError):  # the file system may have none
                data = value.encode("utf-8", "surrogateescape")
                os.setxattr(path, name.removeprefix(_XATTR), data, follow_symlinks=False)
    with suppress(OverflowError):
        os.utime(path, (member.mtime, member.mtime), follow_symlinks=False)
