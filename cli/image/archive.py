"""Open an image archive, and show on a terminal how many of its bytes have been read."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import BinaryIO, cast

from cli.app import App, StatusError
from engine.errors import reason_of


@contextmanager
def opened_archive(app: App, path: str | None) -> Iterator[BinaryIO]:
    """Open an archive, or standard input if ``path`` is None; a terminal shows how many bytes have been read.

    Raises StatusError if the file cannot be opened.
    """
    source = nullcontext(app.stdin) if path is None else _opened(path)
    with source as file, shown_reading(app, file, path or "standard input") as archive:
        yield archive


def _opened(path: str) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise StatusError(f"open {path}: {reason_of(error)}") from error


@contextmanager
def shown_reading(app: App, archive: BinaryIO, name: str) -> Iterator[BinaryIO]:
    """Yield a stream that reads ``archive``; a terminal shows ``name`` and the number of bytes read so far."""
    if not app.has_color(app.stderr):
        yield archive
        return
    file = os.fstat(archive.fileno())
    with app.waiting(f"Importing {name}", file.st_size if stat.S_ISREG(file.st_mode) else 0) as done:
        yield cast("BinaryIO", Counted(archive, done))


class Counted:
    """A readable stream that counts the bytes that are read from it.

    After each read, ``done`` is called with the number of bytes that have been read so far.
    """

    def __init__(self, stream: BinaryIO, done: Callable[[int], None]) -> None:
        self.stream, self.done, self.count = stream, done, 0

    def read(self, size: int = -1) -> bytes:
        """Return at most ``size`` bytes, or all bytes for -1."""
        data = self.stream.read(size)
        self.count += len(data)
        self.done(self.count)
        return data
