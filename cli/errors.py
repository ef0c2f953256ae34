"""The failures that the command line itself finds, before or instead of the engine."""

from __future__ import annotations

FLAG_ERROR = 125
"""Exit code of a bad flag, and of a `run` whose container could not be started."""


class StatusError(Exception):
    """End the command with this text on stderr (none when empty) and this exit code; nothing is put before the text."""

    def __init__(self, text: str = "", exit_code: int = 1) -> None:
        super().__init__(text)
        self.text = text
        self.exit_code = exit_code
