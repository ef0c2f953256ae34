"""Whether a network namespace that hawse did not create still exists."""

from __future__ import annotations

import os

from drivers.linux import process
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
