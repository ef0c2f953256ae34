"""The connection of /containers/{id}/attach/ws: messages of a WebSocket as a stream of bytes."""

from __future__ import annotations

import codecs
import socket
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.handshake import H11Handshake
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from api.docker.errors import bad_request
from api.docker.stream import Stream

CLOSE_SECONDS = 1.0
Pairs = Sequence[tuple[bytes, bytes]]


def accept(target: str, headers: Pairs, own_headers: Iterable[tuple[str, str]]) -> tuple[Connection, bytes]:
    """Return the protocol state of a new WebSocket, and the bytes of the answer to the client.

    ``target`` and ``headers`` are those of the client's request. ``own_headers`` are added to the answer. Raises
    ApiError (400) if the request is no valid WebSocket handshake.
    """
    handshake = H11Handshake(ConnectionType.SERVER)
    try:
        handshake.initiate_upgrade_connection(list(headers), target)
        extra = [(name.encode(), value.encode()) for name, value in own_headers]
        answer = handshake.send(AcceptConnection(extra_headers=extra))
    except (RemoteProtocolError, LocalProtocolError) as error:
        raise bad_request(f"bad WebSocket handshake: {error}") from None
    if handshake.connection is None:
        raise bad_request("bad WebSocket handshake")
    return handshake.connection, answer


class WebSocket:
    """A WebSocket that one thread reads and another writes. Message boundaries have no meaning.

    ``received`` holds the bytes that the client has already sent after its request. With ``binary``, the output is sent
    as binary messages, else as text.
    """

    def __init__(self, stream: Stream, connection: Connection, received: bytes, *, binary: bool) -> None:
        self._stream, self._connection = stream, connection
        self._text = None if binary else codecs.getincrementaldecoder("utf-8")("replace")
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._events: Iterator[Event] = iter(())
        if received:
            self._feed(received)

    def recv(self, size: int) -> bytes:
        """Wait for the content of messages and return it, or b"" when the client has closed the WebSocket.

        ``size`` is the maximum number of bytes of each read from the connection.
        """
        data = self._received(size)
        if not data:
            self._ended.set()
        return data

    def sendall(self, data: bytes) -> None:
        """Send data as one message; raises OSError if the WebSocket is closed."""
        self._send(BytesMessage(data=data) if self._text is None else TextMessage(data=self._text.decode(data)))

    def shutdown(self, how: int) -> None:
        """Close the WebSocket if ``how`` is ``SHUT_WR``; for any other value, end the input.

        Before it ends the input, waits up to `CLOSE_SECONDS` until the client has closed the WebSocket too.
        """
        if how == socket.SHUT_WR:
            self._close(CloseReason.NORMAL_CLOSURE)
        else:
            self._ended.wait(CLOSE_SECONDS)
            self._stream.shutdown(how)

    def _received(self, size: int) -> bytes:
        try:
            while True:
                for event in self._events:
                    if isinstance(event, TextMessage | BytesMessage) and event.data:
                        return event.data.encode() if isinstance(event.data, str) else bytes(event.data)
                    if isinstance(event, Ping):
                        self._send(event.response())
                    elif isinstance(event, CloseConnection):
                        with suppress(OSError):
                            self._send(event.response())
                        return b""
                data = self._stream.recv(size)
                if not data:
                    return b""
                self._feed(data)
        except RemoteProtocolError:
            self._close(CloseReason.PROTOCOL_ERROR)
            return b""

    def _close(self, reason: CloseReason) -> None:
        with suppress(OSError):
            self._send(CloseConnection(code=reason))

    def _feed(self, data: bytes) -> None:
        with self._lock:
            self._connection.receive_data(data)
            self._events = self._connection.events()

    def _send(self, event: Event) -> None:
        with self._lock:
            try:
                data = self._connection.send(event)
            except LocalProtocolError as error:
                raise OSError("the WebSocket is closed") from error
            self._stream.sendall(data)
