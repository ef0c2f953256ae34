"""Calls that go on to the store as they are: reading and watching what is shared; for managers, all of etcd's.

A watch is passed on byte for byte: what etcd sends is an HTTP answer already.
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
SENDING = 10.0
"""Seconds that a host may take to take in a piece of its watch."""
NOT_SHARED = "a worker may read what all hosts share, and nothing else of the store"


def checked_range(body: dict[str, Any]) -> dict[str, Any]:
    """A worker's range as it may be passed on; `Forbidden` where it reaches beyond what is shared."""
    _check_span(body)
    return {name: body[name] for name in READING if name in body}


def checked_watch(body: dict[str, Any]) -> dict[str, Any]:
    """A worker's watch as it may be passed on."""
    asked = body.get("create_request")
    if not isinstance(asked, dict):
        raise InvalidArgument("a watch begins with create_request")
    _check_span(asked)
    start = int(asked.get("start_revision", 0))
    span = {name: asked[name] for name in ("key", "range_end") if name in asked}
    return {"create_request": {**span, "start_revision": start, "progress_notify": True}}


def _check_span(body: dict[str, Any]) -> None:
    """Refuse what is not below ``shared/`` from its first key to its last."""
    prefix, end = keys.SHARED.encode(), end_of(keys.SHARED).encode()
    key = b64decode(str(body.get("key", "")), validate=True)
    last = b64decode(str(body.get("range_end", "")), validate=True)
    if not key.startswith(prefix) or (last and not key < last <= end):  # an end of one zero byte means all keys
        raise Forbidden(NOT_SHARED)


def watch(visit: Visit, client: Client, body: dict[str, Any]) -> None:
    """Pass a watch on until either side ends it."""
    connection = client.take()
    try:
        visit.socket.settimeout(SENDING)
        connection.send(WATCH, body)
        visit.until = float("inf")  # it lasts as long as the host has its place, and its certificate
        for piece in connection.pieces(CHUNK, until=visit.socket):
            visit.socket.sendall(piece)
            if visit.closed:
                return
    finally:
        connection.close()
