"""Reads HTTP requests of hosts and builds the answers.

A request is a POST with a JSON object over HTTP/1; other requests are refused. A connection may have several requests,
one after another.
"""

from __future__ import annotations

import json
from email.utils import formatdate
from typing import Any, BinaryIO

from msgspec import Struct

from engine.cluster.etcd.http import LAYOUT_HEADER
from engine.errors import InvalidArgument

LONGEST_LINE, MOST_HEADERS = 4096, 32
LARGEST_GUEST, LARGEST = 1 << 16, 1 << 20
"""Maximum bytes of a request's body: from a guest, and from a known host (`connections`)."""
REASONS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 503: "Service Unavailable"}


class HttpRequest(Struct, frozen=True):
    """One HTTP request: URL path, JSON body, and the size of the body in bytes.

    ``layout`` is the sender's version of the etcd key names (`keys.LAYOUT`) as text, or "" if the request lacks it.
    """

    path: str
    body: dict[str, Any]
    layout: str
    size: int


def read(file: BinaryIO, largest: int) -> HttpRequest | None:
    """Read the next request, or return None at the end of the connection.

    ``largest`` is the maximum number of bytes of the body. Raises `InvalidArgument` for a malformed request.
    """
    line = file.readline(LONGEST_LINE)
    if not line:
        return None
    words = line.split()
    if len(words) != 3 or words[0] != b"POST" or not words[2].startswith(b"HTTP/1.") or not line.endswith(b"\n"):
        raise InvalidArgument("this is a server of hawse's, which takes POST alone")
    headers = _headers(file)
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdigit() and int(length) <= largest):
        raise InvalidArgument("the length of the request is missing or too large")
    body, path = _document(file.read(int(length))), words[1].decode("ascii", "replace")
    return HttpRequest(path, body, headers.get(_LAYOUT, ""), int(length))


_LAYOUT = LAYOUT_HEADER.lower()


def _headers(file: BinaryIO) -> dict[str, str]:
    headers: dict[str, str] = {}
    for _ in range(MOST_HEADERS):
        line = file.readline(LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise InvalidArgument("the request's header is cut off or too long")
        if not line.strip():
            return headers
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    raise InvalidArgument("the request has too many headers")


def _document(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise InvalidArgument("the request is no JSON object")
    return document


def answer(status: int, document: dict[str, Any]) -> bytes:
    """Return an HTTP answer with a JSON document."""
    return packed(status, json.dumps(document).encode())


def packed(status: int, data: bytes) -> bytes:
    """Return an HTTP answer with ``data``, which is already JSON."""
    head = f"HTTP/1.1 {status} {REASONS.get(status, 'Error')}\r\nContent-Type: application/json\r\n"
    date = formatdate(usegmt=True)  # other hosts compare their clocks with this header
    return f"{head}Date: {date}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data
