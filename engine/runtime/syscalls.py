"""The few Linux system calls that Python lacks: namespaces, mounts, capabilities, exit codes by pidfd.

This module uses the kernel's constants, structures and errno values; it contains nothing about containers. It has few
imports, because the supervisor uses it and must use little memory.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import resource
import signal
import struct

from drivers.linux import namespaces
from drivers.linux.namespaces import check

# These names are also here, because `cli` and `api` need them and must not import `drivers`.
setns, unshare = namespaces.setns, namespaces.unshare
CLONE_NEWNS, CLONE_NEWCGROUP = namespaces.CLONE_NEWNS, namespaces.CLONE_NEWCGROUP
CLONE_NEWUTS, CLONE_NEWIPC = namespaces.CLONE_NEWUTS, namespaces.CLONE_NEWIPC
CLONE_NEWPID, CLONE_NEWNET = namespaces.CLONE_NEWPID, namespaces.CLONE_NEWNET

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 0x20, 0x1000, 0x4000, 1 << 18
MNT_DETACH = 2

MOUNT_ATTR_RDONLY, MOUNT_ATTR_NODEV = 1, 4

RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_IN_ROOT = 2, 4, 0x10

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NAME, PR_CAPBSET_DROP = 1, 4, 15, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 36, 38

_OPENAT2, _MOUNT_SETATTR = 437, 442
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_CAPABILITY_VERSION_3 = 0x20080522
_RACES = 128  # maximum attempts to resolve a path; an attempt fails if another process renames files
_TIOCSPTLCK, _TIOCGPTPEER = 0x40045431, 0x5441
# The ioctl number contains the structure's size: 64 bytes, as pidfd_info has in Linux 6.15.
_PIDFD_GET_INFO, _PIDFD_INFO_SIZE, _PIDFD_INFO_EXIT = 0xC040FF0B, 64, 1 << 3

_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """Mount a file system or change a mount with the system call mount(2).

    ``flags`` are the flags ``MS_…``. ``data`` has the options of the file system, separated by commas.
    """
    check(
        _libc.mount(
            os.fsencode(source),
            os.fsencode(target),
            fstype.encode() or None,
            ctypes.c_ulong(flags),
            data.encode() or None,
        ),
        target,
    )


def bind(source: str, target: str) -> None:
    """Bind-mount ``source`` at ``target``. A directory is mounted with all mounts below it; a file is possible too."""
    mount(source, target, flags=MS_BIND | MS_REC)


def restrict(target: str, attributes: int, *, tree: bool = True) -> None:
    """Add ``attributes`` (flags ``MOUNT_ATTR_…``) to the topmost mount at ``target``; its other flags are kept.

    With ``tree``, the flags are also added to all mounts below that mount.
    """
    request = struct.pack("=QQQQ", attributes, 0, 0, 0)
    flags = _AT_RECURSIVE if tree else 0
    check(_libc.syscall(_MOUNT_SETATTR, _AT_FDCWD, os.fsencode(target), flags, request, len(request)), target)


def make_read_only(target: str) -> None:
    """Make the tree of mounts at ``target`` read-only. Before Linux 5.12, only its topmost mount becomes read-only."""
    try:
        restrict(target, MOUNT_ATTR_RDONLY)
    except OSError:
        remount_read_only(target)


def remount_read_only(target: str) -> None:
    """Make one mount read-only, and keep its other flags."""
    kept = os.statvfs(target).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount("", target, flags=MS_REMOUNT | MS_BIND | MS_RDONLY | kept)


def unmount(target: str) -> None:
    """Detach a tree of mounts immediately, even if a process uses it."""
    check(_libc.umount2(os.fsencode(target), MNT_DETACH), target)


def set_domain_name(name: str) -> None:
    """Set the NIS domain name of this UTS namespace."""
    check(_libc.setdomainname(name.encode(), len(name.encode())), "setdomainname")


def set_process_name(name: str) -> None:
    """Set the process name that ``ps -o comm`` shows, at most 15 bytes."""
    _libc.prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def open_in_root(root: int, path: str, flags: int, *, links: bool = True) -> int:
    """Open ``path`` inside a root directory and return the file descriptor; ``flags`` are those of open(2).

    ``root`` is a file descriptor of the root directory. Absolute paths and symbolic links cannot leave this directory.
    If ``links`` is False, opening fails for a path that has a symbolic link.
    """
    resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | (0 if links else RESOLVE_NO_SYMLINKS)
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, 0, resolve)
    for _ in range(_RACES):
        fd: int = _libc.syscall(_OPENAT2, root, os.fsencode(path) or b".", how, len(how))
        if fd >= 0 or ctypes.get_errno() not in (errno.EAGAIN, errno.EINTR):
            break
    check(fd, path)
    return fd


def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent ends; the setting also holds after execve.

    ``parent`` is the pid of the process that has forked this one. If that process has already ended, this process ends
    at once.
    """
    check(_libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of all descendants whose own parent ends; the setting also holds after execve."""
    check(_libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl(PR_SET_CHILD_SUBREAPER)")


def hide_process() -> None:
    """Hide the memory, file descriptors and links of this process in /proc from processes without CAP_SYS_PTRACE.

    The hiding ends when this process executes another program.
    """
    check(_libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "prctl(PR_SET_DUMPABLE)")


def refuse_new_privileges() -> None:
    """Prevent executed files from granting privileges to this process. This cannot be undone."""
    check(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")


def drop_from_bounding_set(capability: int) -> None:
    """Remove a capability from the bounding set; ``capability`` is its number, such as 0 for CAP_CHOWN.

    This process and all programs that it executes can never gain the capability again.
    """
    check(_libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0), "prctl(PR_CAPBSET_DROP)")


def set_capabilities(mask: int) -> None:
    """Set the effective and permitted capabilities to the bit mask ``mask``, and clear the inheritable ones."""
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    check(_libc.capset(header, struct.pack("=6I", low, low, 0, high, high, 0)), "capset")


def permitted_capabilities() -> int:
    """Return the permitted capabilities of this process as a bit mask."""
    header, data = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), ctypes.create_string_buffer(24)
    check(_libc.capget(header, data), "capget")
    words = struct.unpack("=6I", data.raw)
    return int(words[1] | words[4] << 32)


def open_terminal() -> tuple[int, int]:
    """Open a pseudo-terminal in the /dev/pts of this mount namespace; return the file descriptors (master, slave).

    The terminal does not become the controlling terminal of this process.
    """
    master = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
    return master, fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def pidfd_exit_status(pidfd: int) -> int | None:
    """Return the wait status of an ended process, or None if the kernel does not report the status (yet).

    ``pidfd`` refers to the process, which need not be a child of this process.
    """
    buffer = bytearray(struct.pack("=Q", _PIDFD_INFO_EXIT).ljust(_PIDFD_INFO_SIZE, b"\0"))
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, buffer)
    except OSError:
        return None
    (mask,) = struct.unpack_from("=Q", buffer)
    (status,) = struct.unpack_from("=i", buffer, _PIDFD_INFO_SIZE - 4)
    return int(status) if mask & _PIDFD_INFO_EXIT else None


_original_limits: list[tuple[int, int]] = []


def raise_limit() -> None:
    """Raise this process's soft limit of open files (RLIMIT_NOFILE) to the hard limit."""
    _original_limits[:] = [resource.getrlimit(resource.RLIMIT_NOFILE)]
    _, most = _original_limits[0]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def restore_limit() -> None:
    """Restore the soft limit of open files that `raise_limit` changed. A child process calls this function."""
    for limits in _original_limits:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
