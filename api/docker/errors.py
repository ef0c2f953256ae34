"""The errors of the API: a status and a message, which the client gets as ``{"message": ...}``."""

from __future__ import annotations

from http import HTTPStatus

from engine.errors import EngineError


class ApiError(Exception):
    """A failure that the client sees. ``status`` is the HTTP status, ``str(error)`` the message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class MalformedRequest(Exception):
    """A request that is not valid HTTP/1.

    The client gets ``str(error)`` as plain text, as Go's HTTP server sends it. hawse then closes the connection.
    """

    def __init__(self, status: int = 400, detail: str = "") -> None:
        super().__init__(f"{status} {HTTPStatus(status).phrase}" + (f": {detail}" if detail else ""))


class BrokenBody(ApiError):
    """The body of a request ends too early, or its chunks are malformed. The message is that of Go's HTTP server."""

    def __init__(self, message: str) -> None:
        super().__init__(500, message)


class ClientGone(Exception):
    """The client has closed its connection, or has not read for so long that hawse closes the connection."""


def bad_request(message: str) -> ApiError:
    """Return the error for an invalid request (400)."""
    return ApiError(400, message)


def api_error(error: EngineError | ApiError) -> ApiError:
    """Return the API's error for an error of the engine, whose class decides the status; return an ApiError unchanged.

    Because users of the API type docker's commands, the message names ``docker swarm`` instead of ``hawse swarm``.
    """
    if isinstance(error, ApiError):
        return error
    return ApiError(error.status, str(error).replace('"hawse swarm ', '"docker swarm '))
