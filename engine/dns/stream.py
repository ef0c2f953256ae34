"""One client's TCP connection to the resolver (RFC 7766): messages with a length before them, answered as they come."""

from __future__ import annotations

import socket
from collections.abc import Callable

from engine.agent.loop import READ, WRITE, Loop, Timer
from engine.dns import wire

IDLE = 8.0
"""Seconds after which a silent connection is closed."""
CHUNK = 8192
"""Bytes read in one go: some hundred queries, then it is the others' turn."""
BACKLOG = 4 * wire.STREAM_LIMIT
"""Bytes of replies that a client may leave unread before it is cut off."""

Respond = Callable[[bytes, Callable[[bytes], None]], None]


class StreamClient:
    """Reads queries, calls ``respond`` for each, writes what it delivers; ``closed`` is called with it at the end."""

    __slots__ = ("_closed", "_loop", "_out", "_read", "_respond", "_socket", "_timer")

    def __init__(
        self, loop: Loop, connection: socket.socket, respond: Respond, closed: Callable[[StreamClient], None]
    ) -> None:
        self._loop, self._socket, self._respond, self._closed = loop, connection, respond, closed
        connection.setblocking(False)
        self._read, self._out = bytearray(), bytearray()
        self._timer: Timer = loop.after(IDLE, self.close)
        loop.watch(connection.fileno(), self._ready)

    def _ready(self, events: int) -> None:
        try:
            if events & WRITE and self._out:
                self._flush()
            if events & ~WRITE:
                self._receive()
        except BlockingIOError:
            return
        except OSError:
            self.close()

    def _receive(self) -> None:
        data = self._socket.recv(CHUNK)
        if not data:
            raise ConnectionResetError
        self._touch()
        self._read += data
        while len(self._read) >= 2:
            size = int.from_bytes(self._read[:2], "big")
            if len(self._read) < 2 + size:
                return
            message = bytes(self._read[2 : 2 + size])
            del self._read[: 2 + size]
            self._respond(message, self._deliver)

    def _touch(self) -> None:
        self._timer.cancel()
        self._timer = self._loop.after(IDLE, self.close)

    def _deliver(self, message: bytes) -> None:
        if self._socket.fileno() < 0:
            return
        self._out += len(message).to_bytes(2, "big") + message
        try:
            self._flush()
        except BlockingIOError:
            if len(self._out) > BACKLOG:
                self.close()
        except OSError:
            self.close()

    def _flush(self) -> None:
        self._touch()
        try:
            del self._out[: self._socket.send(self._out)]
        finally:
            if self._socket.fileno() >= 0:
                self._loop.change(self._socket.fileno(), READ | WRITE if self._out else READ)

    def close(self) -> None:
        """Close the connection; idempotent."""
        self._timer.cancel()
        if self._socket.fileno() >= 0:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
            self._closed(self)
