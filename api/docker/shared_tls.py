"""A TLS connection that two threads use: one reads, the other writes."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

T = TypeVar("T")


class SharedTls:
    """A TLS connection for two threads. Because OpenSSL allows only one call at a time, a lock guards each call."""

    def __init__(self, connection: socket.socket) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        self._connection, self._lock = connection, threading.Lock()
        connection.setblocking(False)

    def recv(self, size: int) -> bytes:
        """Wait for data and return it, or b"" at the end."""
        return self._when_ready(lambda: self._connection.recv(size))

    def sendall(self, data: bytes) -> None:
        """Send all data."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._when_ready(partial(self._connection.send, rest)) :]

    def shutdown(self, how: int) -> None:
        """End one direction; at the end of the output, send the client TLS's close_notify."""
        if how == socket.SHUT_WR:
            with suppress(OSError):
                self._when_ready(self._tell_end)
        socket.socket.shutdown(self._connection, how)

    def _tell_end(self) -> None:
        with suppress(ssl.SSLWantReadError):  # do not wait for the client's close_notify
            self._connection.unwrap()

    def _when_ready(self, act: Callable[[], T]) -> T:
        while True:
            poll = select.poll()
            with self._lock:
                try:
                    return act()
                except ssl.SSLWantReadError:
                    poll.register(self._connection, select.POLLIN)
                except ssl.SSLWantWriteError:
                    poll.register(self._connection, select.POLLOUT)
            poll.poll()
