"""Why a process could not be made or executed, in Docker's (that is, runc's) words.

Imports little, because the supervisor lives on it; `engine.runtime.api.RuntimeFailure` is what callers see of it.
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
    """A step failed; ``plain`` texts stand for themselves, all others are what runc would say."""

    def __init__(self, kind: str, text: str, *, plain: bool = False) -> None:
        super().__init__(text)
        self.kind, self.text, self.plain = kind, text, plain


def reason(error: OSError) -> str:
    """An errno as Go prints it."""
    return os.strerror(error.errno or 0).lower()


def describe(error: Exception) -> str:
    """What went wrong in a child, whatever it was."""
    if isinstance(error, OSError):
        return f"{error.filename or 'system call'}: {reason(error)}"
    return f"{type(error).__name__}: {error}"


def hook_error(text: str) -> str:
    """The daemon's answer to a failure of the hook in which runc lets the sandbox be furnished."""
    hook = "error during container init: error running hook #0: error running hook: exit status 1, stdout: , stderr: "
    return message(SetupFailed(OTHER, hook + text), CREATE)


def message(failure: SetupFailed, prefix: str) -> str:
    """The whole text that the daemon would answer with; ``prefix`` is `CREATE` or `EXEC`."""
    if failure.plain:
        return failure.text
    text = f"{prefix}unable to start container process: {failure.text}: unknown"
    if failure.text.endswith("is a directory"):
        return text + ": permission denied"
    return text + _WRONG_TYPE if failure.text.endswith("not a directory") else text
