"""One HTTP connection: reads requests and writes answers with h11, a library for HTTP/1.

A hijack ends HTTP on the connection: the client and a container then exchange raw bytes.
Each connection has its own thread, so a slow client delays no other client. Between two requests, a client may be idle
without a limit. The client has `HEAD_SECONDS` for the head of a request, and `BODY_SECONDS` for each piece of a body.
"""

from __future__ import annotations

import fcntl
import re
import socket
import termios
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from http import HTTPStatus

import h11

from api.docker.errors import ApiError, BrokenBody, ClientGone, MalformedRequest
from api.docker.stream import RAW_STREAM, ChunkedStream, Hijacked, Stream
from engine.golang.strconv import whole_number

HEAD_LIMIT_BYTES = (1 << 20) + 4096  # maximum size of a request's head; the limit of Go's HTTP server
HEAD_SECONDS = 30.0
BODY_SECONDS = 60.0
ANSWER_SECONDS = 60.0
"""Seconds for which a client may leave a complete answer unread. Streams have no such limit."""
DRAIN_LIMIT_BYTES = 32 << 20
"""Maximum number of unread body bytes to read and discard after the answer. If there are more, close the connection.

The bytes are read because most clients read the answer only after they have sent the whole body.
"""
PIECE_BYTES = 64 << 10
LINGER_SECONDS = 0.5
"""Seconds to read on after the refusal of a malformed request, as Go's HTTP server does."""
HEAD_READ_SECONDS, HEAD_READ_INTERVAL_SECONDS = 0.1, 0.0005
"""Maximum seconds to wait until the client of a hijack has read the head, and seconds between two checks."""

GO_DETAILS = {"Missing mandatory Host: header": "missing required Host header"}
"""Maps the text of an h11 error to the detail that Go's HTTP server adds to this error. Most errors have no detail."""

