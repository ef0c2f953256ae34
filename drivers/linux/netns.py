"""Network namespaces: open a namespace by path, and run code inside it.

Entering a namespace moves only the calling thread. The other threads of the process stay in their namespaces. If the
thread cannot return to its own namespace, the process ends (`return_home`).
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from os.path import sameopenfile
from typing import TypeVar

from drivers.errors import Missing
from drivers.linux import recording
from drivers.linux.errors import refusal
from drivers.linux.namespaces import CLONE_NEWNET, open_namespace, return_home, setns, unshare

NS_GET_USERNS, NS_GET_NSTYPE = 0xB701, 0xB703
T = TypeVar("T")


@contextmanager
def netns_fd(path: str, inode: int = 0) -> Iterator[int]:
    """Open the namespace at ``path`` for a ``with`` block, which gets the file descriptor.

    Raises `Missing` in these cases:

    - No namespace is at ``path``.
    - ``inode`` is not 0, and the namespace at ``path`` has another inode number.

    The inode number of /proc/PID/ns/net changes if the process moves to another namespace, or if the PID is reused. The
    inode number of a file such as /run/netns/NAME changes if the file is replaced.
    """
    try:
        fd = open_namespace(path)
    except FileNotFoundError as error:
        raise Missing(f"network namespace {path} is gone") from error
    except OSError as error:
        raise refusal("open network namespace", path, error.errno or errno.EIO) from error
    try:
        if inode and os.fstat(fd).st_ino != inode:
            raise Missing(f"network namespace {path} is gone: another one is there now")
        if recording.recorder is not None:
            recording.recorder.opened(path, os.fstat(fd).st_ino)
        yield fd
    finally:
        os.close(fd)


def is_of_other_user_namespace() -> bool:
    """Return whether the calling thread's network namespace belongs to a descendant of this process's user namespace.

    The owner of such a user namespace has all rights in the network namespace, but perhaps no right on the host.
    Returns False if the network namespace belongs to this process's user namespace or to an ancestor.
    """
    with netns_fd("/proc/thread-self/ns/net") as here:
        try:
            owner = fcntl.ioctl(here, NS_GET_USERNS)
        except PermissionError:
            return False  # the owner is not a descendant of this process's user namespace
    try:
        return not os.path.samestat(os.fstat(owner), os.stat("/proc/self/ns/user"))
    finally:
        os.close(owner)


def is_network_namespace(fd: int) -> bool:
    """Return whether a file descriptor refers to a network namespace.

    Returns False for namespaces of other kinds and for files that are not a namespace.
    """
    try:
        return fcntl.ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET
    except OSError:
        return False


@contextmanager
def enter_netns(fd: int) -> Iterator[None]:
    """Move the calling thread into a network namespace for the length of a ``with`` block."""
    with _returnable_home() as home:
        enter(fd)
        try:
            yield
        finally:
            return_home(home)


@contextmanager
def enter_owned_fd(fd: int) -> Iterator[None]:
    """Move the calling thread into a network namespace for the length of a ``with`` block, then close ``fd``.

    If the thread is already in that namespace, the thread does not move and needs no privilege.
    """
    try:
        with netns_fd("/proc/thread-self/ns/net") as home, nullcontext() if sameopenfile(fd, home) else enter_netns(fd):
            yield
    finally:
        os.close(fd)


@contextmanager
def new_netns() -> Iterator[None]:
    """Move the calling thread into a new, empty network namespace for the length of a ``with`` block."""
    with _returnable_home() as home:
        try:
            unshare(CLONE_NEWNET)
        except OSError as error:
            raise refusal("make network namespace", "", error.errno or errno.EIO) from error
        try:
            yield
        finally:
            return_home(home)


@contextmanager
def _returnable_home() -> Iterator[int]:
    """Yield a file descriptor of the calling thread's network namespace, which the thread is about to leave.

    Raises `NoPermission` if the kernel does not allow the thread to return. A process in a user namespace of its own
    may leave the network namespace of the host, but may not enter it.
    """
    with netns_fd("/proc/thread-self/ns/net") as home:
        enter(home)
        yield home


def run_in_netns(path: str, action: Callable[[], T], inode: int = 0) -> T:
    """Run ``action`` in the network namespace at ``path`` and return its result.

    Raises `Missing` if no namespace is at ``path``. With a nonzero ``inode``, also raises `Missing` if the namespace
    there has another inode number.
    """
    with netns_fd(path, inode) as fd, enter_netns(fd):
        return action()


def enter(fd: int) -> None:
    """Move the calling thread into the network namespace with the file descriptor ``fd``, permanently."""
    try:
        setns(fd, CLONE_NEWNET)
    except OSError as error:
        raise refusal("enter network namespace", str(fd), error.errno or errno.EIO) from error
