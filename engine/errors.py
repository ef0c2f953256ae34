"""The engine's errors: each class is a kind of failure, its message is what the user reads.

The kinds are those of Docker's errdefs. Exit code and HTTP status derive from the class alone; the command line
prefixes the message with ``Error response from daemon: `` and never changes it.
"""

from __future__ import annotations

from typing import ClassVar


class EngineError(Exception):
    """A failure the user must read about; ``str(error)`` is Docker's own text without any prefix."""

    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    lines: ClassVar[bool] = False  # whether the message is laid out in several lines


class InvalidArgument(EngineError):
    """The request itself is wrong, whatever the state of the host (HTTP 400)."""

    status = 400


class InvalidSettings(InvalidArgument):
    """Several settings of the request may be wrong; the message has a line for each."""

    lines = True


class NotFound(EngineError):
    """A named network, container, image or driver does not exist (HTTP 404)."""

    status = 404


class Conflict(EngineError):
    """The request collides with something that exists (HTTP 409)."""

    status = 409


class Forbidden(EngineError):
    """The request is well formed and not allowed in the present state (HTTP 403)."""

    status = 403


class PermissionDenied(EngineError):
    """The caller lacks root or CAP_NET_ADMIN."""

    status = 403


class Unavailable(EngineError):
    """Something hawse depends on (a store, nft, a kernel module, the cluster) does not answer (HTTP 503)."""

    status = 503


class Outdated(Unavailable):
    """The state is of a newer hawse than this process, which can do no more than make room for one of that kind."""


class NotImplementedByHawse(EngineError):
    """Docker can do it and hawse cannot (HTTP 501)."""

    status = 501


class KernelFailure(EngineError):
    """The kernel refused an operation; the message names operation, object and errno (HTTP 500)."""


class InterfaceFailure(KernelFailure):
    """The kernel would not have a sandbox's interface as asked."""


class StartFailure(EngineError):
    """A container's process could not be executed; ``exit_code`` is 127 (not found) or 126 (not executable)."""

    status = 400

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]


def shown(name: bytes | str) -> str:
    """Return a short printable name as it is, any other one in double quotes, escaped and cut."""
    text = name if isinstance(name, str) else name.decode("utf-8", "backslashreplace")
    return text if len(text) <= _LIMIT and text.isprintable() and text else quoted(text)


def quoted(text: str) -> str:
    """Return the text in double quotes, escaped and cut."""
    cut = text[:_LIMIT]
    escaped = "".join(c if c.isprintable() and c not in '"\\' else f"\\u{ord(c):04x}" for c in cut)
    return f'"{escaped}…"' if len(text) > _LIMIT else f'"{escaped}"'


_LIMIT = 200  # characters
