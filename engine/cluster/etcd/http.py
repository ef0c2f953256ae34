"""One HTTP/1.1 connection that posts JSON and reads JSON, whole or line by line.

Knows TLS, Content-Length and chunks; refuses redirects, proxies and everything else that etcd's gateway never sends.
http.client would do it too, and costs every command another 26 ms of imports.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from engine.cluster.etcd.errors import refusal

Json = dict[str, Any]
DEFAULT_PORT = 2379
MAX_HEADER = 65536
NEEDS_LEADER = "Grpc-Metadata-hasleader: true"
"""Makes a member that has lost the others refuse at once, and end watches, which would be silent from then on."""
DEAD = (
    (socket.TCP_KEEPIDLE, 2),
    (socket.TCP_KEEPINTVL, 1),
    (socket.TCP_KEEPCNT, 3),
    (socket.TCP_USER_TIMEOUT, 5000),
)
"""Five silent seconds of the other side's kernel, and the connection has failed: listening (seconds) or telling it
something (milliseconds)."""


class Connection:
    """A connection to the member at ``url`` (http or https); ``timeout`` in seconds for every wait.

    Every request carries ``token`` where there is one.
    """

    token = ""

    def __init__(self, url: str, context: Any, timeout: float) -> None:
        parts = urlsplit(url)
        self._authority = parts.netloc.rpartition("@")[2]
        host, port = parts.hostname or "", parts.port or DEFAULT_PORT
        self._socket: socket.socket = socket.create_connection((host, port), timeout)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in ((socket.TCP_NODELAY, 1), *DEAD):
                self._socket.setsockopt(socket.IPPROTO_TCP, option, value)
            if parts.scheme == "https":
                self._socket = context.wrap_socket(self._socket, server_hostname=host)
            self._file = self._socket.makefile("rb")
        except BaseException:
            self._socket.close()
            raise

    def post(self, path: str, body: Json) -> Json:
        """Post and read one JSON answer; raises EtcdError for a refusal, OSError where the connection fails."""
        status, chunked, length = self._send(path, body)
        data = b"".join(self._chunks()) if chunked else self._file.read(length)
        if not chunked and len(data) < length:
            raise ConnectionError("connection closed")
        return _checked(status, data)

    def stream(self, path: str, body: Json) -> Iterator[Json]:
        """Post and read JSON lines until the other side ends them, which it does when it has lost the others."""
        status, chunked, length = self._send(path, body)
        if status != 200:
            _checked(status, b"".join(self._chunks()) if chunked else self._file.read(length))
        rest = b""
        for chunk in self._chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in filter(None, lines):
                yield _checked(status, line)

    def set_timeout(self, seconds: float) -> None:
        """Wait no longer than this from now on."""
        self._socket.settimeout(seconds)

    def _send(self, path: str, body: Json) -> tuple[int, bool, int]:
        data = json.dumps(body).encode()
        head = [f"POST {path} HTTP/1.1", f"Host: {self._authority}", f"Content-Length: {len(data)}", NEEDS_LEADER]
        if self.token:
            head.append(f"Authorization: {self.token}")
        self._socket.sendall("\r\n".join([*head, "", ""]).encode() + data)
        return self._head()

    def _head(self) -> tuple[int, bool, int]:
        status = self._line().split(b" ", 2)
        if len(status) < 2 or not status[1].isdigit():
            raise ConnectionError("not an HTTP answer")
        chunked, length = False, 0
        while line := self._line():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
            elif name.lower() == b"transfer-encoding":
                chunked = value.strip().lower() == b"chunked"
        return int(status[1]), chunked, length

    def _line(self) -> bytes:
        line = self._file.readline(MAX_HEADER)
        if not line.endswith(b"\n"):
            raise ConnectionError("connection closed")
        return line.strip()

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._line().partition(b";")[0], 16):
            data = self._file.read(size)
            if len(data) < size:
                raise ConnectionError("connection closed")
            self._line()
            yield data
        self._line()

    def close(self) -> None:
        """Close; idempotent."""
        with suppress(OSError):
            self._file.close()
            self._socket.close()


def _checked(status: int, data: bytes) -> Json:
    try:
        document = json.loads(data)
    except ValueError:
        raise ConnectionError(f"unexpected answer (HTTP {status})") from None
    problem = document.get("error")
    if status == 200 and not problem:
        found: Json = document
        return found
    if isinstance(problem, dict):
        raise refusal(str(problem.get("message", problem)), int(problem.get("grpc_code", 0)))
    raise refusal(str(document.get("message") or problem or f"HTTP {status}"), int(document.get("code", 0)))
