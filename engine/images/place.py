"""Create the members of layers as files below the root directory of this process, and count the members."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress

from engine.errors import InvalidArgument, reason_of, shown
from engine.images.limits import Limits
from engine.images.tar import (
    BLOCK,
    CHARACTER,
    DIRECTORY,
    FIFO,
    HARD_LINK,
    REGULAR,
    SYMBOLIC_LINK,
    TarMember,
    TarReader,
)
from engine.images.trees import remove_tree

_WHITEOUT, _OPAQUE, _RESERVED = b".wh.", b".wh..wh..opq", b".wh..wh."
_LARGEST_ID = 2**32 - 2  # largest user or group id; for chown(2), 2**32 - 1 means "do not change"
_LARGEST_TIME = 2**63 - 1  # largest time of a file, in nanoseconds since 1970
_WALK = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_KINDS = {CHARACTER: stat.S_IFCHR, BLOCK: stat.S_IFBLK, FIFO: stat.S_IFIFO}
_VERBS = {REGULAR: "open", DIRECTORY: "mkdir", SYMBOLIC_LINK: "symlink", HARD_LINK: "link"}
_UNSUPPORTED = (errno.ENOTSUP, errno.EPERM)  # errors of setxattr(2) for an attribute that the file cannot have


class Placer:
    """Creates the members of layers as files, one layer after another.

    ``size`` is the number of bytes in all files. ``members`` counts the members, the missing parent directories and the
    layers; `Limits.members` is its maximum.
    """

    def __init__(self, limits: Limits) -> None:
        self.size = self.members = 0
        self._limits = limits
        self._reader: TarReader | None = None
        self._before = self._made = 0
        self._named: set[int] = set()
        self._own: set[int] = set()
        self._parent = b""
        self._times: tuple[bytes, tuple[int, int]] | None = None

    def begin_layer(self, reader: TarReader) -> None:
        """Start a layer, whose members the caller reads from ``reader``.

        The layer's paths are remembered for two reasons. Duplicate paths are refused, and the layer's whiteouts must
        not remove the layer's own files. Only a hash of each path is stored. Whole paths could fill the memory, because
        a malicious archive may have many long names.
        """
        self._reader, self._before, self._made = reader, self.members, 0
        self._named, self._own, self._parent = set(), {hash(b"/")}, b""

    def end_layer(self) -> None:
        """End the current layer and count it as a member, to limit the number of empty layers."""
        self._restore_times()
        self.members += 1
        self._count()

    def place(self, member: TarMember) -> None:
        """Create one member of a layer as a file, or apply a whiteout by removing files of lower layers.

        Raises OSError if a system call fails. Raises `InvalidArgument` if the member is invalid or a limit is exceeded.
        """
        self._count()
        path = inside(member.name)
        if hash(path) in self._named:
            raise InvalidArgument("duplicates of file paths not supported")
        self._named.add(hash(path))
        directory, base = os.path.split(path)
        if base == _OPAQUE:
            self._hide_lower(directory)
        elif b"/" + _RESERVED in path:
            return  # this member is metadata of the file system aufs, not a file of the image
        elif base.startswith(_WHITEOUT):
            self._white_out(os.path.join(directory, base.removeprefix(_WHITEOUT)))
        elif path != b"/":
            self._make_parents(directory)
            self._own_up(path)
            self._make(member, path)
        elif member.type == DIRECTORY:
            self._restore_times()
            _set_attributes(member, path)
        else:
            raise InvalidArgument("the root of the archive is not a directory")

    def describe(self, member: TarMember) -> str:
        """Return the operation that creates a member, as Go's error messages show it (such as "mkdir /etc")."""
        path = shown(_absolute(member.name))
        if member.type == HARD_LINK:
            return f"link {shown(_absolute(member.linkname))} {path}"
        if member.type == SYMBOLIC_LINK:
            return f"symlink {shown(member.linkname)} {path}"
        return f"{_VERBS.get(member.type, 'mknod')} {path}"

    def _count(self) -> None:
        headers = self._reader.headers if self._reader else 0
        self.members = max(self.members, self._before + headers + self._made)
        if self.members > self._limits.members:
            raise InvalidArgument(f"the image has more than {self._limits.members} files")

    def _grow(self, size: int) -> None:
        self.size += size
        if self.size > self._limits.size:
            raise InvalidArgument(self._limits.too_large("image"))

    def _make_parents(self, directory: bytes) -> None:
        """Create ``directory``, and the directories above it, if they are missing; ``directory`` is a member's parent.

        Each new directory counts toward `Limits.members`, the maximum number of members. Also saves the times of each
        existing directory that gets a new entry (`_keep_times`), because a new entry changes these times.
        """
        if directory == self._parent:
            return
        if not os.path.isdir(directory):
            self._walk(directory)
        self._keep_times(directory)
        self._parent = directory

    def _keep_times(self, directory: bytes) -> None:
        """Save the times of a directory, because the following members change its content.

        First restores the times of the previously saved directory (`_restore_times`). As in Docker, the times of a
        directory are lost if it is no member of the current layer. Only one directory's times are saved, because the
        times of all directories of a malicious archive would fill the memory.
        """
        self._restore_times()
        if hash(directory) in self._named:
            status = os.stat(directory)
            self._times = directory, (status.st_atime_ns, status.st_mtime_ns)

    def _restore_times(self) -> None:
        """Give a directory the times that `_keep_times` has saved, if the directory still exists."""
        if self._times is not None:
            with suppress(FileNotFoundError, NotADirectoryError):
                os.utime(self._times[0], ns=self._times[1])
            self._times = None

    def _walk(self, directory: bytes) -> None:
        """Create the missing directories of the path ``directory``; each new directory counts as a member.

        Each directory is opened relative to the directory above it, because the whole path may exceed the kernel's
        limit.
        """
        fd, names, created = os.open(b"/", _WALK), directory[1:].split(b"/"), False
        try:
            for depth, name in enumerate(names):
                try:
                    inner = os.open(name, _WALK, dir_fd=fd)
                except FileNotFoundError:
                    if not created:
                        self._keep_times(b"/" + b"/".join(names[:depth]))
                    created = True
                    self._made += 1
                    self._count()
                    _make_directory(name, fd)
                    inner = os.open(name, _WALK, dir_fd=fd)
                os.close(fd)
                fd = inner
        finally:
            os.close(fd)

    def _own_up(self, path: bytes) -> None:
        """Record that the current layer contains ``path`` and all its parent directories.

        Later whiteouts of the same layer then keep these files.
        """
        while hash(path) not in self._own:
            self._own.add(hash(path))
            path = os.path.dirname(path)

    def _white_out(self, path: bytes) -> None:
        """Remove ``path`` if a lower layer created it. If the current layer created ``path``, keep it."""
        if os.path.basename(path) not in (b"", b".", b"..") and hash(path) not in self._own:
            with suppress(FileNotFoundError, NotADirectoryError):
                self._keep_times(os.path.dirname(path))
                remove_tree(path)
            self._parent = b""

    def _hide_lower(self, directory: bytes) -> None:
        """Remove the content of ``directory`` that lower layers created, but keep the content of the current layer.

        A layer requests this by an opaque whiteout in the directory. Many nested directories may each have an opaque
        whiteout. Each of them makes this method examine the same inner files again. To limit this work, each kept file
        counts as one more member.
        """
        waiting = [directory]
        while waiting:
            directory = waiting.pop()
            with suppress(FileNotFoundError, NotADirectoryError):
                self._keep_times(directory)
                for name in os.listdir(directory):
                    path = os.path.join(directory, name)
                    if hash(path) not in self._own:
                        remove_tree(path)
                        continue
                    self._made += 1
                    self._count()
                    if _is_directory(path):
                        waiting.append(path)
        self._parent = b""

    def _make(self, member: TarMember, path: bytes) -> None:
        """Create the file of a member at ``path``, replacing an existing file.

        If the member is a directory, an existing directory is kept.
        """
        try:
            self._create(member, path)
        except FileExistsError:
            if member.type != DIRECTORY or not _is_directory(path):
                remove_tree(path)
                self._parent = b""
                self._create(member, path)
        if member.type not in (HARD_LINK, REGULAR):
            _set_attributes(member, path)

    def _create(self, member: TarMember, path: bytes) -> None:
        if member.type == REGULAR:
            self._write(member, path)
        elif member.type == DIRECTORY:
            os.mkdir(path)
        elif member.type == HARD_LINK:
            os.link(inside(member.linkname), path, follow_symlinks=False)
        elif member.type == SYMBOLIC_LINK:
            _check_link(member)
            self._grow(len(member.linkname))
            os.symlink(member.linkname, path)
        else:
            if not all(0 <= number < 2**32 for number in member.device):
                raise InvalidArgument(f"{shown(path)}: invalid device number")
            os.mknod(path, _KINDS[member.type] | 0o600, os.makedev(*member.device))

    def _write(self, member: TarMember, path: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(path, flags, 0o600)
        try:
            self._grow(member.size)
            for offset, data in self._pieces(member):
                done = 0
                while done < len(data):
                    done += os.pwrite(fd, data[done:], offset + done)
            if member.sparse is not None:
                os.ftruncate(fd, member.size)
            _set_attributes(member, path, fd)
        finally:
            os.close(fd)

    def _pieces(self, member: TarMember) -> Iterator[tuple[int, bytes]]:
        """Yield the content of a member in pieces, each as (offset in the file, data)."""
        assert self._reader is not None
        chunks = self._reader.chunks()
        if member.sparse is None:
            offset = 0
            for data in chunks:
                yield offset, data
                offset += len(data)
            return
        data = b""
        for offset, length in member.sparse:
            while length:
                data = data or next(chunks)
                piece, data = data[:length], data[length:]
                yield offset, piece
                offset, length = offset + len(piece), length - len(piece)


def inside(name: bytes) -> bytes:
    """Turn the name of an archive's member into an absolute path; raises `InvalidArgument` for a name with ``..``.

    Safety does not depend on this check. This process runs in a chroot, which no path can leave.
    """
    if b"\0" in name:
        raise InvalidArgument(f"invalid tar entry: {shown(name)} has a NUL")
    path = _absolute(name)
    if b"/../" in path + b"/":
        raise InvalidArgument(f"invalid tar entry: {shown(name)} leads out of the archive")
    return path


def _make_directory(name: bytes, parent: int) -> None:
    """Create the directory ``name`` in ``parent`` (a file descriptor); raises NotADirectoryError if ``name`` exists.

    If ``name`` exists, it is a dangling symbolic link, because an attempt to open it has raised FileNotFoundError.
    """
    try:
        os.mkdir(name, 0o755, dir_fd=parent)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from error


def _absolute(name: bytes) -> bytes:
    if b"//" not in name and b"/." not in name and not name.startswith((b".", b"/")):
        return b"/" + name.rstrip(b"/")
    return b"/" + b"/".join(part for part in name.split(b"/") if part not in (b"", b"."))


def _check_link(member: TarMember) -> None:
    if b"\0" in member.linkname:
        raise InvalidArgument(f"invalid tar entry: the target of {shown(member.name)} has a NUL")


def _is_directory(path: bytes) -> bool:
    return stat.S_ISDIR(os.lstat(path).st_mode)


def _set_attributes(member: TarMember, path: bytes, fd: int | None = None) -> None:
    """Set the owner, extended attributes, mode and time of the file ``path`` to those of ``member``.

    If the file descriptor ``fd`` is given, the file is accessed through ``fd`` instead of ``path``. Raises OSError, and
    `InvalidArgument` for an id or an attribute that cannot be set.
    """
    if not (0 <= member.uid <= _LARGEST_ID and 0 <= member.gid <= _LARGEST_ID):
        raise InvalidArgument(f"{shown(path)}: invalid user or group id")
    target, follow = (path, False) if fd is None else (fd, True)
    os.chown(target, member.uid, member.gid, follow_symlinks=follow)
    for name, value in member.xattrs.items():
        if _is_kept(name):
            try:
                os.setxattr(target, name, value, follow_symlinks=follow)
            except OSError as error:
                if error.errno not in _UNSUPPORTED:
                    raise InvalidArgument(f"lsetxattr {shown(name)} {shown(path)}: {reason_of(error)}") from error
    if member.type != SYMBOLIC_LINK:
        os.chmod(target, member.mode & 0o7777)
    moment = member.mtime if 0 <= member.mtime <= _LARGEST_TIME else 0  # other times become 0, as in Docker
    os.utime(target, ns=(moment, moment), follow_symlinks=follow)


def _is_kept(xattr: bytes) -> bool:
    """Return whether hawse copies this extended attribute of an archive member to the member's file.

    These attributes are copied:

    - ``user.*``, except ``user.overlay.*``, which the kernel's overlayfs uses internally
    - file capabilities (``security.capability``)
    - POSIX ACLs (``system.posix_acl_access`` and ``system.posix_acl_default``)

    All other attributes are ignored. Overlayfs uses ``trusted.*`` internally. The other attributes in ``security.*``
    belong to the host's security modules.
    """
    if xattr.startswith(b"user."):
        return not xattr.startswith(b"user.overlay.")
    return xattr in (b"security.capability", b"system.posix_acl_access", b"system.posix_acl_default")
