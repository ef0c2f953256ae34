"""Forward the signals that hawse receives to the container it is attached to."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

# Not SIGWINCH: the attachment follows the terminal's size itself. SIGCHLD and SIGPIPE concern this process alone.
FORWARDED = (
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM,
    signal.SIGCONT, signal.SIGTSTP,
)  # fmt: skip


class SignalProxy:
    """While entered, signals are kept back, and after `open` they are passed on; nothing is lost, none interrupts.

    Keeping them back protects the steps before the container runs: a handler in the middle of a start could not send
    anything anywhere. Outside the main thread, where Python has no handlers, it does nothing.
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
        """Pass on what came so far, and everything from now on."""
        self.ready = True
        while self.pending:
            self.pass_on(self.pending.pop(0))

    def receive(self, number: int, _: FrameType | None) -> None:
        """Take one signal."""
        if self.ready:
            self.pass_on(number)
        else:
            self.pending.append(number)

    def pass_on(self, number: int) -> None:
        """Send one signal by its name without SIG, as Docker's client does."""
        self.send(signal.Signals(number).name.removeprefix("SIG"))
