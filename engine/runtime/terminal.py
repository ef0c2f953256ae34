"""The user's terminal: raw mode, the terminal's size, and the keys that detach from a container."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

DETACH_KEYS = b"\x10\x11"  # the keys ctrl-p ctrl-q
END_OF_INPUT = b"\x04"  # the key ctrl-d


def size(fd: int) -> tuple[int, int]:
    """Return the (rows, columns) of a terminal, or (0, 0) if ``fd`` is not a terminal."""
    try:
        rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)))
    except OSError:
        return 0, 0
    return rows, columns


def set_size(fd: int, rows: int, columns: int) -> None:
    """Set a terminal's size."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def write_all(fd: int, data: bytes) -> None:
    """Write all of ``data``; blocks while the reader of a terminal or pipe is slow."""
    while data:
        data = data[os.write(fd, data) :]


@contextmanager
def raw(fd: int) -> Iterator[None]:
    """Set the terminal to raw mode in the ``with`` block, and restore its earlier mode afterwards.

    The mode is also restored on SIGTERM and SIGHUP, which then raise SystemExit with the code 128+N. Does nothing if
    ``fd`` is not a terminal.
    """
    if not os.isatty(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number in handlers:
        signal.signal(number, _leave)
    try:
        tty.setraw(fd, termios.TCSANOW)
        yield
    finally:
        with suppress(termios.error):
            termios.tcsetattr(fd, termios.TCSANOW, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _leave(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


@contextmanager
def on_resize(changed: Callable[[], None]) -> Iterator[None]:
    """Call ``changed`` immediately, and again whenever the terminal's size changes during the ``with`` block."""
    before = signal.signal(signal.SIGWINCH, lambda *_: changed())
    try:
        changed()
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


class DetachKeys:
    """Searches the bytes that the user types for the keys that detach from a container (by default ctrl-p ctrl-q)."""

    def __init__(self, keys: bytes = DETACH_KEYS) -> None:
        self._keys, self._held = keys, b""

    def filter(self, data: bytes) -> tuple[bytes, bool]:
        """Return the bytes of ``data`` to send to the container, and whether the user has typed all detach keys.

        The last bytes may be the first of the detach keys, such as ctrl-p. These bytes are kept until the next call.
        """
        data = self._held + data
        before, sequence, _ = data.partition(self._keys)
        if sequence:
            return before, True
        lengths = range(len(self._keys) - 1, 0, -1)
        self._held = next((self._keys[:n] for n in lengths if data.endswith(self._keys[:n])), b"")
        return data.removesuffix(self._held), False
