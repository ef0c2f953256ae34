"""The front of the service: one thread for each connection reads requests and calls their handlers."""

from __future__ import annotations

import ctypes
import gc
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import unquote

import h11

from api.docker.errors import ApiError, ClientGone, MalformedRequest, api_error
from api.docker.exchange import Exchange
from api.docker.messages import EMPTY, Request, Response, json_response
from api.docker.query import BAD_ESCAPE, parse
from api.docker.router import Router, location
from api.docker.shared_engine import SharedEngine
from api.docker.versions import split, supported
from api.docker.waiting import Waiting
from api.docker.workers import Workers
from engine.errors import EngineError, Outdated
from engine.eventloop.descriptor_budget import raise_descriptor_limit
from engine.eventloop.readiness import wait_readable
from engine.render.version import API_VERSION, DOCKER_VERSION

if TYPE_CHECKING:
    import ssl

ORIGIN = re.compile(r"\A[A-Za-z][A-Za-z0-9+.-]*://[^/]*")
"""The scheme and the host in a target such as "http://localhost/_ping". Clients send such targets to a proxy."""
STACK_BYTES = 512 << 10  # size of each thread's stack; only the used part takes memory
COLLECTED_OBJECTS = 20_000
"""Number of new objects after which the garbage collector runs.

With Python's default of 700, the garbage collector takes a quarter of the CPU time.
"""
M_ARENA_MAX = -8
"""A parameter of mallopt(3): the maximum number of arenas. With one arena, ended threads leave less memory allocated.
One arena is enough, because Python's GIL lets only one thread allocate at a time."""
HANDSHAKE_SECONDS = 10.0
NEWCOMER_LIMIT, IDLE_LIMIT = 1024, 8192
"""Maximum numbers of connections without a request yet, and of connections between two requests; see `Waiting`."""
TIDY_SECONDS, TIDY_CONNECTIONS = 30.0, 100
"""Every TIDY_SECONDS, the front gives memory back to the system if at least TIDY_CONNECTIONS connections have ended."""
PAUSE_SECONDS = 0.2  # pause before the next accept if descriptors have run out
FREE_THREADS = 2  # maximum number of threads that wait for a connection on each socket
COMMON_HEADERS = (
    ("Api-Version", API_VERSION),
    ("Docker-Experimental", "false"),
    ("Ostype", "linux"),
    ("Server", f"Docker/{DOCKER_VERSION} (linux)"),
)
OUTDATED = 75
"""Exit code of the front if another version of hawse has changed hawse's database; the service then ends."""


