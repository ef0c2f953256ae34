"""Describe why a process could not be created or executed, in Docker's (that is, runc's) words.

This module imports little, because the supervisor uses it and must stay small. Callers of the runtime get
`engine.runtime.api.RuntimeFailure` instead.
"""

from __future__ import annotations

import os

CREATE = (
    "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: "
)
EXEC = "OCI runtime exec failed: exec failed: "

NOT_FOUND, PERMISSION, BAD_USER, BAD_CWD, OTHER = "not-found", "permission", "bad-user", "bad-cwd", "other"

_WRONG_TYPE = (
    ": Are you trying to mount a directory onto a file (or vice-versa)? "
    "Check if the specified host path exists and is the expected type"
)


class SetupFailed(Exception):
    """A step failed; a ``plain`` text is the complete message, other texts are wrapped as runc's messages."""

    def __init__(self, kind: str, text: str, *, plain: bool = False) -> None:
        super().__init__(text)
        self.kind, self.text, self.plain = kind, text, plain


def reason(error: OSError) -> str:
    """Return an errno's text as Go prints it."""
    return os.strerror(error.errno or 0).lower()


def describe(error: Exception) -> str:
    """Return the description of any error in a child process."""
    if isinstance(error, OSError):
        return f"{error.filename or 'system call'}: {reason(error)}"
    return f"{type(error).__name__}: {error}"


def hook_error(text: str) -> str:
    """Return the daemon's message for a failure of the runc hook that configures the sandbox."""
    hook = "error during container init: error running hook #0: error running hook: exit status 1, stdout: , stderr: "
    return message(SetupFailed(OTHER, hook + text), CREATE)


def message(failure: SetupFailed, prefix: str) -> str:
    """Return the daemon's complete message; ``prefix`` is `CREATE` or `EXEC`."""
    if failure.plain:
        return failure.text
    text = f"{prefix}unable to start container process: {failure.text}: unknown"
    if failure.text.endswith("is a directory"):
        return text + ": permission denied"
    return text + _WRONG_TYPE if failure.text.endswith("not a directory") else text
