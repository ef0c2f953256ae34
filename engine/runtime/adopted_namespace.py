"""Check whether a network namespace that hawse did not create still exists.

Both functions return False if the answer is unknown. For example, the namespace may be mounted in another mount
namespace, where this process cannot see it.
"""

from __future__ import annotations

import os

from drivers.linux import process
from drivers.linux.namespaces import is_namespace_file
from engine.model import ContainerRecord


def still_exists(record: ContainerRecord) -> bool:
    """Return whether the path in a container's record still refers to the adopted network namespace of the container.

    If the record names a process, the result is False after the end of this process.
    """
    if record.pid and not process.is_running(record.pid, record.pid_start):
        return False
    inode = record.sandbox_inode or (0 if record.pid else record.pid_start)
    try:
        return inode in (0, os.stat(record.sandbox_path).st_ino)
    except OSError:
        return False


def has_certainly_ended(record: ContainerRecord) -> bool:
    """Return whether the network namespace that a container has adopted certainly no longer exists.

    If the record names a process, the end of the process is the end of the namespace. Otherwise the namespace has ended
    if its path is missing or refers to another namespace. If the path has a file that is not a namespace, the result is
    False, because the namespace may be mounted there in another mount namespace.
    """
    if record.pid:
        return not process.is_running(record.pid, record.pid_start)
    try:
        status = os.stat(record.sandbox_path)
    except OSError:
        return True
    return is_namespace_file(status) and status.st_ino != (record.sandbox_inode or record.pid_start)
