"""TLS of the TCP listener. A service without TCP does not load this module, because `ssl` takes 1.4 MB."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from api.docker.listeners import Settings
from engine.errors import InvalidArgument

T = TypeVar("T")


def tls_context(settings: Settings) -> ssl.SSLContext:
    """Return the TLS context, which requires a client certificate from the authority ``cacert``; raises EngineError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    _load("--tlscacert", context.load_verify_locations, settings.cacert)
    _load("--tlscert or --tlskey", context.load_cert_chain, settings.cert, settings.key)
    return context


def _load(flags: str, load: Callable[..., None], *files: str) -> None:
    """Call ``load`` with the files, which the user gave with ``flags``; raises EngineError if a file cannot be used."""
    try:
        load(*files)
    except (OSError, ValueError) as error:
        raise InvalidArgument(f"cannot use the file of {flags} ({', '.join(files)}): {error}") from error


class SharedTls:
    """A TLS connection for two threads: one reads, the other writes.

    Because OpenSSL allows only one call at a time, a lock guards each call.
    """

    def __init__(self, connection: socket.socket) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        self._connection, self._lock = connection, threading.Lock()
        connection.setblocking(False)

    def recv(self, size: int) -> bytes:
        """Wait for data and return at most ``size`` bytes, or b"" after the end of the input."""
        return self._when_ready(lambda: self._connection.recv(size))

    def sendall(self, data: bytes) -> None:
        """Send all data."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._when_ready(partial(self._connection.send, rest)) :]

    def shutdown(self, how: int) -> None:
        """Shut down one direction of the connection: ``how`` is a constant of socket.shutdown, such as ``SHUT_WR``.

        Before ``SHUT_WR``, the client is sent close_notify, the message by which TLS ends the data.
        """
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
