"""Docker's json-file log: one JSON object per line, in rotated files, as Docker's json-file driver writes them.

A line of output longer than 16 KiB is split into several entries. Only the last entry ends with a newline.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST = 16384  # bytes of output in one entry; Docker splits longer lines at the same size
_ENTRY_LIMIT = 8 * _LONGEST  # bytes; more than any log entry has, even if every byte in the entry is escaped
_ESCAPES = {code: f"\\u{code:04x}" for code in (*range(32), *b"<>&", 0x2028, 0x2029)}
_ESCAPES |= {ord("\n"): "\\n", ord("\r"): "\\r", ord('"'): '\\"', ord("\\"): "\\\\"}
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW

NEXT, COMPRESSED = ".next", ".gz"
"""File name suffixes.

`NEXT` is appended to the log's path, for the file that will replace the log. `COMPRESSED` is appended to the name of a
rotated file, for its compressed form.
"""


def format_time(nanoseconds: int) -> str:
    """Convert a time in nanoseconds since 1970 to RFC 3339 in UTC, without trailing zeros, as Go prints it."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return text + (f".{fraction:09d}".rstrip("0") if fraction else "") + "Z"


def encode_entry(stream: str, data: bytes, nanoseconds: int) -> bytes:
    """Return the line of the log file for ``data``, an output of ``stream`` at the time ``nanoseconds`` (since 1970).

    Bytes that are not UTF-8 become U+FFFD.
    """
    text = data.decode("utf-8", "replace").translate(_ESCAPES)
    return f'{{"log":"{text}","stream":"{stream}","time":"{format_time(nanoseconds)}"}}\n'.encode()


