"""Read json-file logs and their rotated files: the last lines, the lines of a period of time, and new lines."""

from __future__ import annotations

import gzip
import json
import os
import re
import socket
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import islice
from typing import BinaryIO

from engine.eventloop.inotify import CREATE, MODIFY, MOVED_TO, watch_directory
from engine.eventloop.readiness import wait_readable
from engine.golang.timestamps import to_seconds
from engine.model import LogOptions
from engine.runtime import protocol, syscalls
from engine.runtime.api import LogLine, WaitReadable
from engine.runtime.jsonlog import COMPRESSED, NEXT
from engine.runtime.logcompress import HEADER, HEADER_START

_BLOCK = 65536
_MANY_FILES = 200  # rotated files; above this number, the limit of open files is raised
_ATTEMPTS = 100  # maximum attempts to open all files of a log; a rotation during an attempt makes it fail


def read(
    path: str,
    options: LogOptions,
    ask_to_wait: Callable[[], socket.socket],
    wait: WaitReadable = wait_readable,
) -> Iterator[LogLine]:
    """Yield the entries of the log at ``path``, the oldest first; yield nothing if the file is missing.

    The last two arguments are used only to wait for new lines (``options.follow``):

    - ``ask_to_wait``: returns a connection that becomes readable when the container has ended and its log is complete.
    - ``wait``: gets file descriptors, waits until one of them is readable, and returns the readable ones.
    """
    lines = _follow(path, options.tail, ask_to_wait, wait) if options.follow else _present(path, options.tail)
    for line in lines:
        entry, moment = _parse(line)
        if entry is None:
            continue
        if options.until is not None and moment > options.until:
            return
        if options.since is None or moment >= options.since:
            yield entry


def _parse(line: bytes) -> tuple[LogLine | None, float]:
    """Parse a line of a log file; return the entry and its time in Unix seconds.

    Returns (None, 0.0) for an incomplete entry, which a full disk or a killed supervisor leaves.
    """
    try:
        document = json.loads(line)
        entry = LogLine(document["stream"], document["time"], document["log"].encode("utf-8", "replace"))
        return entry, to_seconds(entry.time)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None, 0.0


class _File:
    """One open file of a log: the current file or a rotated file."""

    def __init__(self, path: str) -> None:
        self.file: BinaryIO = open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")  # noqa: SIM115 (closed by `close`)
        self.inode = os.fstat(self.file.fileno()).st_ino
        self.original = 0, 0  # for a compressed file: inode and modification time of the original file
        self._partial = b""
        head = self.file.read(HEADER.size) if path.endswith(COMPRESSED) else b""
        self.compressed = bool(head)
        if head.startswith(HEADER_START) and len(head) == HEADER.size:
            self.original = HEADER.unpack(head)[-2:]
        self.file.seek(0)

    def is_of(self, other: _File) -> bool:
        """Return whether this file and ``other`` are the same file, or this file is the compressed form of ``other``.

        A compressed file records the inode and the modification time of its original. Both are compared, because the
        inode of a deleted file may be reused.
        """
        if self.compressed and not other.compressed:
            status = os.fstat(other.file.fileno())
            return self.original == (status.st_ino, status.st_mtime_ns)
        return self.compressed == other.compressed and self.inode == other.inode

    def close(self) -> None:
        self.file.close()

    def lines(self, skipped: int = 0) -> Iterator[bytes]:
        """Yield the complete lines added to the file since the last call; omit the first ``skipped`` of these lines."""
        if self.compressed:
            yield from islice(self._decompressed(), skipped, None)
            return
        while data := self.file.read(_BLOCK):
            *lines, self._partial = (self._partial + data).split(b"\n")
            yield from lines

    def skip(self, count: int) -> tuple[int, int]:
        """Find the last ``count`` lines; return two numbers: the lines found, and the lines to omit before them.

        The first number is less than ``count`` if the file has fewer lines. The second number is the argument
        ``skipped`` for the next call of `lines`. It is needed for a compressed file, which can only be read from its
        start. In any other file, this method seeks to the last lines, and the second number is 0.
        """
        if self.compressed:
            total = sum(1 for _ in self._decompressed())
            self.file.seek(0)
            return min(count, total), max(0, total - count)
        return _seek_last(self.file, count), 0

    def _decompressed(self) -> Iterator[bytes]:
        """Yield the lines of a compressed file. If the file is damaged, yield the lines before the damage."""
        with suppress(EOFError, gzip.BadGzipFile, zlib.error), gzip.open(self.file) as content:
            yield from content


def _files(path: str) -> list[_File]:
    """Open all files of a log, the oldest first; try again if the log is rotated at the same time."""
    files: list[_File] = []
    for _ in range(_ATTEMPTS):
        for file in files:
            file.close()
        current = _opened(path)
        files = [*_older(path, current), *filter(None, [current, _opened(path + NEXT)])]
        if not files or (current and current.inode == _inode(path)):  # not rotated: ``path`` is still the opened file
            break
    return files


