"""One HTTP/1.1 connection that posts JSON and reads the JSON answer, whole or line by line.

Supports Unix sockets, TLS, Content-Length and chunked transfer. Redirects, proxies and other features are not
supported, because etcd's gateway does not use them. Connections over the network always use TLS. The module http.client
is not used, because its import would make every command 26 ms slower.
"""

from __future__ import annotations

import json
import os
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import SplitResult, urlsplit

from engine.cluster.etcd.errors import named, refusal
from engine.cluster.keys import LAYOUT
from engine.runtime.peer import socket_address

Json = dict[str, Any]
DEFAULT_PORT = 2379
MAX_HEADER = 65536  # bytes of one header line
LARGEST_BYTES = 1 << 30  # maximum bytes of one answer, and of one chunk of a stream
LAYOUT_HEADER = "Hawse-Layout"
"""HTTP header with the version of the etcd key names (`keys.LAYOUT`) that this host uses. A manager's server checks the
version; etcd ignores the header.
"""
NEEDS_LEADER = "Grpc-Metadata-hasleader: true"
"""HTTP header that makes a member without a leader refuse calls and end watches immediately.

Without the header, such a member would keep its watches open and silent.
"""
DEAD = (
    (socket.TCP_KEEPIDLE, 2),
    (socket.TCP_KEEPINTVL, 1),
    (socket.TCP_KEEPCNT, 3),
    (socket.TCP_USER_TIMEOUT, 5000),
)
"""TCP keepalive times (seconds) and TCP user timeout (milliseconds) of a connection to etcd.

With these options, the connection fails if the other host does not answer for 5 s.
"""


class EtcdConnection:
    """A connection to the etcd member at ``url`` (https or a Unix socket); each wait takes up to ``timeout`` seconds.

    ``context`` is a function that makes the ssl.SSLContext for https. The member must have a certificate for ``name``,
    or for the URL's host if ``name`` is empty. If ``token`` is not empty, every request includes the token.
    """

    token = ""
    date = ""
    """The HTTP header Date of the last answer: the other side's clock."""
    largest = LARGEST_BYTES
    """Maximum bytes of an answer; a longer answer raises ConnectionError. A caller may set a lower limit."""

    def __init__(self, url: str, context: Callable[[], Any], timeout: float, name: str = "") -> None:
        parts = urlsplit(url)
        self._authority = parts.netloc.rpartition("@")[2] or "localhost"
        local = parts.scheme == "unix"
        self._socket = _connected_locally(url.removeprefix("unix:"), timeout) if local else _connected(parts, timeout)
        try:
            if parts.scheme == "https":
                self._socket = context().wrap_socket(self._socket, server_hostname=name or parts.hostname)
            self._file = self._socket.makefile("rb")
        except BaseException:
            self._socket.close()
            raise

    def post(self, path: str, body: Json) -> Json:
        """Post the request ``body`` to the URL path ``path``, and return the JSON answer.

        Raises EtcdError if etcd refuses the request. If a manager's server refuses, raises the error class that the
        server names. Raises OSError if the connection fails.
        """
        return _checked(200, self.fetch(path, body))

    def fetch(self, path: str, body: Json) -> bytes:
        """Post the request ``body`` to the URL path ``path``, and return the body of the answer as unparsed bytes.

        The caller can forward these bytes. Raises the same errors as `post`.
        """
        self.send(path, body)
        status, chunked, length = self._head()
        data = self._content(chunked, length)
        if status != 200:
            _checked(status, data)
        return data

    def stream(self, path: str, body: Json) -> Iterator[Json]:
        """Post the request ``body``, and yield the JSON lines of the answer until the member ends the answer.

        ``path`` is the URL path. A member also ends the answer when it loses its quorum. Raises OSError if the
        connection fails.
        """
        self.send(path, body)
        status, chunked, length = self._head()
        if status != 200:
            _checked(status, self._content(chunked, length))
        rest = b""
        for chunk in self._chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in filter(None, lines):
                yield _checked(status, line)

    def set_timeout(self, seconds: float) -> None:
        """Set the timeout in seconds for every later wait."""
        self._socket.settimeout(seconds)

    def send(self, path: str, body: Json) -> None:
        """Post the request ``body`` to the URL path ``path``, and return without waiting for the answer."""
        data = json.dumps(body).encode()
        head = [f"POST {path} HTTP/1.1", f"Host: {self._authority}", f"Content-Length: {len(data)}", NEEDS_LEADER]
        head.append(f"{LAYOUT_HEADER}: {LAYOUT}")
        if self.token:
            head.append(f"Authorization: {self.token}")
        self._socket.sendall("\r\n".join([*head, "", ""]).encode() + data)

    def pieces(self, size: int, until: socket.socket) -> Iterator[bytes]:
        """Yield the bytes of the answer as they arrive, with the HTTP header, until the server closes the connection.

        Each item has at most ``size`` bytes. The iteration also ends when the socket ``until`` can be read or is
        closed.
        """
        waiting = select.poll()
        waiting.register(self._socket, select.POLLIN)
        waiting.register(until, select.POLLIN)
        while True:
            decrypted = getattr(self._socket, "pending", int)()
            if not decrypted and any(number == until.fileno() for number, _ in waiting.poll()):
                return
            piece = self._socket.recv(size)
            if not piece:
                return
            yield piece

    def _head(self) -> tuple[int, bool, int]:
        status = self._line().split(b" ", 2)
        if len(status) < 2 or not status[1].isdigit():
            raise ConnectionError("not an HTTP answer")
        chunked, length = False, 0
        while line := self._line():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = _number(value, 10)
            elif name.lower() == b"transfer-encoding":
                chunked = value.strip().lower() == b"chunked"
            elif name.lower() == b"date":
                self.date = value.strip().decode("ascii", "replace")
        return int(status[1]), chunked, length

    def _line(self) -> bytes:
        line = self._file.readline(MAX_HEADER)
        if not line.endswith(b"\n"):
            raise ConnectionError("connection closed")
        return line.strip()

    def _content(self, chunked: bool, length: int) -> bytes:
        """Read the body of an answer; ``length`` is its number of bytes, unless the body is ``chunked``.

        Raises ConnectionError if the body is cut off, or longer than ``self.largest``.
        """
        if not chunked:
            return self._read(length)
        content = bytearray()
        for chunk in self._chunks():
            content += chunk
            self._check_size(len(content))
        return bytes(content)

    def _chunks(self) -> Iterator[bytes]:
        while size := _number(self._line().partition(b";")[0], 16):
            data = self._read(size)
            self._line()
            yield data
        self._line()

    def _read(self, size: int) -> bytes:
        self._check_size(size)
        data = self._file.read(size)
        if len(data) < size:
            raise ConnectionError("connection closed")
        return data

    def _check_size(self, size: int) -> None:
        if not 0 <= size <= self.largest:
            raise ConnectionError("the answer is too long")

    def close(self) -> None:
        """Close the connection; idempotent."""
        with suppress(OSError):
            self._file.close()
            self._socket.close()