class LogWriter:
    """Appends entries to a log file that only root can read. If the path is empty, nothing is written.

    If the file has ``max_size`` bytes or more, it is rotated before the next entry: ``PATH`` becomes ``PATH.1``,
    ``PATH.1`` becomes ``PATH.2``, and so on. At most ``max_files`` files are kept. A ``max_size`` of 0 means no limit.
    ``compress`` is called after each rotation, to compress the rotated files. None means that they stay uncompressed.
    """

    def __init__(
        self, path: str, max_size: int = 0, max_files: int = 1, compress: Callable[[], None] | None = None
    ) -> None:
        self._path, self._max_size, self._max_files, self._compress = path, max_size, max_files, compress
        self._fd, self._size, self._cut_off = -1, 0, False
        self._partial: dict[str, bytes] = {}
        self._begin()

    def write(self, stream: str, data: bytes) -> None:
        """Append output to the log: write complete lines now, and buffer an incomplete line.

        ``stream`` is "stdout" or "stderr"; each has its own buffer.
        """
        if not self._path:
            return
        pending = self._partial.get(stream, b"") + data
        complete, newline, rest = pending.rpartition(b"\n")
        pieces = _split(complete + newline)
        while len(rest) >= _LONGEST:
            pieces.append(rest[:_LONGEST])
            rest = rest[_LONGEST:]
        self._partial[stream] = rest
        self._append(stream, pieces)

    def close(self) -> None:
        """Write the remaining data, which has no newline yet, and close the log file."""
        for stream, rest in self._partial.items():
            self._append(stream, [rest] if rest else [])
        self._partial.clear()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _append(self, stream: str, pieces: list[bytes]) -> None:
        if not pieces:
            return
        now = time.time_ns()
        entries = [encode_entry(stream, piece, now) for piece in pieces]
        data = b"".join(entries)
        with contextlib.suppress(OSError):  # a full disk loses log lines but must not stop the container
            if self._fd < 0:
                self._open()
            if not self._max_size or self._size + len(data) - len(entries[-1]) < self._max_size:
                self._write(data)
            else:
                self._write_rotating(entries)

    def _begin(self) -> None:
        """Open the log; first finish or undo a rotation that a killed supervisor has begun (`_recover`).

        Does nothing if the path is empty. If the disk is full, the log stays closed until the next entry is written.
        """
        if not self._path:
            return
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            if os.path.exists(self._path + NEXT):
                self._recover()
            self._open()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise

    def _open(self) -> None:
        """Open the log file, and record whether its last entry is incomplete."""
        self._fd = os.open(self._path, _FLAGS, 0o600)
        self._size = os.fstat(self._fd).st_size
        self._cut_off = self._size > 0 and os.pread(self._fd, 1, self._size - 1) != b"\n"

    def _write(self, data: bytes) -> None:
        data = b"\n" + data if self._cut_off else data
        written = os.write(self._fd, data)
        self._size += written
        self._cut_off = written < len(data)  # after a partial write (full disk), start the next entry on a new line

    # -------------------------------------------------------------------------------------------- rotation

    def _write_rotating(self, entries: list[bytes]) -> None:
        """Write entries to the log; before each entry, rotate the log if the file has reached ``max_size``.

        Each of ``entries`` is a line of the log file.
        """
        group: list[bytes] = []
        size, fits = self._size, True
        for entry in [*entries, b""]:
            if entry and size < self._max_size:
                group.append(entry)
                size += len(entry)
                continue
            if not fits:
                self._rotate(b"".join(group))
            elif group:
                self._write(b"".join(group))
            group, size, fits = [entry], len(entry), False

    def _rotate(self, data: bytes) -> None:
        """Rotate the log, and write ``data``, the next entries, to the new log file.

        The new file is written before any file is renamed. Therefore no log data is lost if the supervisor is killed
        during the rotation. If the new file cannot be created, the current log is emptied and gets ``data``.
        """
        try:
            fd = os.open(self._path + NEXT, _FLAGS | os.O_TRUNC, 0o600)
        except OSError:  # If the log cannot be rotated, empty it, because it must not exceed its limit.
            os.ftruncate(self._fd, 0)
            self._size, self._cut_off = 0, False
            self._write(data)
            return
        os.close(self._fd)
        self._fd, self._size, self._cut_off = fd, 0, False
        try:
            self._write(data)
        finally:
            self._finish_rotation()
        if self._compress is not None:
            self._compress()

    def _recover(self) -> None:
        """Finish or undo the rotation that a killed supervisor has begun.

        If the log still exists and the rotation's new file has no complete entry, the new file is deleted. Otherwise
        the rotation is finished.
        """
        with open(self._path + NEXT, "rb") as file:
            begun = b"\n" in file.read(_ENTRY_LIMIT) or not os.path.exists(self._path)
        if begun:
            self._finish_rotation()
        else:
            os.unlink(self._path + NEXT)

    def _finish_rotation(self) -> None:
        """Replace the log by the rotation's new file; keep the old log as ``PATH.1`` unless ``max_files`` is 1.

        A killed supervisor may have renamed the old log already.
        """
        if self._max_files > 1 and os.path.exists(self._path):
            self._make_room()
            os.rename(self._path, f"{self._path}.1")
        os.replace(self._path + NEXT, self._path)

    def _make_room(self) -> None:
        """Rename the rotated files, so that the name ``PATH.1`` is free for a new rotated file.

        All files below the first unused number are renamed to the next higher number. If no number is unused, the
        oldest file is removed first.
        """
        unused = 1
        while unused < self._max_files - 1 and any(map(os.path.exists, _names(self._path, unused))):
            unused += 1
        for name in _names(self._path, unused):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
        for number in range(unused, 1, -1):
            for old, new in zip(_names(self._path, number - 1), _names(self._path, number), strict=True):
                with contextlib.suppress(FileNotFoundError):
                    os.rename(old, new)


def _names(path: str, number: int) -> tuple[str, str]:
    """Return the two possible paths of the rotated file with a number: uncompressed and compressed."""
    return f"{path}.{number}", f"{path}.{number}{COMPRESSED}"


def _split(lines: bytes) -> list[bytes]:
    """Split complete lines into log entries of at most 16 KiB. Each line's last entry keeps the newline.

    bytes.splitlines is not used, because it also splits at a carriage return.
    """
    entries = [line + b"\n" for line in lines.split(b"\n")[:-1]]
    return [entry[start : start + _LONGEST] for entry in entries for start in range(0, len(entry), _LONGEST)]
