"""Find the process that holds the write lock of a store.

The module reads /proc/locks, and never opens the store's files. When a process closes a file, the kernel releases all
POSIX locks that the process holds on this file, even locks that it took through other descriptors.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from drivers.linux import process

WRITE_LOCK = "120"  # the byte of the -shm file that SQLite's writers lock (wal-index, WAL_WRITE_LOCK)
WHOLE_FILE = "0"  # the start of the locked range in /proc/locks, for flock(2), which always locks a whole file
STOP_CHECK_SECONDS = 2.0
"""Seconds after which a waiting command checks whether the process that holds the lock is stopped."""
_COMMAND_LIMIT = 60  # characters of a command line in an error message


def writer(path: Path) -> int:
    """Return the pid of the process that holds the write lock of the store ``path``, or 0 if none is found.

    A process that is in a pid namespace invisible to this process is not found.
    """
    with suppress(OSError):
        return _holder("POSIX", os.stat(f"{path}-shm"), WRITE_LOCK)
    return 0


def of_file(descriptor: int) -> int:
    """Return the pid of the process that holds the exclusive flock(2) lock of an open file, or 0 if none is found.

    ``descriptor`` is a file descriptor of the file in this process.
    """
    with suppress(OSError):
        return _holder("FLOCK", os.fstat(descriptor), WHOLE_FILE)
    return 0


def _holder(kind: str, file: os.stat_result, first: str) -> int:
    inode = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()  # number, kind, ADVISORY, WRITE, pid, device and inode, first byte, last byte
        if (fields[1], fields[3], *fields[5:7]) == (kind, "WRITE", inode, first):
            return max(0, int(fields[4]))
    return 0


def is_stopped(pid: int) -> bool:
    """Return whether a process is stopped by a signal or a debugger. The result is False for the pid 0."""
    return process.stat_fields(pid)[:1] in ([b"T"], [b"t"])


def described(pid: int) -> str:
    """Return the text that names a process at the end of an error message; "" for the pid 0.

    An example is ": process 7 (hawse run), which is stopped".
    """
    if not pid:
        return ""
    command = b""
    with suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").strip()
    text = command.decode("utf-8", "backslashreplace")[-_COMMAND_LIMIT:]
    shown = text if text.isprintable() else ascii(text)
    return f": process {pid}{f' ({shown})' if shown else ''}{', which is stopped' if is_stopped(pid) else ''}"
