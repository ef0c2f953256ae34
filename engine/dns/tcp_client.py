"""One client's TCP connection to the resolver (RFC 7766): messages with a length before them, answered as they come.

A client may ask on before it has its answers, and may end its half of the connection with its last question. A client
that has many answers due, or does not fetch them, is not read from until that has changed.

A connection is closed after `IDLE` seconds without progress: a whole question, or all answers fetched. Single bytes now
and then are no progress, so a slow client does not hold a connection for ever.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from engine.eventloop.loop import READ, WRITE, Loop, Timer

IDLE = 8.0
"""Seconds without progress after which a connection is closed."""
CHUNK = 8192
"""Bytes read in one go: some hundred queries, then it is the others' turn."""
DUE = 16
"""Queries of one connection that may wait for their replies."""
BACKLOG = 65536
"""Bytes of replies that may wait for their reader; the connection of one that lets more wait is closed."""
LONGEST_QUERY = 4096
"""Bytes. A longer message is no query, nor is an empty one, and its connection is closed."""

Respond = Callable[[bytes, Callable[[bytes], None]], None]


class StreamClient:
    """Reads queries, calls ``respond`` for each, writes what it delivers; ``closed`` is called with it at the end.

    Of every query one reply is delivered, at once or later; an empty one says that there is none.
    """

    __slots__ = ("_answering", "_closed", "_due", "_ended", "_events", "_last", "_loop", "_out", "_read", "_respond",
                 "_socket", "_timer")  # fmt: skip

    def __init__(
        self, loop: Loop, connection: socket.socket, respond: Respond, closed: Callable[[StreamClient], None]
    ) -> None:
        self._loop, self._socket, self._respond, self._closed = loop, connection, respond, closed
        connection.setblocking(False)
        self._read, self._out = bytearray(), bytearray()
        self._due, self._events = 0, 0
        self._answering = self._ended = False
        self._last = time.monotonic()
        self._timer: Timer = loop.after(IDLE, self._consider)
        self._watch(READ)

    def _consider(self) -> None:
        """Close a connection that has been silent; one timer does, however often that is put off."""
        left = self._last + IDLE - time.monotonic()
        if left > 0:
            self._timer = self._loop.after(left, self._consider)
        else:
            self.close()

    def _ready(self, events: int) -> None:
        try:
            if events & ~WRITE and not self._ended:
                self._receive()
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        self._proceed()

    def _receive(self) -> None:
        data = self._socket.recv(CHUNK)
        self._ended = not data
        self._read += data

    def _proceed(self) -> None:
        """Respond to what has come, send what there is to send, and watch for what is waited for then."""
        if self._answering:
            return
        self._answering = True
        try:
            self._flush()
            while self._has_room() and (message := self._next_message()) is not None:
                self._due += 1
                self._respond(message, self._deliver)
                if not self._has_room():
                    self._flush()
            self._flush()
        finally:
            self._answering = False
        self._settle()

    def _has_room(self) -> bool:
        return self._due < DUE and len(self._out) <= BACKLOG and self._socket.fileno() >= 0

    def _next_message(self) -> bytes | None:
        if len(self._read) < 2:
            return None
        size = 2 + int.from_bytes(self._read[:2], "big")
        if not 2 < size <= 2 + LONGEST_QUERY:
            self.close()
            return None
        if len(self._read) < size:
            return None
        message = bytes(self._read[2:size])
        del self._read[:size]
        self._last = time.monotonic()
        return message

    def _deliver(self, message: bytes) -> None:
        self._due -= 1
        if len(self._out) > BACKLOG:
            self.close()
        elif message:
            self._out += len(message).to_bytes(2, "big") + message
        self._proceed()

    def _flush(self) -> None:
        if not self._out or self._socket.fileno() < 0:
            return
        try:
            del self._out[: self._socket.send(self._out)]
        except BlockingIOError:
            return
        except OSError:
            self.close()
        if not self._out:
            self._last = time.monotonic()

    def _settle(self) -> None:
        if self._ended and not (self._due or self._out):
            self.close()
        if self._socket.fileno() < 0:
            return
        reading = self._has_room() and not self._ended
        self._watch((READ if reading else 0) | (WRITE if self._out else 0))

    def _watch(self, events: int) -> None:
        """Watch for ``events``; for none, not at all: epoll would go on telling of a hung-up socket."""
        if events == self._events:
            return
        fd = self._socket.fileno()
        if not events:
            self._loop.forget(fd)
        elif not self._events:
            self._loop.watch(fd, self._ready, events)
        else:
            self._loop.change(fd, events)
        self._events = events

    def close(self) -> None:
        """Close the connection; idempotent."""
        self._timer.cancel()
        if self._socket.fileno() >= 0:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
            self._closed(self)
