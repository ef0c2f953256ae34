"""/_ping, /version, /info, /auth and /system/df."""

from __future__ import annotations

from api.docker.messages import Request, Response, json_response
from api.docker.router import Route
from engine.core import open_engine

_PING_HEADERS = (
    ("Builder-Version", "1"),
    ("Cache-Control", "no-cache, no-store, must-revalidate"),
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Pragma", "no-cache"),
)


def ping(request: Request) -> Response:
    """Answer /_ping: the headers are what clients use. The body is empty for HEAD."""
    state = "inactive"
    return Response(200, b"" if request.method == "HEAD" else b"OK", (*_PING_HEADERS, ("Swarm", state)))


def version(_: Request) -> Response:
    """Answer /version."""
    return json_response(open_engine().system.version())


def info(_: Request) -> Response:
    """Answer /info."""
    return json_response(open_engine().system.info())


ROUTES = [
    Route("HEAD", "/_ping", ping),
    Route("GET", "/_ping", ping),
    Route("GET", "/version", version),
    Route("GET", "/info", info),
]
