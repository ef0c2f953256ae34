"""The engine's errors. An error's class is the kind of failure; its message is the text that the user sees.

The classes correspond to the error kinds of Docker's errdefs package. Exit code and HTTP status depend only on the
class. The command line adds the prefix ``Error response from daemon: `` and does not change the rest of the message.
"""

from __future__ import annotations

import errno
import os
from typing import ClassVar, TypeVar

E = TypeVar("E", bound="EngineError")


class EngineError(Exception):
    """A failure to report to the user; ``str(error)`` is the text that Docker prints, without a prefix.

    ``hint`` explains the cause, or says what the user can do. It is shown only on a terminal, after Docker's text.
    ``repeatable`` is True if an address, a port or a network could not be reserved (`marked_repeatable` in
    `engine.host`). ``status`` is the HTTP status, and ``exit_code`` the exit code of the command. ``lines`` is True if
    the text has several lines.
    """

    hint: str = ""
    repeatable: bool = False
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    lines: ClassVar[bool] = False


def hinted(error: E, hint: str) -> E:
    """Set the hint of an error, and return the same error."""
    error.hint = hint
    return error


SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
"""The error numbers of a system call that failed only because a resource was used up at that moment.

Such an error does not mean that the file or the feature is missing.
"""


def reason_of(error: OSError) -> str:
    """Return the text of an operating system's error without its number and file, in lower case as Go prints it."""
    return (error.strerror or str(error) or type(error).__name__).lower()


def in_words(error: BaseException) -> str:
    """Return an error's text without the error number: "connection refused", or "/x: permission denied"."""
    if isinstance(error, OSError) and error.strerror:
        place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, (str, bytes)) else ""
        return place + error.strerror.lower()
    return str(error) or ("timed out" if isinstance(error, TimeoutError) else type(error).__name__)


class InvalidArgument(EngineError):
    """The request itself is wrong, independent of the host's state."""

    status = 400


class InvalidSettings(InvalidArgument):
    """Several settings of a request are wrong; the message has one line for each wrong setting."""

    lines = True


class NotFound(EngineError):
    """A named network, container, image or driver does not exist."""

    status = 404


class Conflict(EngineError):
    """The request conflicts with an existing object or with the state of an object."""

    status = 409


class Forbidden(EngineError):
    """The request is valid but not allowed in the present state."""

    status = 403


class PermissionDenied(EngineError):
    """The caller has no root rights, lacks CAP_NET_ADMIN, or is not allowed to access a file."""

    status = 403


class Unavailable(EngineError):
    """A resource that hawse needs is not available: the store, nft, a kernel module or the cluster."""

    status = 503


class Damaged(Unavailable):
    """The store is damaged, or is missing although objects of hawse exist.

    The text names the command that repairs the store. ``reason`` is the text without the name of that command.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason} (run: hawse system check --repair)")
        self.reason = reason


class Outdated(Unavailable):
    """The store was written by a newer version of hawse than the version that this process runs.

    A long-running process then exits, so that a process of the newer version can replace it.
    """


class NotImplementedByHawse(EngineError):
    """Docker supports this operation, but hawse does not."""

    status = 501


class DriverFailure(EngineError):
    """A network driver refused a request, and Docker's error has no errdefs kind."""


class KernelFailure(EngineError):
    """The kernel refused an operation; the message names the operation, the object and the errno."""


class InterfaceFailure(KernelFailure):
    """The kernel refused to configure a sandbox's interface as requested."""


class PortFailure(KernelFailure):
    """A host port that a container publishes is not free; a disconnect ignores this error, as in Docker.

    For the gateway bridge, KernelFailure is raised instead: there, Docker's disconnect fails too.
    """


class StartFailure(EngineError):
    """A container's command could not be executed; ``exit_code`` is 127 (not found) or 126 (not executable)."""

    status = 400

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]


def shown(name: bytes | str) -> str:
    """Return a name for use in an error message; a name that is empty, long or not printable is in double quotes.

    In quotes, characters that are not printable are escaped, and the name is cut to its first 200 characters.
    """
    text = name if isinstance(name, str) else name.decode("utf-8", "backslashreplace")
    return text if len(text) <= _LIMIT and text.isprintable() and text else quoted(text)


def one_line(text: str) -> str:
    """Escape the characters of a text that are not printable, such as line ends, so that a log shows it on one line."""
    return text if text.isprintable() else "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def quoted(text: str) -> str:
    """Return the first 200 characters of a text in double quotes.

    Quotes, backslashes and characters that are not printable are escaped. "…" marks a longer text.
    """
    cut = text[:_LIMIT]
    escaped = "".join(one_line(c) if c not in '"\\' else f"\\u{ord(c):04x}" for c in cut)
    return f'"{escaped}…"' if len(text) > _LIMIT else f'"{escaped}"'


_LIMIT = 200  # characters; a longer name is truncated in error messages
