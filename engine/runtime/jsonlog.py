"""Docker's json-file log: one JSON object a line, as its json-file driver writes it.

A line longer than 16 KiB is cut into several entries, of which only the last ends in a newline. Imports little, because
the supervisor lives on it.
"""

from __future__ import annotations

import os
import time

_LONGEST = 16384
_ESCAPES = {code: f"\\u{code:04x}" for code in (*range(32), *b"<>&", 0x2028, 0x2029)}
_ESCAPES |= {ord("\n"): "\\n", ord("\r"): "\\r", ord('"'): '\\"', ord("\\"): "\\\\"}


def format_time(nanoseconds: int) -> str:
    """RFC 3339 in UTC with nanoseconds, trailing zeros left out, as Go prints it."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return text + (f".{fraction:09d}".rstrip("0") if fraction else "") + "Z"


def encode_entry(stream: str, data: bytes, nanoseconds: int) -> bytes:
    """One line of the file; bytes that are not UTF-8 become U+FFFD."""
    text = data.decode("utf-8", "replace").translate(_ESCAPES)
    return f'{{"log":"{text}","stream":"{stream}","time":"{format_time(nanoseconds)}"}}\n'.encode()


class LogWriter:
    """Appends to a log file, readable by root alone; with an empty path it writes nothing."""

    def __init__(self, path: str) -> None:
        self._fd = -1
        if path:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._partial: dict[str, bytes] = {}

    def write(self, stream: str, data: bytes) -> None:
        """Take what a stream gave; complete lines are written at once."""
        if self._fd < 0:
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
        """Write what has no newline yet, and close."""
        for stream, rest in self._partial.items():
            self._append(stream, [rest] if rest else [])
        self._partial.clear()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _append(self, stream: str, pieces: list[bytes]) -> None:
        if pieces:
            now = time.time_ns()
            try:
                os.write(self._fd, b"".join(encode_entry(stream, piece, now) for piece in pieces))
            except OSError:
                return  # a full disk costs log lines, never the container


def _split(lines: bytes) -> list[bytes]:
    """Cut into entries, newlines kept (bytes.splitlines would also cut at a carriage return)."""
    entries = [line + b"\n" for line in lines.split(b"\n")[:-1]]
    return [entry[start : start + _LONGEST] for entry in entries for start in range(0, len(entry), _LONGEST)]
