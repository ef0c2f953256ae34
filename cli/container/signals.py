"""Forward the signals that hawse receives to the container to which hawse is attached."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

# SIGWINCH is not forwarded to the container, because `Attachment` passes the terminal's size to the container. SIGCHLD
# and SIGPIPE are not forwarded, because they concern only this process.
FORWARDED = (
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM,
    signal.SIGCONT, signal.SIGTSTP,
)  # fmt: skip


class SignalProxy:
    """A context manager that catches the signals of this process and forwards them to a container.

    ``send`` sends a signal to the container; its argument is the signal's name without "SIG". Before `open` is called,
    signals are queued, because the container does not run yet and cannot receive signals. No signal is lost, and no
    signal interrupts hawse. Python allows signal handlers only in the main thread; in other threads this class does
    nothing.
    """

    def __init__(self, send: Callable[[str], None]) -> None:
        self.send = send
        self.ready = False
        self.pending: list[int] = []
        self.previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in FORWARDED:
            try:
                self.previous[number] = signal.signal(number, self.receive)
            except ValueError:
                break
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def open(self) -> None:
        """Forward the queued signals, and forward every later signal immediately."""
        self.ready = True
        while self.pending:
            self.pass_on(self.pending.pop(0))

    def receive(self, number: int, _: FrameType | None) -> None:
        """Forward the signal ``number`` to the container if `open` has been called; otherwise queue the signal."""
        if self.ready:
            self.pass_on(number)
        else:
            self.pending.append(number)

    def pass_on(self, number: int) -> None:
        """Forward one signal to the container, by its name without "SIG", as Docker's client does."""
        self.send(signal.Signals(number).name.removeprefix("SIG"))
