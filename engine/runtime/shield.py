"""Pipes between the user's terminal and a command without one, for ``exec`` without ``-t``.

A terminal's descriptor never enters a container: whoever holds it could type on it. Files and pipes are handed over.
"""

from __future__ import annotations

import os
import select
from contextlib import ExitStack, suppress

_CHUNK = 32768


class Shield:
    """Stands between those of three streams that are terminals and the command; the others pass through."""

    def __init__(self, streams: list[int]) -> None:
        self.theirs = list(streams)
        self._close, self._outputs = ExitStack(), dict[int, int]()
        self._stdin, self._typed = -1, -1
        if os.isatty(streams[0]):
            self._stdin = streams[0]
            self.theirs[0], self._typed = os.pipe()
        for number in (1, 2):
            if os.isatty(streams[number]):
                ours, self.theirs[number] = os.pipe()
                self._outputs[ours] = streams[number]
                self._close.callback(os.close, ours)
        self._lent = [fd for fd, given in zip(self.theirs, streams, strict=True) if fd != given]

    def handed_over(self) -> None:
        """Close the command's ends, which it has by now."""
        for fd in self._lent:
            os.close(fd)

    def close(self) -> None:
        """Close our ends."""
        self._close.close()
        self._end_input()

    def relay(self, child: int) -> None:
        """Copy until ``child`` has ended and all of its output is through."""
        if not self._outputs and self._typed < 0:
            return
        ended = os.pidfd_open(child)
        self._close.callback(os.close, ended)
        while True:
            sources = [ended, *self._outputs] + ([self._stdin] if self._typed >= 0 else [])
            ready, _, _ = select.select(sources, [], [])
            for fd in [fd for fd in ready if fd in self._outputs]:
                self._copy_output(fd)
            if ended in ready and not any(fd in self._outputs for fd in ready):
                return
            if self._stdin in ready and self._typed >= 0:
                self._copy_input()

    def _copy_output(self, fd: int) -> None:
        data = os.read(fd, _CHUNK)
        target = self._outputs[fd]
        if not data:
            del self._outputs[fd]
        while data:
            data = data[os.write(target, data) :]

    def _copy_input(self) -> None:
        data = os.read(self._stdin, _CHUNK)
        with suppress(BrokenPipeError):
            if data and os.write(self._typed, data):
                return
        self._end_input()

    def _end_input(self) -> None:
        if self._typed >= 0:
            os.close(self._typed)
            self._typed = -1
