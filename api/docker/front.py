"""The front: one thread for each connection, which reads requests and calls their handlers."""

from __future__ import annotations

import os
import select
import socket
import ssl
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn
from urllib.parse import parse_qs, unquote

import h11

from api.docker.errors import ApiError, ClientGone, from_engine
from api.docker.exchange import Exchange
from api.docker.messages import Request, Response, encode
from api.docker.router import Router
from api.docker.versions import split
from api.docker.workers import Workers
from engine.errors import EngineError, Outdated
from engine.version import API_VERSION, DOCKER_VERSION

STACK_BYTES = 512 << 10  # of one thread; only the part that is used takes memory
HANDSHAKE_SECONDS = 10.0
PAUSE_SECONDS = 0.2  # before the next attempt to accept, when descriptors or threads have run out
COMMON_HEADERS = (
    ("Api-Version", API_VERSION),
    ("Docker-Experimental", "false"),
    ("Ostype", "linux"),
    ("Server", f"Docker/{DOCKER_VERSION} (linux)"),
)
OUTDATED = 75
"""Exit code of the front after another version of hawse has changed the store; the service then ends."""


class Front:
    """Serves the API on listening sockets until the parent ends."""

    def __init__(self, router: Router, parent: socket.socket, tls: ssl.SSLContext | None) -> None:
        self._router, self._parent, self._tls = router, parent, tls
        self._workers = Workers(parent)

    def run(self, listeners: Sequence[socket.socket]) -> NoReturn:
        """Accept connections; ends the process when the parent has ended."""
        threading.stack_size(STACK_BYTES)
        poll = select.poll()
        poll.register(self._parent, select.POLLHUP)
        by_fd = {listener.fileno(): listener for listener in listeners}
        for fd, listener in by_fd.items():
            listener.setblocking(False)
            poll.register(fd, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd not in by_fd:
                    os._exit(0)
                self._accept(by_fd[fd])

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return
        except OSError:
            threading.Event().wait(PAUSE_SECONDS)
            return
        connection.setblocking(True)
        try:
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()
        except RuntimeError:  # the system has no more threads
            connection.close()
            threading.Event().wait(PAUSE_SECONDS)

    def _serve(self, connection: socket.socket) -> None:
        try:
            if connection.family != socket.AF_UNIX:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                connection = self._encrypted(connection)
            with connection:
                self._requests(Exchange(connection, COMMON_HEADERS))
        except (OSError, ClientGone):
            pass  # the client has gone, has sent no valid certificate, or was too slow
        except Exception:
            sys.excepthook(*sys.exc_info())

    def _encrypted(self, connection: socket.socket) -> socket.socket:
        if self._tls is None:
            connection.close()
            raise OSError("a TCP connection without TLS")
        connection.settimeout(HANDSHAKE_SECONDS)
        return self._tls.wrap_socket(connection, server_side=True)

    def _requests(self, exchange: Exchange) -> None:
        while True:
            try:
                head = exchange.next_request()
            except ApiError as error:
                exchange.answer(error.status, _JSON, encode({"message": str(error)}))
                return
            if head is None:
                return
            self._answer(exchange, head)
            if not exchange.next_cycle():
                return

    def _answer(self, exchange: Exchange, head: h11.Request) -> None:
        target = head.target.decode("ascii", "replace")
        path, _, query = target.partition("?")
        try:
            response = self._handle(exchange, head, unquote(path), query)
        except EngineError as error:
            response = _error(from_engine(error))
            if isinstance(error, Outdated):
                exchange.answer(response.status, response.headers, response.body)
                os._exit(OUTDATED)
        except ApiError as error:
            response = _error(error)
        except (ClientGone, OSError):
            raise
        except Exception as error:
            sys.excepthook(*sys.exc_info())
            response = _error(ApiError(500, f"hawse: unexpected {type(error).__name__}: {error}"))
        if response is not None and exchange.can_answer():
            exchange.answer(response.status, response.headers, response.body)

    def _handle(self, exchange: Exchange, head: h11.Request, path: str, query: str) -> Response | None:
        version, rest = split(path)
        method = head.method.decode("ascii")
        match = self._router.find(method, rest)
        if match is None:
            exchange.answer(404, _JSON, encode({"message": "page not found"}), common=False)
            return None
        request = Request(
            method=method,
            path=rest,
            version=version,
            query=parse_qs(query, keep_blank_values=True, errors="surrogateescape"),
            headers={name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers},
            exchange=exchange,
            workers=self._workers,
            parameters=match.parameters,
        )
        return match.handler(request)


_JSON = (("Content-Type", "application/json"),)


def _error(error: ApiError) -> Response:
    return Response(error.status, encode({"message": str(error)}), _JSON)


def close_quietly(sockets: Sequence[socket.socket]) -> None:
    """Close sockets; errors are ignored."""
    for each in sockets:
        with suppress(OSError):
            each.close()
