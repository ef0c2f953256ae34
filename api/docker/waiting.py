"""Limit the number of connections that wait for input from a client, because each has a thread (about 25 kB)."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from engine.eventloop.readiness import wait_readable


class Waiting:
    """The connections that wait for input from their clients. Several threads may use one object.

    If more than ``limit`` connections wait, one of them is shut down. A connection with unread input is never chosen.
    Of the other connections, the one that has waited longest is chosen.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._lock = limit, threading.Lock()
        self._connections: dict[int, socket.socket] = {}

    @contextmanager
    def member(self, connection: socket.socket) -> Iterator[None]:
        """Count a connection as waiting for input during the ``with`` block, which must not close the connection.

        If more than ``limit`` connections wait at the start of the block, one of them is shut down (see the class).
        """
        descriptor = connection.fileno()
        with self._lock:
            self._connections[descriptor] = connection
            if len(self._connections) > self._limit:
                self._shut_down_one()
        try:
            yield
        finally:
            with self._lock:
                self._connections.pop(descriptor, None)

    def _shut_down_one(self) -> None:
        """Shut down the connection that has waited longest, among those without unread input.

        The connection's thread then sees the end of the connection. If all connections have unread input, does nothing.
        """
        for descriptor, connection in self._connections.items():
            if not wait_readable([connection], seconds=0):
                del self._connections[descriptor]
                with suppress(OSError):  # ignore the error: the client may have closed the connection
                    # SSLSocket.shutdown would drop the TLS state that the connection's thread still uses.
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
                return
