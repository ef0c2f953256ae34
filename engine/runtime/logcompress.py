"""Compress rotated logs, one file at a time, in a child process of the supervisor.

The header of a compressed file identifies its original file. A log reader needs the header to recognise that both files
have the same content.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib

from engine.runtime import syscalls
from engine.runtime.jsonlog import COMPRESSED
from engine.runtime.reaper import leave_parent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from engine.runtime.reaper import Children

HEADER = struct.Struct("<12s2sHQQ")
"""A gzip header with hawse's extra field: the inode and the modification time (nanoseconds) of the original file."""

HEADER_START, HEADER_FIELD = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x14\0", (b"hw", 16)

_TEMPORARY = ".compressing"
_CHUNK_BYTES = 1 << 16
_NICENESS = 10


class Compressor:
    """Compresses the rotated files of the log at ``path``, one file at a time."""

    def __init__(self, children: Children, path: str) -> None:
        self._children, self._path, self._busy = children, path, False
        self._unlink(path + _TEMPORARY)

    def start(self) -> None:
        """Start to compress the oldest uncompressed file; does nothing while another file is being compressed."""
        numbers = [] if self._busy else self._uncompressed()
        if not numbers:
            return
        try:
            source = os.open(f"{self._path}.{numbers[-1]}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _compress(source, self._path + _TEMPORARY, parent)
        self._busy = True
        self._children.expect(pid, lambda status: self._finish(status, source))

    def _finish(self, status: int, source: int) -> None:
        """Rename the compressed file to the name of its original plus ``.gz``, and start with the next file.

        ``status`` is the wait status of the compressing process. After a failure, the compressed file is deleted
        instead. Another rotation may have renamed the original, so the original is found by its inode. While its file
        descriptor ``source`` is open, no other file can get this inode.
        """
        self._busy, inode = False, os.fstat(source).st_ino
        name = next((name for n in self._uncompressed() if _inode(name := f"{self._path}.{n}") == inode), "")
        if status or not name:
            self._unlink(self._path + _TEMPORARY)
        with contextlib.suppress(OSError):
            if not status:
                if name:
                    os.rename(self._path + _TEMPORARY, name + COMPRESSED)
                    os.unlink(name)
                self.start()
        os.close(source)

    def _uncompressed(self) -> list[int]:
        """Return the numbers of the rotated files to compress; remove originals that have been compressed already."""
        directory, base = os.path.split(self._path)
        try:
            names = set(os.listdir(directory))
        except OSError:
            return []
        numbers = []
        for name in names:
            start, _, number = name.rpartition(".")
            if start != base or not number.isdecimal():
                continue
            if name + COMPRESSED in names:
                self._unlink(os.path.join(directory, name))
            else:
                numbers.append(int(number))
        return sorted(numbers)

    @staticmethod
    def _unlink(path: str) -> None:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def _compress(source: int, target: str, parent: int) -> NoReturn:
    """Compress a rotated log in the child process, then exit: with 0 if all data was written, else with 1.

    ``source`` is a file descriptor of the log, ``target`` the path of the compressed file, ``parent`` the pid of the
    supervisor.
    """
    try:
        leave_parent()
        syscalls.die_with_parent(parent)
        syscalls.set_process_name("hawse-gzip")
        os.nice(_NICENESS)
        os.dup2(source, 3)
        os.closerange(4, 1 << 20)

        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        original = os.fstat(3)
        compressor, checksum, size = zlib.compressobj(wbits=-zlib.MAX_WBITS), 0, 0
        with open(os.open(target, flags, 0o600), "wb") as output:
            output.write(HEADER.pack(HEADER_START, *HEADER_FIELD, original.st_ino, original.st_mtime_ns))
            while data := os.read(3, _CHUNK_BYTES):
                checksum, size = zlib.crc32(data, checksum), size + len(data)
                output.write(compressor.compress(data))
            output.write(compressor.flush() + struct.pack("<II", checksum, size & 0xFFFFFFFF))
    except BaseException:
        os._exit(1)
    os._exit(0)
