"""Show on a terminal that a command has not finished yet: a child process draws a line with the library rich.

The child draws nothing in the first half second. Quick commands therefore show no line and never import rich. The child
is a process and not a thread, because the command may fork and change namespaces during the work. The child ends when
the command closes the connection or dies.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from engine.store import lock_holder

DELAY_SECONDS = 0.5
LOOK_SECONDS = 0.2  # the child checks at this interval whether SIGSTOP has stopped the command
PAUSE, TEXT, DONE = b"P", b"T", b"D"  # messages from the command to the child
PAUSED, DRAWING = b"K", b"W"  # messages from the child to the command
MESSAGE_BYTES = 4096
SHOW_CURSOR, HIDE_CURSOR = b"\x1b[?25h", b"\x1b[?25l"


class Progress:
    """The progress line of one command; a child process draws the line on a terminal.

    - ``terminal``: the terminal's file descriptor
    - ``text``: the text of the line
    - ``total``: the size of the whole work in bytes, or 0 if the size is unknown
    """

    def __init__(self, terminal: int, text: str, total: int = 0) -> None:
        self.text, self._sent = text, 0
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._child = os.fork()
        if not self._child:
            _become_child(theirs, terminal, text, total)
        theirs.close()

    def pause(self) -> None:
        """Remove the line, so that the command can print; blocks until the child process has removed it or has ended.

        The child process draws the line again half a second after the last call of `pause`.
        """
        self._send(PAUSE)
        with suppress(OSError):
            # Ctrl-Z stops the command and the child. If only the command was continued, the child is still stopped.
            os.kill(self._child, signal.SIGCONT)
            while self._connection.recv(MESSAGE_BYTES) not in (PAUSED, b""):
                pass

    def show(self, text: str) -> None:
        """Replace the text of the progress line."""
        self.text = text
        self._send(TEXT + text.encode(errors="replace")[: MESSAGE_BYTES - 1])

    def done(self, amount: int) -> None:
        """Set the number of completed bytes; the line changes only every 256 KiB, so that few messages are sent."""
        if amount - self._sent >= 1 << 18:
            self._sent = amount
            self._send(DONE + b"%d" % amount)

    def close(self) -> None:
        """Remove the line and wait until the child process has ended; idempotent.

        If the child process has not drawn the line since the last `pause`, this method kills the child process. The
        child process may still be importing rich, which takes long, and the command must not wait for that.
        """
        if not self._child:
            return
        os.kill(self._child, signal.SIGCONT if self._has_drawn() else signal.SIGKILL)
        with suppress(OSError):
            # Because other processes that the command forked have copies of the socket, close() alone would not end the
            # connection.
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()
        child, self._child = self._child, 0
        with suppress(ChildProcessError):
            os.waitpid(child, 0)

    def _has_drawn(self) -> bool:
        """Return whether the child process has drawn the line since the last `pause`."""
        try:
            return self._connection.recv(MESSAGE_BYTES, socket.MSG_DONTWAIT) == DRAWING
        except OSError:
            return False

    def _send(self, message: bytes) -> None:
        with suppress(OSError):  # the child may have been killed
            self._connection.send(message)


class _Line:
    """The progress line. Only the child process that draws the line uses this class."""

    def __init__(self, text: str, total: int, announce: Callable[[], object]) -> None:
        self.text, self.total, self.amount, self._announce = text, total, 0, announce
        self._stop: Callable[[], None] | None = None
        self._update: Callable[[], None] = lambda: None

    def show(self) -> None:
        """Draw the line; idempotent."""
        if self._stop is None:
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as RichProgress
            from rich.table import Column

            text = TextColumn(
                "{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")
            )
            amount = [BarColumn(), DownloadColumn()] if self.total else []
            columns = [
                SpinnerColumn(table_column=Column(min_width=1)), text, *amount,
                TimeElapsedColumn(table_column=Column(min_width=7)),
            ]  # fmt: skip
            shown = RichProgress(*columns, console=Console(force_terminal=True), transient=True)
            task = shown.add_task(self.text, total=self.total or None)
            self._update = lambda: shown.update(task, description=self.text, completed=self.amount)
            self._update()
            self._announce()
            shown.start()
            self._stop = shown.stop

    def hide(self) -> None:
        """Remove the line."""
        if self._stop:
            self._stop()
            self._stop = None

    def suspend(self) -> None:
        """Show the cursor, and stop this process until SIGCONT arrives, because ctrl-Z has stopped the command.

        The line is not removed, because the shell may already have printed its prompt.
        """
        is_drawn = self._stop is not None
        if is_drawn:
            os.write(1, SHOW_CURSOR)
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, handler)
        if is_drawn:
            os.write(1, HIDE_CURSOR)

    def take(self, message: bytes) -> None:
        """Process a message of the command: `TEXT` and the new text, or `DONE` and the number of completed bytes."""
        if message[:1] == TEXT:
            self.text = message[1:].decode(errors="replace")
        elif message[:1] == DONE:
            self.amount = int(message[1:])
        if self._stop:
            self._update()


def _become_child(connection: socket.socket, terminal: int, text: str, total: int) -> NoReturn:
    """Run the child process: draw the progress line on ``terminal`` (a file descriptor), then exit; never returns.

    The child process exits when the command dies or closes ``connection``. `Progress` explains ``text`` and ``total``.
    """
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTTOU):
            signal.signal(number, signal.SIG_IGN)
        line = _Line(text, total, lambda: connection.send(DRAWING))
        signal.signal(signal.SIGTSTP, lambda *_: line.suspend())
        os.dup2(terminal, 1)
        os.dup2(terminal, 2)
        kept = connection.fileno()
        os.closerange(3, kept)
        os.closerange(kept + 1, 1 << 16)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        draw(connection, line)
    finally:
        os._exit(0)


def draw(connection: socket.socket, line: _Line) -> None:
    """Draw the line whenever the command has printed nothing for half a second; runs in the child process.

    Before the command prints, it sends the message `PAUSE` on ``connection``. This function then hides the line, and
    the half second starts again. The function also checks whether SIGSTOP has stopped the command, and hides the line
    until the command continues. Ctrl-Z stops this process too, so it needs no check. Return when the command closes the
    connection or dies.
    """
    command, paused = os.getppid(), time.monotonic()
    connection.settimeout(LOOK_SECONDS)
    try:
        while True:
            try:
                message = connection.recv(MESSAGE_BYTES)
            except TimeoutError:
                if os.getppid() != command:
                    return
                if lock_holder.is_stopped(command):
                    line.hide()
                    paused = time.monotonic()
            else:
                if not message:
                    return
                if message == PAUSE:
                    line.hide()
                    paused = time.monotonic()
                    connection.send(PAUSED)
                else:
                    line.take(message)
            if time.monotonic() - paused >= DELAY_SECONDS:
                line.show()
    finally:
        line.hide()
