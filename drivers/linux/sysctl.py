"""Kernel parameters (sysctls) below /proc/sys/net, in the calling thread's network namespace.

Paths are relative to /proc/sys. Paths use slashes and not dots, because interface names may contain dots.

Each instance of procfs has one list for each sysctl name. A look-up adds the file that it finds to this list. The files
of all network namespaces are in the same list, and each look-up searches it. Therefore a look-up in a shared instance
takes 1 to 5 ms with 1,000 namespaces. A new instance has empty lists. Therefore each thread mounts an instance of its
own, which no other process sees. The thread mounts a new one after `RENEWAL` look-ups, before the lists become long.

The thread uses this instance only for the sysctls of interfaces (`OF_INTERFACES`). All other sysctls are rarely used,
and an administrator may have mounted a file over one of them. Therefore the thread uses /proc/sys for these sysctls.
"""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress
from pathlib import Path

from drivers.errors import BadOption, KernelError
from drivers.linux import namespaces, recording
from drivers.linux.errors import refusal

ROOT = Path("/proc/sys")
LONGEST = 1 << 16  # maximum length of a sysctl's value in bytes
OF_INTERFACES = tuple(f"net/{family}/{kind}/" for family in ("ipv4", "ipv6") for kind in ("conf", "neigh"))
SWAPPED = str.maketrans("./", "/.")
RENEWAL = 256
"""Number of look-ups after which a thread mounts a new instance of procfs. A mount takes 0.2 ms."""


class _Procfs:
    """An instance of procfs. ``root`` is the file descriptor of its root directory, or None if /proc/sys must be used.

    /proc/sys must be used in these cases:

    - The process has no permission to mount procfs.
    - The administrator has restricted /proc/sys or /proc/sys/net: something is mounted there, or it is read-only.

    ``space`` is the number of times that this process had changed its mount namespace before the mount.
    """

    def __init__(self) -> None:
        self.pid, self.left, self.space = os.getpid(), RENEWAL, namespaces.mount_changes()
        self.root: int | None = None
        with suppress(OSError):
            if not any(map(_is_restricted, (ROOT, ROOT / "net"))):
                self.root = namespaces.open_file_system("proc", {})

    def __del__(self) -> None:
        """Unmount the instance by closing ``root``; do nothing in a forked child.

        In a forked child, ``root`` may be the file descriptor of another file.
        """
        if self.root is not None and self.pid == os.getpid():
            os.close(self.root)


def _is_restricted(directory: Path) -> bool:
    is_proc = directory.stat().st_dev == Path("/proc").stat().st_dev
    return not is_proc or bool(os.statvfs(directory).f_flag & os.ST_RDONLY)


class _OfThread(threading.local):
    procfs: _Procfs | None = None


_of_thread = _OfThread()


def _location(path: str) -> tuple[str, int | None]:
    """Return the path of a sysctl's file, and the file descriptor of the directory to which the path is relative.

    The file descriptor is for the parameter ``dir_fd`` of os.open(). It is None for an absolute path.
    """
    if not path.startswith(OF_INTERFACES):
        return f"{ROOT}/{path}", None
    known = _of_thread.procfs
    is_usable = known is not None and (known.pid, known.space) == (os.getpid(), namespaces.mount_changes())
    if known is None or not is_usable or not known.left:
        known = _of_thread.procfs = _Procfs()
    known.left -= 1
    return (f"{ROOT}/{path}", None) if known.root is None else (f"sys/{path}", known.root)


def conf(family: str, interface: str, key: str) -> str:
    """Return the path of a sysctl that each interface has; ``family`` is ipv4 or ipv6.

    Example: "ipv4", "eth0" and "forwarding" give "net/ipv4/conf/eth0/forwarding".
    """
    return f"net/{family}/conf/{interface}/{key}"


def read(path: str) -> str | None:
    """Return a sysctl's value, or None if this kernel or network namespace does not have the sysctl."""
    try:
        return _read(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refusal("read sysctl", path, error.errno or errno.EIO) from error


def exists(path: str) -> bool:
    """Return whether a sysctl, or a directory of sysctls, exists at ``path``."""
    file, directory = _location(path)
    try:
        os.stat(file, dir_fd=directory)
    except OSError:
        return False
    return True


def write(path: str, value: str) -> None:
    """Set a sysctl; raises `KernelError` or `NoPermission` if the kernel refuses it.

    If the sysctl already has the value, nothing is written, because the sysctl may be read-only.
    """
    try:
        if _read(path) == value:
            return
        if recording.recorder is None:
            _write(path, value)
        else:
            recording.recorder.sysctl(path, value, lambda: _write(path, value))
    except OSError as error:
        raise refusal("write sysctl", path, error.errno or errno.EIO) from error


def write_if_present(path: str, value: str) -> None:
    """Set a sysctl; do nothing if the sysctl does not exist.

    For example, the sysctls of a missing interface do not exist, and a kernel without IPv6 has no IPv6 sysctls.
    """
    try:
        write(path, value)
    except KernelError as error:
        if error.errno != errno.ENOENT:
            raise


def _read(path: str) -> str:
    """Return a sysctl's value, or the value that a dry run has given the sysctl.

    Because commands read dozens of sysctls, the function uses one read call, which is faster than a file object.
    """
    if recording.recorder is not None:
        known = recording.recorder.sysctl_value(path)
        if known is not None:
            return known
    file, directory = _location(path)
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return os.read(fd, LONGEST).decode().strip()
    finally:
        os.close(fd)


def _write(path: str, value: str) -> None:
    file, directory = _location(path)
    fd = os.open(file, os.O_WRONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def name_of(path: str) -> str:
    """Return the name that sysctl(8) has for a path below /proc/sys.

    Example: "net/ipv4/conf/eth0.10/forwarding" gives "net.ipv4.conf.eth0/10.forwarding".
    """
    return path.translate(SWAPPED)


def user_path(key: str) -> str:
    """Return the path of a sysctl whose name the user wrote with dots or slashes.

    Example: ``net.ipv4.conf.eth0.forwarding`` gives ``net/ipv4/conf/eth0/forwarding``. Raises `BadOption` for a sysctl
    outside net, and for an empty part of the name.
    """
    first = next((c for c in key if c in "./"), ".")
    path = key if first == "/" else key.translate(SWAPPED)
    parts = path.split("/")
    if parts[0] != "net" or len(parts) < 2 or any(p in ("", ".", "..") for p in parts):
        raise BadOption(f"sysctl '{key}' is not allowed")
    return path
