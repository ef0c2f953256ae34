"""Calls that a manager's server passes on to etcd: workers may read and watch ``shared/``, managers may make every
call.

The data of a watch is passed on byte for byte, because etcd's answer is already an HTTP answer.
"""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from engine.cluster import keys
from engine.cluster.etcd import Client
from engine.cluster.etcd.client import end_of
from engine.errors import Forbidden, InvalidArgument
from engine.swarm.server.connections import Visit

RANGE, WATCH = "/v3/kv/range", "/v3/watch"
READING = ("key", "range_end", "keys_only", "count_only", "limit")
CHUNK = 1 << 16
SENDING_SECONDS = 10.0
"""Maximum seconds that a host may take to accept one piece of the data of its watch."""
NOT_SHARED = "a worker may read what all hosts share, and nothing else of the store"


def checked_range(body: dict[str, Any]) -> dict[str, Any]:
    """Return a worker's range request with only the allowed fields; raises `Forbidden` for keys outside ``shared/``."""
    _check_span(body)
    return {name: body[name] for name in READING if name in body}


def checked_watch(body: dict[str, Any]) -> dict[str, Any]:
    """Return a worker's watch request with only the allowed fields; raises `Forbidden` for keys outside ``shared/``.

    Raises InvalidArgument if ``body`` is not a request to create a watch.
    """
    request = body.get("create_request")
    if not isinstance(request, dict):
        raise InvalidArgument("a watch begins with create_request")
    _check_span(request)
    start = int(request.get("start_revision", 0))
    span = {name: request[name] for name in ("key", "range_end") if name in request}
    return {"create_request": {**span, "start_revision": start, "progress_notify": True}}


def _check_span(body: dict[str, Any]) -> None:
    """Check that the request's key range is completely below ``shared/``; raises Forbidden if not."""
    prefix, end = keys.SHARED.encode(), end_of(keys.SHARED).encode()
    key = b64decode(str(body.get("key", "")), validate=True)
    last = b64decode(str(body.get("range_end", "")), validate=True)
    # A range_end of "\0" means all keys from ``key`` on. It is refused too, because ``key`` is not less than "\0".
    if not key.startswith(prefix) or (last and not key < last <= end):
        raise Forbidden(NOT_SHARED)


def watch(visit: Visit, client: Client, body: dict[str, Any]) -> None:
    """Start a watch in etcd, and forward its data to a host until etcd or the host closes the connection.

    ``visit`` is the host's connection, ``body`` the watch request for etcd. The connection's deadline is removed.
    """
    connection = client.take()
    try:
        visit.socket.settimeout(SENDING_SECONDS)
        connection.send(WATCH, body)
        visit.until = float("inf")  # the server ends the watch if the node is removed or its certificate expires
        for piece in connection.pieces(CHUNK, until=visit.socket):
            visit.socket.sendall(piece)
            if visit.closed:
                return
    finally:
        connection.close()