class Acceptors:
    """The threads of one listening socket: each accepts a connection, serves it, and then accepts the next.

    ``serve`` is the function that serves a connection.

    - After a thread has accepted a connection, it starts another thread if no thread waits for a connection any more.
      A new connection therefore never waits for the start of a thread.
    - After a thread has served a connection, it ends if `FREE_THREADS` threads already wait.
    """

    def __init__(self, listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
        self._listener, self._serve = listener, serve
        self._lock, self._free = threading.Lock(), 0

    def start(self) -> None:
        """Start a thread; raises RuntimeError if the system has no more threads."""
        with self._lock:
            self._free += 1
        try:
            threading.Thread(target=self._run, daemon=True).start()
        except RuntimeError:
            with self._lock:
                self._free -= 1
            raise

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # the client has gone, or no descriptor is free
                time.sleep(PAUSE_SECONDS)
                continue
            self._replace()
            self._serve(connection)
            with self._lock:
                if self._free >= FREE_THREADS:
                    return
                self._free += 1

    def _replace(self) -> None:
        with self._lock:
            self._free -= 1
            missing = self._free == 0
        if missing:
            with suppress(RuntimeError):  # if no thread can be started, this thread accepts the next connection later
                self.start()


class Front:
    """Serves the API on listening sockets until its parent process ends."""

    def __init__(self, router: Router, parent: socket.socket, tls: ssl.SSLContext | None) -> None:
        self._router, self._parent, self._tls = router, parent, tls
        self._workers, self._engine = Workers(parent), SharedEngine()
        self._newcomers, self._idle = Waiting(NEWCOMER_LIMIT), Waiting(IDLE_LIMIT)
        self._ended = 0  # number of connections that have ended since memory was given back to the system

    def run(self, listeners: Sequence[socket.socket]) -> NoReturn:
        """Serve the API on the listening sockets until the parent process ends; then end this process."""
        raise_descriptor_limit()  # the workers keep their limit, because containers inherit it
        gc.set_threshold(COLLECTED_OBJECTS)
        libc = ctypes.CDLL(None)
        libc.mallopt(M_ARENA_MAX, 1)
        threading.stack_size(STACK_BYTES)
        for listener in listeners:
            acceptors = Acceptors(listener, self._serve)
            for _ in range(FREE_THREADS):
                acceptors.start()
        while not wait_readable([self._parent], seconds=TIDY_SECONDS):
            if self._ended >= TIDY_CONNECTIONS:
                self._ended = 0
                gc.collect()
                libc.malloc_trim(0)
        os._exit(0)

    def _serve(self, connection: socket.socket) -> None:
        try:
            if connection.family != socket.AF_UNIX:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                connection = self._encrypted(connection)
            with connection:
                self._requests(connection)
        except (OSError, ClientGone):
            pass  # the client has gone, has sent no valid certificate, or was too slow
        except Exception:
            sys.excepthook(*sys.exc_info())
        self._ended += 1

    def _encrypted(self, connection: socket.socket) -> socket.socket:
        if self._tls is None:
            connection.close()
            raise OSError("a TCP connection without TLS")
        # Wait for the client's first bytes before the TLS state is created. A client that sends nothing then uses no
        # memory for TLS.
        with self._newcomers.member(connection):
            if not wait_readable([connection], seconds=HANDSHAKE_SECONDS):
                raise OSError("a TCP connection without a TLS handshake")
        connection.settimeout(HANDSHAKE_SECONDS)
        encrypted = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._newcomers.member(encrypted):
            encrypted.do_handshake()
        return encrypted

    def _requests(self, connection: socket.socket) -> None:
        exchange, waiting = Exchange(connection, COMMON_HEADERS), self._newcomers
        while True:
            try:
                with waiting.member(connection):
                    head = exchange.next_request()
                if head is None:
                    return
                self._answer(exchange, head)
            except MalformedRequest as error:
                exchange.refuse(error)
                return
            if not exchange.next_cycle():
                return
            waiting = self._idle

    def _answer(self, exchange: Exchange, head: h11.Request) -> None:
        try:
            response = self._handle(exchange, head)
        except (EngineError, ApiError) as error:
            response = _error(api_error(error))
            if isinstance(error, Outdated):
                _send(exchange, response)
                os._exit(OUTDATED)
        except (ClientGone, MalformedRequest):
            raise
        except Exception as error:
            sys.excepthook(*sys.exc_info())
            response = _error(ApiError(500, f"hawse: unexpected {type(error).__name__}: {error}"))
        if response is not None and exchange.can_answer():
            _send(exchange, response)

    def _handle(self, exchange: Exchange, head: h11.Request) -> Response | None:
        method, target = head.method.decode("ascii"), head.target.decode("ascii")
        named, _, query = target.partition("?")
        path = ORIGIN.sub("", named)
        response = _before_routes(method, target, path)
        if response is None:
            version, rest = split(unquote(path))
            match = self._router.find(method, rest)
            if match is not None:
                request = Request(
                    method=method,
                    path=rest,
                    version=supported(version),
                    query=parse(query, method, rest),
                    headers=_first_of_each(head.headers),
                    exchange=exchange,
                    workers=self._workers,
                    engine=self._engine.get(),
                    parameters=match.parameters,
                )
                return match.handler(request)
            response = _error(ApiError(404, "page not found"))
        _send(exchange, response, common=False)
        return None


def _first_of_each(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the values of headers by name. Of several headers with the same name, the first counts, as in Go."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(list(headers))}


def _before_routes(method: str, target: str, path: str) -> Response | None:
    """Return the answer that Docker gives before it looks for a route, or None if a route must be found.

    ``target`` is the target in the request line, such as "/v1.45/info?x=1". ``path`` is its path, still escaped, such
    as "/v1.45/info". Raises MalformedRequest for a relative path and for a bad escape.
    """
    if BAD_ESCAPE.search(path) or path[:1] not in ("", "/", "*"):
        raise MalformedRequest
    if (method, target) == ("OPTIONS", "*"):
        return EMPTY
    if (clean := location(path)) is None:
        return None
    named, mark, query = target.partition("?")
    return Response(301, headers=[("Location", named.removesuffix(path) + clean + mark + query)])


def _error(error: ApiError) -> Response:
    return json_response({"message": str(error)}, error.status)


def _send(exchange: Exchange, response: Response, *, common: bool = True) -> None:
    exchange.answer(response.status, response.headers, response.body, common=common)
