"""Tell the user at the terminal which command a command waits for.

The command line sets the notice. Without a notice (in a pipe, in a resident process), nothing is shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Self

NOTICE_DELAY_SECONDS = 0.5
Notice = Callable[[str], AbstractContextManager[object]]
"""Shows a text as long as the context manager is active."""

_notice: Notice | None = None


def set_notice(notice: Notice | None) -> None:
    """Set the function that shows the object of a wait; with None, nothing is shown."""
    global _notice  # noqa: PLW0603
    _notice = notice


class Wait:
    """A context manager around a loop that waits; each turn of the loop calls `check`."""

    def __init__(self, what: Callable[[], str]) -> None:
        self.what, self.began, self._shown = what, time.monotonic(), ExitStack()
        self._is_shown = _notice is None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shown.close()

    def check(self) -> None:
        """Show what this process waits for, if the wait has taken half a second."""
        if not self._is_shown and _notice and time.monotonic() - self.began >= NOTICE_DELAY_SECONDS:
            self._is_shown = True
            self._shown.enter_context(_notice(f"Waiting for {self.what()}"))
