"""Check whether a network namespace that hawse did not create still exists.

The two functions differ for a namespace that this process cannot see: it neither still exists nor has certainly ended.
"""

from __future__ import annotations

import os

from drivers.linux import netns, process
from engine.model import ContainerRecord


def still_exists(record: ContainerRecord) -> bool:
    """Return whether the path of an adopted namespace still opens the namespace of the record."""
    if record.pid and not process.is_running(record.pid, record.pid_start):
        return False
    inode = record.sandbox_inode or (0 if record.pid else record.pid_start)
    try:
        return inode in (0, os.stat(record.sandbox_path).st_ino)
    except OSError:
        return False


def has_certainly_ended(record: ContainerRecord) -> bool:
    """Return whether an adopted namespace certainly no longer exists.

    The result is False if the path has a file that is not a namespace: the namespace may be mounted there in another
    mount namespace.
    """
    if record.pid:
        return not process.is_running(record.pid, record.pid_start)
    try:
        status = os.stat(record.sandbox_path)
    except OSError:
        return True
    return netns.is_namespace_file(status) and status.st_ino != (record.sandbox_inode or record.pid_start)
