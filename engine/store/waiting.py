"""Wait for a lock: find out whether its holder is stopped, and show the holder to the user at the terminal.

The command line sets the notice. Without a notice (in a pipe, in a resident process), nothing is shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Self

from engine.store import lock_holder

NOTICE_DELAY_SECONDS = 0.5
Notice = Callable[[str], AbstractContextManager[object]]
"""Shows a text as long as the context manager is active."""

_notice: Notice | None = None


def set_notice(notice: Notice | None) -> None:
    """Set the function that shows the object of a wait; with None, nothing is shown."""
    global _notice  # noqa: PLW0603
    _notice = notice


class Wait:
    """A context manager around a loop that waits for a lock; each turn of the loop calls `check`.

    ``what`` describes the command that holds the lock. ``holder`` returns its pid, or 0 if it is not found.
    """

    def __init__(self, what: str, holder: Callable[[], int]) -> None:
        self._what, self._holder, self._shown = what, holder, ExitStack()
        self.began = self._looked = time.monotonic()
        self._is_shown = False

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
            self._shown.enter_context(_notice(f"Waiting for {self.described()}"))

    def is_in_vain(self) -> bool:
        """Return whether the holder of the lock is stopped, so that waiting is useless.

        Checks this at most once in `lock_holder.STOP_CHECK_SECONDS`.
        """
        now = time.monotonic()
        if now - self._looked < lock_holder.STOP_CHECK_SECONDS:
            return False
        self._looked = now
        return lock_holder.is_stopped(self._holder())

    def described(self) -> str:
        """Return the words for the command that holds the lock, with its process if that is found."""
        return f"{self._what}{lock_holder.described(self._holder())}"
