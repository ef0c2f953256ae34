"""Moves the calling thread between namespaces: setns(2) and unshare(2), which Python's os has from 3.12 on only.

Imports little, because the supervisor of containers uses it.
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

_libc = ctypes.CDLL(None, use_errno=True)  # once, because opening it takes ten times as long as a call


def setns(fd: int, kinds: int) -> None:
    """Enter the namespace open as ``fd``. For a pidfd, enter those of the process that ``kinds`` lists."""
    _check(_libc.setns(fd, kinds), "setns")


def unshare(kinds: int) -> None:
    """Leave the given namespaces for new ones. A new pid namespace holds only children that are forked later."""
    _check(_libc.unshare(kinds), "unshare")


def _check(result: int, function: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), function)