def _older(path: str, newer: _File | None) -> list[_File]:
    """Open the rotated files of a log, and return them with the oldest first.

    ``newer`` is the log's current file, or None if it is missing. The files are opened by ascending number. A rotation
    moves files only to higher numbers, so no file is missed. A file that is renamed in the meantime may be opened
    twice, but is returned only once.
    """
    files: list[_File] = []
    number, last = 1, _last_number(path)
    while number <= last:
        name = f"{path}.{number}"
        file = _opened(name) or _opened(name + COMPRESSED)
        if file is not None:
            last = max(last, number + 1)
            if newer is not None and file.is_of(newer):
                file.close()
            else:
                files.append(newer := file)
        number += 1
    return files[::-1]


def _opened(path: str) -> _File | None:
    try:
        return _File(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _last_number(path: str) -> int:
    """Return the highest number of a rotated file of a log, or 0 if the log has no rotated file."""
    directory, base = os.path.split(path)
    pattern = re.compile(re.escape(base) + r"\.([0-9]+)(?:\.gz)?")
    try:
        numbers = [int(match[1]) for name in os.listdir(directory or ".") if (match := pattern.fullmatch(name))]
    except (FileNotFoundError, NotADirectoryError):
        return 0
    if len(numbers) > _MANY_FILES:
        syscalls.raise_limit()
    return max(numbers, default=0)


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _from_last(files: list[_File], count: int) -> list[tuple[_File, int]]:
    """Return the files that hold the last ``count`` lines of a log, the oldest first; all files if ``count`` is -1.

    Each file is paired with the number of lines that the first call of `_File.lines` must omit.
    """
    chosen: list[tuple[_File, int]] = []
    for file in reversed(files):
        lines, skipped = (0, 0) if count < 0 else file.skip(count)
        chosen.append((file, skipped))
        if count >= 0:
            count -= lines
            if not count:
                break
    return chosen[::-1]


def _present(path: str, tail: int) -> Iterator[bytes]:
    with ExitStack() as stack:
        files = _files(path)
        for file in files:
            stack.callback(file.close)
        for file, skipped in _from_last(files, tail):
            yield from file.lines(skipped)


def _seek_last(file: BinaryIO, count: int) -> int:
    """Seek to the last ``count`` lines of a file, searching from the end; return how many lines were found."""
    position = file.seek(0, os.SEEK_END)
    total = -1  # -1, because the newline at the end of the last line is counted too
    while position > 0:
        start = max(0, position - _BLOCK)
        file.seek(start)
        block = file.read(position - start)
        newlines = block.count(b"\n")
        if total + newlines >= count:
            for _ in range(count - total):
                end = block.rindex(b"\n")
                block = block[:end]
            file.seek(start + len(block) + 1)
            return count
        total += newlines
        position = start
    file.seek(0)
    return total + 1


class _Follower:
    """Reads the new lines of a log, also while the log is rotated."""

    def __init__(self, path: str, tail: int) -> None:
        self._path = path
        self._waiting = _from_last(_files(path), tail)
        self._current: _File | None = None

    def lines(self) -> Iterator[bytes]:
        """Yield the lines that were added to the log since the last call."""
        while True:
            if self._current is not None:
                yield from self._current.lines()
            if not self._waiting and not self._find_newer():
                return
            if self._current is not None:
                yield from self._current.lines()  # read the lines that were written to the old file before the rotation
                self._current.close()
            self._current, skipped = self._waiting.pop(0)
            yield from self._current.lines(skipped)

    def close(self) -> None:
        for file in (*(file for file, _ in self._waiting), *filter(None, [self._current])):
            file.close()

    def _find_newer(self) -> bool:
        """Open the log files that are newer than the file being read; return whether there are newer files."""
        current = self._current
        if current is not None and not current.compressed and current.inode == _inode(self._path):
            return False
        files = _files(self._path)
        known = [number for number, file in enumerate(files) if current is not None and file.is_of(current)]
        first = known[-1] + 1 if known else 0
        for file in files[:first]:
            file.close()
        self._waiting = [(file, 0) for file in files[first:]]
        return bool(self._waiting)


def _follow(path: str, tail: int, ask_to_wait: Callable[[], socket.socket], wait: WaitReadable) -> Iterator[bytes]:
    """Yield the last ``tail`` existing lines of a log (-1: all), then each new line, until the container has ended.

    ``ask_to_wait`` and ``wait`` are the same as for `read`.
    """
    with ExitStack() as stack:
        ended = stack.enter_context(ask_to_wait())
        try:
            changes = watch_directory(os.path.dirname(path), MODIFY | MOVED_TO | CREATE)
        except FileNotFoundError:  # no directory to watch: the container was never started
            return
        stack.callback(os.close, changes)
        follower = _Follower(path, tail)
        stack.callback(follower.close)
        over = False
        while True:
            yield from follower.lines()
            if over:
                return
            ready = wait([changes, ended.fileno()])
            if changes in ready:
                os.read(changes, _BLOCK)
            elif not (over := _has_ended(ended)):
                ended = stack.enter_context(ask_to_wait())


def _has_ended(connection: socket.socket) -> bool:
    """Return True if ``connection`` reports the container's end, or False if only the supervisor has ended.

    ``connection`` is a readable result of ``ask_to_wait`` (see `read`).
    """
    try:
        protocol.receive(connection)
    except (protocol.Broken, OSError):
        return False
    return True
