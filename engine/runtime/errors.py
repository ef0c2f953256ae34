"""Describe why a process could not be created or executed, with the texts of runc, which Docker shows.

Callers of the runtime get `engine.runtime.api.RuntimeFailure` instead of `SetupFailed`.
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
    """Raised if a process cannot be created, or cannot execute its command.

    ``kind`` is the reason: not-found, permission, bad-user, bad-cwd or other. If ``plain`` is set, the text is the
    complete error message. Otherwise the text becomes part of a longer message, as in runc.
    """

    def __init__(self, kind: str, text: str, *, plain: bool = False) -> None:
        super().__init__(text)
        self.kind, self.text, self.plain = kind, text, plain


def reason(error: OSError) -> str:
    """Return the text of an error as Go prints it, such as "permission denied"."""
    return os.strerror(error.errno or 0).lower()


def describe(error: Exception) -> str:
    """Return the message for an error in a child process, such as "/x: permission denied" for an OSError."""
    if isinstance(error, OSError):
        return f"{error.filename or 'system call'}: {reason(error)}"
    return f"{type(error).__name__}: {error}"


def hook_error(text: str) -> str:
    """Return the message that dockerd prints if runc's hook cannot configure a container's network.

    ``text`` is the reason.
    """
    hook = "error during container init: error running hook #0: error running hook: exit status 1, stdout: , stderr: "
    return message(SetupFailed(OTHER, hook + text), CREATE)


def message(failure: SetupFailed, prefix: str) -> str:
    """Return the complete error message that dockerd prints; ``prefix`` is its first part (`CREATE` or `EXEC`).

    If ``failure.plain`` is set, the result is only the text of ``failure``.
    """
    if failure.plain:
        return failure.text
    text = f"{prefix}unable to start container process: {failure.text}: unknown"
    if failure.text.endswith("is a directory"):
        return text + ": permission denied"
    return text + _WRONG_TYPE if failure.text.endswith("not a directory") else text
