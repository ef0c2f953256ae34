"""Check whether an adopted namespace (`engine.model.ContainerRecord`) still exists.

Both functions return False if the answer is unknown. For example, the namespace may be mounted in another mount
namespace, where this process cannot see it.
"""

from __future__ import annotations

import os

from drivers.linux import process
from drivers.linux.namespaces import is_namespace_file
from engine.model import ContainerRecord


def still_exists(record: ContainerRecord) -> bool:
    """Return whether an adopted namespace still exists.

    The path in ``record`` must still refer to this namespace. If ``record`` also names a process, this process must
    still run. Returns False if the path cannot be read.
    """
    if record.pid and not process.is_running(record.pid, record.pid_start):
        return False
    inode = record.sandbox_inode or (0 if record.pid else record.pid_start)
    try:
        return inode in (0, os.stat(record.sandbox_path).st_ino)
    except OSError:
        return False


def has_certainly_ended(record: ContainerRecord) -> bool:
    """Return whether an adopted namespace has certainly ended.

    - If ``record`` names a process: True after the end of this process.
    - Otherwise: True if the path in ``record`` is missing or refers to another namespace.

    If the path is a file that is no namespace, the result is False. The namespace may be mounted at this path in
    another mount namespace.
    """
    if record.pid:
        return not process.is_running(record.pid, record.pid_start)
    try:
        status = os.stat(record.sandbox_path)
    except OSError:
        return True
    return is_namespace_file(status) and status.st_ino != (record.sandbox_inode or record.pid_start)
