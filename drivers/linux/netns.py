"""Network namespaces: opening one by path, and doing something inside it.

Entering moves the calling thread only. hawse's processes have one thread, so nothing else is dragged along.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from os.path import sameopenfile
from typing import TypeVar

from drivers.api import Missing
from drivers.linux.errors import refusal
from drivers.linux.namespaces import CLONE_NEWNET, setns, unshare

NS_GET_NSTYPE = 0xB703
T = TypeVar("T")


@contextmanager
def netns_fd(path: str, inode: int = 0) -> Iterator[int]:
    """Pin the namespace that ``path`` names by a file descriptor; raises `Missing` where there is none.

    With an ``inode``, raises `Missing` too where the path leads to another namespace than the one of that number: a
    process may have moved, and a pid or a name may have come to stand for something else.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise Missing(f"network namespace {path} is gone") from error
    except OSError as error:
        raise refusal("open network namespace", path, error.errno or errno.EIO) from error
    try:
        if inode and os.fstat(fd).st_ino != inode:
            raise Missing(f"network namespace {path} is gone: another one is there now")
        yield fd
    finally:
        os.close(fd)


def is_network_namespace(fd: int) -> bool:
    """Tell whether a descriptor is one of a network namespace, and not of another file or kind of namespace."""
    try:
        return fcntl.ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET
    except OSError:
        return False


@contextmanager
def enter_netns(fd: int) -> Iterator[None]:
    """Move the calling thread into a namespace for the length of the block."""
    with netns_fd("/proc/thread-self/ns/net") as home:
        enter(fd)
        try:
            yield
        finally:
            enter(home)


@contextmanager
def enter_owned_fd(fd: int) -> Iterator[None]:
    """Do the same with a descriptor that is closed at the end; who is there already needs no right to move."""
    try:
        with netns_fd("/proc/thread-self/ns/net") as home, nullcontext() if sameopenfile(fd, home) else enter_netns(fd):
            yield
    finally:
        os.close(fd)


@contextmanager
def new_netns() -> Iterator[None]:
    """Move the calling thread into a new, empty namespace for the length of the block."""
    with netns_fd("/proc/thread-self/ns/net") as home:
        try:
            unshare(CLONE_NEWNET)
        except OSError as error:
            raise refusal("make network namespace", "", error.errno or errno.EIO) from error
        try:
            yield
        finally:
            enter(home)


def run_in_netns(path: str, action: Callable[[], T], inode: int = 0) -> T:
    """Run ``action`` in the namespace that ``path`` (and ``inode``, as in `netns_fd`) names and give back its result."""
    with netns_fd(path, inode) as fd, enter_netns(fd):
        return action()


def enter(fd: int) -> None:
    """Move the calling thread into a network namespace for good."""
    try:
        setns(fd, CLONE_NEWNET)
    except OSError as error:
        raise refusal("enter network namespace", str(fd), error.errno or errno.EIO) from error