BODY_ERRORS = {
    "peer closed connection": "unexpected EOF",
    "malformed chunk footer": "malformed chunked encoding",
    "": "invalid byte in chunk length",
}
"""Parts of h11's errors in a body, and the texts of Go's HTTP server for them."""
CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""A byte that no header value may contain (RFC 9110, section 5.5)."""
NOT_ASCII = re.compile(rb"[\x80-\xff]")
EXPECTED = re.compile(rb"(?i)(?:^|[ ,\t])100-continue(?:$|[ ,\t])")
"""A value of the header Expect that the server accepts: a list with the token 100-continue."""
HOST = re.compile(rb"[A-Za-z0-9!$%&'()*+,.:;=\[\]_~-]*")
"""A valid value of the header Host, as in Go (golang.org/x/net/http/httpguts, ``ValidHostHeader``)."""
LENGTH_LIMIT = 2**63 - 1
"""Maximum value of the header Content-Length: a signed number of 64 bits, as in Go."""

Headers = Sequence[tuple[str, str]]
UPGRADE: Headers = (("Connection", "Upgrade"), ("Upgrade", "tcp"))
_LINE_END = b"\r\n"


class Exchange:
    """The sequence of requests and answers on one connection."""

    def __init__(self, connection: socket.socket, common: Headers) -> None:
        self._socket, self._pairs, self._common = connection, common, header_lines(common)
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT_BYTES)
        self._head: h11.Request
        self.answered, self.hijacked = False, False

    def next_request(self) -> h11.Request | None:
        """Return the head of the next request, or None if the client has closed the connection.

        Raises MalformedRequest for a message that is not HTTP/1, or for a header that Go's HTTP server refuses. Raises
        TimeoutError if the head does not arrive in time.
        """
        end, in_line = 0.0, True
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._socket.settimeout(max(0.01, end - time.monotonic()) if end else None)
                data = self._socket.recv(PIECE_BYTES)
                end = end or time.monotonic() + HEAD_SECONDS
                self._http.receive_data(_escape_line(data) if in_line and not data.isascii() else data)
                in_line = in_line and _LINE_END not in data
        except h11.RemoteProtocolError as error:
            raise MalformedRequest(error.error_status_hint, GO_DETAILS.get(str(error), "")) from None
        except ValueError:  # h11 passes a Content-Length to int(), which refuses more than 4,300 digits
            raise MalformedRequest from None
        except ConnectionError:
            return None
        if not isinstance(event, h11.Request):
            return None
        if not event.http_version.startswith(b"1."):
            raise MalformedRequest(505, "unsupported protocol version")
        for name, value in event.headers:
            _check_header(name, value)
        self._head, self.answered, self.hijacked = event, False, False
        return event

    def fileno(self) -> int:
        """Return the file descriptor of the connection."""
        return self._socket.fileno()

    @property
    def has_body(self) -> bool:
        """Whether the request announces a body that is not empty."""
        names = dict(self._head.headers)
        return b"transfer-encoding" in names or whole_number(names.get(b"content-length", b"0").decode()) > 0

    def body(self) -> Iterator[bytes]:
        """Yield the rest of the request's body in pieces; raises BrokenBody if the body is cut off or malformed.

        Raises ClientGone if the connection fails, or if no piece arrives within `BODY_SECONDS`.
        """
        if self._http.they_are_waiting_for_100_continue:
            self._write(self._http.send(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")))
        while self._http.their_state is h11.SEND_BODY:  # after the body, next_event() would read the next request
            try:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    self._socket.settimeout(BODY_SECONDS)
                    self._http.receive_data(self._socket.recv(PIECE_BYTES))
                    continue
            except h11.RemoteProtocolError as error:
                raise BrokenBody(next(go for text, go in BODY_ERRORS.items() if text in str(error))) from None
            except OSError as error:
                raise ClientGone from error
            if not isinstance(event, h11.Data):
                return
            yield bytes(event.data)

    def read_body(self, limit: int) -> tuple[bytes, str]:
        """Read the request's body; return a pair of the bytes that arrived and an error text.

        The error text says why the body ended too early; it is "" for a complete body. Raises ApiError (413) for a body
        of more than ``limit`` bytes. Raises ClientGone.
        """
        pieces, size = [], 0
        try:
            for piece in self.body():
                size += len(piece)
                if size > limit:
                    raise ApiError(413, f"the body of the request is larger than {limit} bytes")
                pieces.append(piece)
        except BrokenBody as error:
            return b"".join(pieces), str(error)
        return b"".join(pieces), ""

    def answer(self, status: int, headers: Headers, body: bytes, *, common: bool = True) -> None:
        """Send a complete answer; raises ClientGone.

        With ``common``, the answer also has the constant headers that most answers have, such as Server and
        Api-Version.
        """
        self.answered = True
        sized = [] if status in (204, 304) else [("Content-Length", str(len(body)))]
        data = self._start(status, [*headers, *sized], common=common)
        if body and status not in (204, 304) and self._head.method != b"HEAD":
            data += self._http.send(h11.Data(data=body)) or b""
        data += self._http.send(h11.EndOfMessage()) or b""
        self._socket.settimeout(ANSWER_SECONDS)
        self._write(data)

    def refuse(self, error: MalformedRequest) -> None:
        """Send the answer to a malformed request; raises ClientGone if the connection fails.

        The caller must close the connection. The answer has the same bytes as the answer of Go's HTTP server
        (net/http/server.go, ``conn.serve``). It has no header Content-Length.
        """
        headers = (("Content-Type", "text/plain; charset=utf-8"), ("Connection", "close"))
        self._socket.settimeout(ANSWER_SECONDS)
        self._write(b"".join((f"HTTP/1.1 {error}\r\n".encode(), header_lines(headers), _LINE_END, str(error).encode())))
        self._linger()

    def refuse_hijack(self, status: int, message: str) -> None:
        """Answer a refused hijack with plain text, or do nothing if the answer has begun; raises ClientGone.

        If the answer has begun, the client would take the text for output of the container. The caller must close the
        connection. The answer has the same bytes as dockerd's: its only header is Content-Type, and it has no length
        (dockerd's function ``postContainersAttach``).
        """
        if self.answered:
            return
        for _ in self.body():
            pass  # if unread bytes remained, the kernel would reset the connection
        self.answered = self.hijacked = True
        self._socket.settimeout(ANSWER_SECONDS)
        head = f"HTTP/1.1 {status} {reason(status).decode()}\r\nContent-Type: {RAW_STREAM}\r\n\r\n"
        self._write(f"{head}{message}\r\n".encode("utf-8", "replace"))
        self._linger()

    def _linger(self) -> None:
        """Read and discard what the client still sends, at most for `LINGER_SECONDS`.

        The caller then closes the connection. If unread data remained, the kernel would reset the connection, and the
        client might lose the answer.
        """
        end = time.monotonic() + LINGER_SECONDS
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            while (left := end - time.monotonic()) > 0:
                self._socket.settimeout(left)
                if not self._socket.recv(PIECE_BYTES):
                    return

    def open_stream(self, content_type: str = "application/json") -> ChunkedStream:
        """Send the head of a chunked answer (200) now, and return the stream for its body; raises ClientGone."""
        self.answered = True
        data = self._start(200, [("Content-Type", content_type)])
        self._socket.settimeout(None)
        self._write(data)
        return ChunkedStream(
            self._socket,
            lambda piece: self._write(self._http.send(h11.Data(data=piece))),
            lambda: self._write(self._http.send(h11.EndOfMessage())),
        )

    def hijack(self, content_type: str) -> Hijacked:
        """Answer 101 if the client asks for an upgrade, else 200; return the connection, which then carries raw bytes.

        ``content_type`` is the media type of the answer with status 101. As in Docker, the answer with status 200
        always has the media type of a raw stream, even if stdout and stderr are sent in frames. Raises ClientGone.
        """
        for _ in self.body():
            pass  # discard the rest of the body; the client's input follows it
        self.answered = self.hijacked = True
        upgrade = any(name == b"upgrade" for name, _ in self._head.headers)
        status = b"HTTP/1.1 101 UPGRADED" if upgrade else b"HTTP/1.1 200 OK"
        headers = (("Content-Type", content_type if upgrade else RAW_STREAM), *(UPGRADE if upgrade else ()))
        self._socket.settimeout(None)
        self._write(b"".join((status, _LINE_END, header_lines(headers), self._common, _LINE_END)))
        _wait_until_read(self._socket)
        plain, finish = _plain(self._socket)
        return Hijacked(plain, self._http.trailing_data[0], finish)

    def open_websocket(self, *, binary: bool) -> Hijacked:
        """Open the WebSocket that the client asks for; return a connection that carries the contents of its messages.

        With ``binary``, output is sent as binary messages, else as text. Raises ApiError (400) for a bad handshake, and
        ClientGone.
        """
        from api.docker.websocket import WebSocket, accept

        connection, answer = accept(self._head.target.decode("ascii"), self._head.headers, self._pairs)
        self.answered = self.hijacked = True
        self._socket.settimeout(None)
        self._write(answer)
        stream = _shared(self._socket) or self._socket
        plain, finish = _bridged(WebSocket(stream, connection, self._http.trailing_data[0], binary=binary))
        return Hijacked(plain, b"", finish)

    def next_cycle(self) -> bool:
        """Prepare for the next request on the connection; return False if the connection must be closed.

        First reads and discards the rest of the present request's body. If this rest has more than `DRAIN_LIMIT_BYTES`
        bytes, the result is False.
        """
        if self.hijacked:
            return False
        with suppress(BrokenBody, ClientGone, h11.LocalProtocolError):
            size = 0
            if not self._http.they_are_waiting_for_100_continue:
                for piece in self.body():
                    size += len(piece)
                    if size > DRAIN_LIMIT_BYTES:
                        return False
            if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
                self._http.start_next_cycle()
                return True
        return False

    def can_answer(self) -> bool:
        """Return whether an answer to the present request can still be sent, because no answer has begun."""
        return not self.answered and self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE)

    def _start(self, status: int, headers: list[tuple[str, str]], *, common: bool = True) -> bytes:
        """Return the head of an answer: the status line, ``headers``, the common headers and the date.

        The common headers are the same in all answers; ``common`` says whether to add them. They are added without h11.
        The checks of h11 would take 0.02 ms for them, and several times as long after an idle period.
        """
        # The client waits for 100 Continue before it sends the body. After a different answer, it may omit the body.
        # hawse then cannot tell whether the next bytes are a body or a request.
        if self._http.they_are_waiting_for_100_continue and self.has_body:
            headers = [*headers, ("Connection", "close")]
        response = h11.Response(status_code=status, headers=headers, reason=reason(status))
        line, _, lines = (self._http.send(response) or b"").partition(_LINE_END)
        if self._head.http_version == b"1.0":
            line = line.replace(b"HTTP/1.1", b"HTTP/1.0", 1)  # h11 knows only 1.1
        common_lines, own_lines = self._common if common else b"", lines.removesuffix(_LINE_END)
        return b"".join((line, _LINE_END, common_lines, own_lines, date(int(time.time())), _LINE_END))

    def _write(self, data: bytes | None) -> None:
        try:
            if data:
                self._socket.sendall(data)
        except OSError as error:
            raise ClientGone from error


@lru_cache(maxsize=8)
def header_lines(headers: Headers) -> bytes:
    """Return headers as lines of HTTP, each with its line end.

    Because this function does not check for line breaks, no header may contain text from a client.
    """
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode("latin-1")


@lru_cache(maxsize=1)
def date(seconds: int) -> bytes:
    """Return the line of the header ``Date`` for a Unix time; cached, because it changes only once a second.

    The package email has such a function, but takes 0.4 MB. The names of days and months are English, because no locale
    is set.
    """
    return time.strftime("Date: %a, %d %b %Y %H:%M:%S GMT\r\n", time.gmtime(seconds)).encode()


def reason(status: int) -> bytes:
    """Return the reason phrase of a status; raises ValueError for an unregistered status."""
    return HTTPStatus(status).phrase.encode()


def _escape_line(data: bytes) -> bytes:
    """Percent-encode the bytes that are not ASCII in the first line of ``data``: "é" becomes "%C3%A9".

    ``data`` is the beginning of a request. The first line has the path, which curl sends as the user typed it.
    """
    line, end, rest = data.partition(_LINE_END)
    return NOT_ASCII.sub(lambda match: b"%%%02X" % match[0][0], line) + end + rest


def _check_header(name: bytes, value: bytes) -> None:
    """Raise MalformedRequest if Go's HTTP server would refuse a header.

    h11 has already accepted the header. ``name`` is in lower case.
    """
    if CONTROL.search(value) or (name == b"content-length" and whole_number(value.decode()) > LENGTH_LIMIT):
        raise MalformedRequest
    if name == b"host" and not HOST.fullmatch(value):
        raise MalformedRequest(400, "malformed Host header")
    if name == b"expect" and value and not EXPECTED.search(value):
        raise MalformedRequest(417)


def _wait_until_read(connection: socket.socket) -> None:
    """Wait up to `HEAD_READ_SECONDS` until the client has read all bytes that were sent on a Unix socket.

    docker-py reads the head of a hijack's answer through a buffer, and loses output that arrives in the same buffer.
    With dockerd, output arrives later, because dockerd takes longer to start a command. For TCP, this function returns
    at once, because TCP does not report how many bytes the client has read. The ioctl is SIOCOUTQ, which has the same
    number as TIOCOUTQ (Linux, net/unix/af_unix.c).
    """
    if connection.family != socket.AF_UNIX:
        return
    deadline = time.monotonic() + HEAD_READ_SECONDS
    while any(fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))) and time.monotonic() < deadline:
        time.sleep(HEAD_READ_INTERVAL_SECONDS)


def _plain(connection: socket.socket) -> tuple[socket.socket, Callable[[], None]]:
    """Return a plain socket to the client, and a function to call after the socket is closed.

    Without TLS, the socket is a duplicate of the connection, and the returned function does nothing. With TLS, two
    threads copy between the socket and the connection. The returned function then waits until they have sent all
    output.
    """
    tls = _shared(connection)
    return (connection.dup(), lambda: None) if tls is None else _bridged(tls)


def _shared(connection: socket.socket) -> Stream | None:
    """Return a TLS connection as a stream that two threads may use, or None for a connection without TLS."""
    if type(connection) is socket.socket:
        return None
    from api.docker.tls import SharedTls

    return SharedTls(connection)


def _bridged(stream: Stream) -> tuple[socket.socket, Callable[[], None]]:
    """Return a plain socket that carries the data of ``stream``, and a function to call after the socket is closed.

    ``stream`` is a TLS connection or a WebSocket. Two threads copy between the socket and ``stream``. The returned
    function waits until all output has been sent and both threads have ended.
    """
    ours, theirs = socket.socketpair()

    def send() -> None:
        _pump(ours, stream)
        with suppress(OSError):
            ours.shutdown(socket.SHUT_RD)  # let the caller's next write fail, because no thread reads it now

    outgoing = threading.Thread(target=send, daemon=True)
    incoming = threading.Thread(target=_pump, args=(stream, ours), daemon=True)
    outgoing.start()
    incoming.start()

    def finish() -> None:
        outgoing.join()
        with suppress(OSError):
            stream.shutdown(socket.SHUT_RD)  # ends the wait of the other thread for input
        incoming.join()
        ours.close()

    return theirs, finish


def _pump(source: Stream, target: Stream) -> None:
    with suppress(OSError):
        while data := source.recv(PIECE_BYTES):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
