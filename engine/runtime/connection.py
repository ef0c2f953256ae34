"""The supervisor's end of a connection from a client."""

from __future__ import annotations

import os
import socket

from engine.eventloop.loop import READ, WRITE, Loop
from engine.runtime import peer, protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_FULL = 1 << 20


class Connection:
    """A connection from a client to the supervisor; sends and receives frames (`protocol`) without blocking.

    When the connection closes, ``closed`` is called, and then `on_close`, which depends on the client's request.
    """

    def __init__(self, loop: Loop, connection: socket.socket, closed: Callable[[Connection], None]) -> None:
        self.on_frame: Callable[[Connection, int, bytes], None] = lambda *_: None
        self.on_close: Callable[[], None] = lambda: None
        self.on_drain: Callable[[], None] = lambda: None
        self.fds: list[int] = []
        self._loop, self._socket, self._decoder = loop, connection, protocol.Decoder()
        self._outgoing, self._closing, self._paused, self._closed = bytearray(), False, False, False
        self._tell_closed = closed
        connection.setblocking(False)
        self._watch()

    @property
    def peer_pid(self) -> int:
        """The pid of the client."""
        return peer.credentials(self._socket)[0]

    @property
    def full(self) -> bool:
        """Whether more than 1 MiB of data for the client waits in this process."""
        return len(self._outgoing) > _FULL

    def reply(self, document: dict[str, Any]) -> None:
        """Send ``document`` to the client as a control frame."""
        self.send(protocol.control(document))

    def send(self, data: bytes) -> None:
        """Send bytes to the client without blocking. Bytes that the client's socket cannot accept yet are queued."""
        if not self._closed:
            self._outgoing += data
            self._flush()

    def pause(self, paused: bool) -> None:
        """Stop reading from the client if ``paused`` is True, otherwise resume reading."""
        if paused != self._paused:
            self._paused = paused
            self._watch()

    def finish(self) -> None:
        """Send all pending data, then close the connection; does not block."""
        self._closing = True
        self._flush()

    def close(self) -> None:
        """Close the connection immediately; idempotent."""
        if self._closed:
            return
        self._closed = True
        self._loop.close_socket(self._socket)
        for fd in self.fds:
            os.close(fd)
        self._tell_closed(self)
        self.on_close()

    def _watch(self) -> None:
        if not self._closed:
            events = (0 if self._paused else READ) | (WRITE if self._outgoing else 0)
            self._loop.watch(self._socket.fileno(), self._ready, events)

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._flush()
        if not self._closed and events & ~WRITE:
            self._receive()

    def _flush(self) -> None:
        if self._closed:
            return
        was_full = self.full
        try:
            while self._outgoing:
                del self._outgoing[: self._socket.send(self._outgoing)]
        except BlockingIOError:
            pass
        except OSError:
            self._outgoing.clear()
            self._closing = True
        if self._closing and not self._outgoing:
            self.close()
        else:
            self._watch()
        if was_full and not self.full:
            self.on_drain()

    def _receive(self) -> None:
        try:
            data, fds = protocol.receive_with_fds(self._socket)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        self.fds += fds
        if not data:
            self.close()
            return
        try:
            for kind, payload in self._decoder.feed(data):
                self.on_frame(self, kind, payload)
        except (protocol.Broken, ValueError, KeyError, TypeError):
            self.close()
