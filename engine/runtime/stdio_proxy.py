"""Pipes between the caller's streams and a command without a terminal, for ``exec`` without ``-t``.

The command gets a pipe in place of two sorts of streams:

- A terminal of the caller. A process that has its file descriptor could type on the terminal.
- A file of the caller, if the container is from an image. Through /proc/self/fd, the container could reopen a read-only
  file for writing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress

from engine.eventloop.readiness import wait_ready
from engine.model import ExecCreate
from engine.runtime import terminal
from engine.runtime.api import Stdio

_CHUNK = 32768


def open_streams(
    stack: ExitStack, request: ExecCreate, stdio: Stdio, may_say: Callable[[bytes], bool] | None = None
) -> StdioProxy:
    """Open the standard streams of the command in ``request``; the exit stack ``stack`` closes them.

    Standard input is /dev/null unless the request attaches it. All streams are /dev/null if the request is to run
    detached, or if the command gets its streams from a terminal. ``may_say`` is as in `StdioProxy`.
    """
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    stack.callback(os.close, null)
    is_attached = not (request.detach or request.tty)
    streams = [fd if is_attached else null for fd in (stdio.stdin, stdio.stdout, stdio.stderr)]
    if not request.attach_stdin:
        streams[0] = null
    return stack.enter_context(closing(StdioProxy(streams, may_say if is_attached else None)))


class StdioProxy:
    """Creates pipes in place of the standard streams that a container must not get; keeps the other streams.

    ``may_say`` decides which streams are replaced by pipes:

    - None, for hostfs: every terminal.
    - A function, for a container of an image: the error stream in all cases, and each other stream that is not a pipe,
      a socket or /dev/null.

    ``may_say`` gets the first error output, and returns whether crun may have written it. If the result is True, the
    output is kept in ``held`` and not written. If more error output follows, the kept output and the new output are
    written to the caller's error stream. If none follows, the caller calls `release` after the command's end, with the
    kept output or with a text that replaces it.

    If standard output is replaced and goes to the same file as the error stream, both use one pipe. The order of all
    output then stays the same.
    """

    def __init__(self, streams: list[int], may_say: Callable[[bytes], bool] | None) -> None:
        self.held = b""
        self._may_say, files = may_say, may_say is not None
        self.theirs = list(streams)
        self._close, self._outputs = ExitStack(), dict[int, int]()
        self._stdin, self._typed, self._unsent = -1, -1, bytearray()
        self._errors, self._error_target = -1, streams[2]
        if _is_exposed(streams[0], files=files):
            self._stdin = streams[0]
            self.theirs[0], self._typed = os.pipe()
            os.set_blocking(self._typed, False)
        for number in (1, 2):
            if number == 2 and self._outputs and os.path.sameopenfile(*streams[1:]):
                self.theirs[2], self._errors = self.theirs[1], next(iter(self._outputs))
            elif _is_exposed(streams[number], files=files) or (number == 2 and files):
                ours, self.theirs[number] = os.pipe()
                self._outputs[ours] = streams[number]
                self._close.callback(os.close, ours)
                self._errors = ours if number == 2 else self._errors
        self._lent = {fd for fd, stream in zip(self.theirs, streams, strict=True) if fd != stream}

    def close_command_ends(self) -> None:
        """Close the command's ends of the pipes, after the command has inherited them."""
        for fd in self._lent:
            os.close(fd)

    def close(self) -> None:
        """Close this process's ends of the pipes."""
        self._close.close()
        self._end_input()

    def relay(self, child: int) -> None:
        """Copy between the caller's streams and the pipes until the process ``child`` has ended.

        All output of the process is written before the return. Input is written without blocking. Therefore output is
        copied even if the command reads no input.
        """
        if not self._outputs and self._typed < 0:
            return
        ended = os.pidfd_open(child)
        self._close.callback(os.close, ended)
        while True:
            sources = [ended, *self._outputs] + ([self._stdin] if self._typed >= 0 and not self._unsent else [])
            ready, writable = wait_ready(sources, [self._typed] if self._unsent else [])
            for fd in [fd for fd in ready if fd in self._outputs]:
                self._copy_output(fd)
            if ended in ready and not any(fd in self._outputs for fd in ready):
                return
            if self._stdin in ready:
                self._read_input()
            if writable or self._unsent:
                self._pass_input()

    def _copy_output(self, fd: int) -> None:
        data = os.read(fd, _CHUNK)
        target = self._outputs[fd]
        if not data:
            del self._outputs[fd]
        if fd == self._errors and data:
            if self._may_say is not None and self._may_say(data):
                self.held, data = data, b""
            else:
                data, self.held = self.held + data, b""
            self._may_say = None
        terminal.write_all(target, data)

    def release(self, data: bytes) -> None:
        """Write ``data`` to the caller's error stream: the output in ``held``, or a text that replaces this output."""
        terminal.write_all(self._error_target, data)

    def _read_input(self) -> None:
        with suppress(OSError):
            self._unsent += os.read(self._stdin, _CHUNK)
        if not self._unsent:
            self._end_input()

    def _pass_input(self) -> None:
        try:
            del self._unsent[: os.write(self._typed, self._unsent)]
        except BlockingIOError:
            return
        except OSError:
            self._end_input()

    def _end_input(self) -> None:
        self._unsent.clear()
        if self._typed >= 0:
            os.close(self._typed)
            self._typed = -1


def _is_exposed(fd: int, *, files: bool) -> bool:
    """Return whether a stream must be replaced by a pipe, because a container must not get its file descriptor.

    This holds for every terminal. With ``files``, it holds for everything except a pipe, a socket and /dev/null.
    """
    if not files:
        return os.isatty(fd)
    status = os.fstat(fd)
    harmless = stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode)
    return not (harmless or os.path.samestat(status, os.stat(os.devnull)))
