"""Forward the signals that hawse receives to the container it is attached to."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

# SIGWINCH is not forwarded, because the attachment itself follows the terminal's size. SIGCHLD and SIGPIPE concern only
# this process.
FORWARDED = (
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM,
    signal.SIGCONT, signal.SIGTSTP,
)  # fmt: skip


class SignalProxy:
    """Context manager that queues signals until `open`, then forwards them; no signal is lost or interrupts hawse.

    Before the container runs, a signal cannot be sent to it, so it is queued. Outside the main thread Python allows no
    signal handlers, so this class does nothing there.
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
        """Forward the queued signals, and from now on every new signal immediately."""
        self.ready = True
        while self.pending:
            self.pass_on(self.pending.pop(0))

    def receive(self, number: int, _: FrameType | None) -> None:
        """Handle one signal: forward or queue it."""
        if self.ready:
            self.pass_on(number)
        else:
            self.pending.append(number)

    def pass_on(self, number: int) -> None:
        """Forward one signal by its name without SIG, as Docker's client does."""
        self.send(signal.Signals(number).name.removeprefix("SIG"))
