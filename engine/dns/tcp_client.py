"""The resolver's side of one client's TCP connection (RFC 7766): messages with a length prefix.

Queries are answered in the order in which the replies are ready. A client may send queries before it has the earlier
replies, and may close its sending side after the last query. While too many replies are pending or unread, the resolver
reads nothing more from the client.

A connection is closed after `IDLE_SECONDS` seconds without progress. Progress means that a whole query arrived or that
all replies were delivered. Single bytes are not progress, so that a slow client cannot hold a connection forever.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from engine.eventloop.loop import READ, WRITE, Loop, Timer

IDLE_SECONDS = 8.0
"""Seconds without progress (a whole query, or all replies delivered) after which a connection is closed."""
CHUNK = 512
"""Maximum bytes per read; this is enough for about 20 queries. After each read, other clients are served.

With 64 connections and 8192 bytes per read, one sandbox could delay the queries of other sandboxes for 0.3 s.
"""
DUE = 16
"""Maximum number of unanswered queries of one connection."""
BACKLOG = 65536
"""Maximum bytes of replies that the client has not read. Above this limit, the resolver reads nothing more from the
client, and another reply closes the connection.
"""
LONGEST_QUERY = 4096
"""Maximum bytes of a query. A longer or empty message closes the connection."""

Respond = Callable[[bytes, Callable[[bytes], None]], None]


class StreamClient:
    """The resolver's side of one TCP connection: reads the queries of a client, and sends the replies.

    ``respond`` is called for each query, with the query and a function ``deliver``. It must call ``deliver`` exactly
    once, immediately or later, with the reply. If the reply is empty, nothing is sent to the client. ``closed`` is
    called with this StreamClient when the connection ends. Queries and replies have no length prefix.
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
        self._timer: Timer = loop.after(IDLE_SECONDS, self._consider)
        self._watch(READ)

    def _consider(self) -> None:
        """Close the connection if there was no progress for `IDLE_SECONDS` seconds; otherwise, schedule the next check.

        Each connection has only one timer, which progress does not restart.
        """
        left = self._last + IDLE_SECONDS - time.monotonic()
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
        """Answer received queries, send replies, and then watch for the next socket events."""
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
        """Watch the socket for ``events``, a bit mask of READ and WRITE; with 0, stop watching the socket.

        With 0, the socket is removed from epoll, because epoll would report a closed connection again and again.
        """
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
            self._loop.close_socket(self._socket)
            self._closed(self)
