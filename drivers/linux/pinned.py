"""Network namespaces that nobody lives in, each kept by a bind mount on a file (as ``ip netns`` does, elsewhere).

A command may run in a mount namespace of its own (``ip netns exec``, service managers) whose mounts end with it. So
the mount is made in the mount namespace of process 1, if the file's directory is the same one there, and the namespace
is opened through ``/proc/1/root``.
"""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from drivers.api import KernelError, Unsupported
from drivers.linux.netlink import refusal

INIT_ROOT = "/proc/1/root"
TIMEOUT = 30  # seconds


def opening_path(file: Path) -> str:
    """The path by which this process opens the namespace kept at ``file``."""
    return f"{INIT_ROOT}{file}" if _init_shares(file.parent) else str(file)


def exists(file: Path) -> bool:
    """Tell whether a namespace is kept at ``file``; a file without its mount, as a crash leaves it, is none."""
    try:
        return os.stat(opening_path(file)).st_dev == os.stat("/proc/self/ns/net").st_dev
    except FileNotFoundError:
        return False


def make(file: Path) -> None:
    """Make an empty namespace and keep it at ``file``; idempotent."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not exists(file):
        file.touch(mode=0o600)
        _run("unshare", f"--net={file}", "true", where=file)
    if not exists(file):
        raise KernelError("keep network namespace", str(file), errno.EINVAL)


def remove(file: Path) -> None:
    """Let go of the namespace kept at ``file``; idempotent. It ends when nothing else holds it."""
    if exists(file):
        _run("umount", "--lazy", str(file), where=file)
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise refusal("remove", str(file), error.errno or errno.EIO) from error
        # This mount namespace was copied while the mount was there, and has one of its own.
        _run("umount", "--lazy", str(file), where=None)
        file.unlink(missing_ok=True)
    with suppress(OSError):
        file.parent.rmdir()


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Let one process at a time into the block, by a lock on a directory (made on demand)."""
    while True:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if _is(fd, directory):
                yield
                return
        finally:
            os.close(fd)


def _is(fd: int, directory: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(directory))
    except FileNotFoundError:
        return False  # the last user removed it while this one waited


def _init_shares(directory: Path) -> bool:
    try:
        return os.path.samestat(os.stat(f"{INIT_ROOT}{directory}"), os.stat(directory))
    except OSError:
        return False


def _run(*command: str, where: Path | None) -> None:
    """Run a program of util-linux, in the mount namespace of process 1 if ``where`` calls for it."""
    prefix = ("nsenter", "--target=1", "--mount", "--") if where and _init_shares(where.parent) else ()
    try:
        done = subprocess.run(
            [*prefix, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except FileNotFoundError as error:
        raise Unsupported(f"{error.filename} is missing: install util-linux") from error
    if done.returncode:
        raise Unsupported(f"{' '.join(command)}: {done.stderr.strip()}")
