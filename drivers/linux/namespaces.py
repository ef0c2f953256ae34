"""Functions that move the calling thread between namespaces: setns(2) and unshare(2).

Python's os module has these functions only since 3.12. This module imports little, because the supervisor of containers
uses it and must use little memory.
"""

from __future__ import annotations

import ctypes
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)  # loaded once, because a load takes ten times as long as a call


def setns(fd: int, kinds: int) -> None:
    """Enter the namespace that is open as ``fd``.

    If ``fd`` is a pidfd, enter the process's namespaces of the given ``kinds``.
    """
    check(_libc.setns(fd, kinds), "setns")


def unshare(kinds: int) -> None:
    """Move the calling thread into new namespaces of the given kinds.

    A new pid namespace applies only to child processes that are forked later.
    """
    check(_libc.unshare(kinds), "unshare")


def check(result: int, what: str) -> None:
    """Raise OSError with the error number of libc if a function of libc returned a negative ``result``."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)