def _connected(parts: SplitResult, timeout: float) -> socket.socket:
    """Return a TCP socket connected to the host and port of a URL; raises ConnectionError if the URL is not https.

    The socket has no TLS yet. ``timeout`` limits the connecting and each later wait, in seconds.
    """
    if parts.scheme != "https":
        raise ConnectionError(f"{parts.scheme}:// is not protected by TLS")
    made = socket.create_connection((parts.hostname or "", parts.port or DEFAULT_PORT), timeout)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in ((socket.TCP_NODELAY, 1), *DEAD):
            made.setsockopt(socket.IPPROTO_TCP, option, value)
    except BaseException:
        made.close()
        raise
    return made


def _connected_locally(path: str, timeout: float) -> socket.socket:
    """Return a socket connected to the Unix socket at ``path``; each wait takes up to ``timeout`` seconds."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.settimeout(timeout)
        with socket_address(*os.path.split(path)) as address:
            made.connect(address)
    except BaseException:
        made.close()
        raise
    return made


def _number(text: bytes, base: int) -> int:
    """Parse a number of the HTTP protocol, such as the size of a chunk; raises ConnectionError for other text.

    ``base`` is 10 or 16, the base in which ``text`` is written.
    """
    try:
        return int(text, base)
    except ValueError as error:
        raise ConnectionError("not an HTTP answer") from error


def _checked(status: int, data: bytes) -> Json:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ConnectionError(f"unexpected answer (HTTP {status})")
    problem = document.get("error")
    if status == 200 and not problem:
        content: Json = document
        return content
    if "kind" in document:
        raise named(str(document["kind"]), str(document.get("message", "")))
    if isinstance(problem, dict):
        raise refusal(str(problem.get("message", problem)), _code(problem, "grpc_code"))
    raise refusal(str(document.get("message") or problem or f"HTTP {status}"), _code(document, "code"))


def _code(document: Json, name: str) -> int:
    """Return the gRPC status in the field ``name`` of an error answer, or 0 if it is missing or no number."""
    code = document.get(name, 0)
    return code if isinstance(code, int) else 0
