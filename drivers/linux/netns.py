"""Network namespaces: opening one by path, and doing something inside it.

Entering moves the calling thread only. hawse's processes have one thread, so nothing else is dragged along.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from drivers.api import Missing
from drivers.linux.netlink import refusal

CLONE_NEWNET = 0x40000000
T = TypeVar("T")


@contextmanager
def opened(path: str) -> Iterator[int]:
    """Pin the namespace that ``path`` names by a file descriptor; raises `Missing` where there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise Missing(f"network namespace {path} is gone") from error
    except OSError as error:
        raise refusal("open network namespace", path, error.errno or errno.EIO) from error
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def entered(fd: int) -> Iterator[None]:
    """Move the calling thread into a namespace for the length of the block."""
    with opened("/proc/thread-self/ns/net") as home:
        enter(fd)
        try:
            yield
        finally:
            enter(home)


def inside(path: str, action: Callable[[], T]) -> T:
    """Run ``action`` in the namespace that ``path`` names and give back its result."""
    with opened(path) as fd, entered(fd):
        return action()


def enter(fd: int) -> None:
    """Move the calling thread into a network namespace for good."""
    try:
        _setns(fd, CLONE_NEWNET)
    except OSError as error:
        raise refusal("enter network namespace", str(fd), error.errno or errno.EIO) from error


def _setns(fd: int, kind: int) -> None:
    native = getattr(os, "setns", None)  # Python 3.12
    if native is not None:
        native(fd, kind)
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, kind) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
