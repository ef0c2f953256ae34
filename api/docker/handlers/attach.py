"""/containers/{id}/attach, /containers/{id}/attach/ws (a WebSocket) and /containers/{id}/resize."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing

from api.docker.attachments import ATTACHMENTS
from api.docker.copying import Client, attach
from api.docker.errors import ApiError, api_error, bad_request
from api.docker.messages import EMPTY, Request, Response
from api.docker.router import Route
from api.docker.stream import Hijacked, media_type
from engine.errors import EngineError, Outdated
from engine.golang.strconv import atoi
from engine.model import LogOptions
from engine.runtime.terminal import DetachKeys

_NAMED_KEYS = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}
"""The codes that a terminal sends for ctrl and one of these characters."""
SIZE_LIMIT = 65535
STREAMS = ("stdin", "stdout", "stderr")
CHOSEN_STREAMS, BINARY_MESSAGES = (1, 42), (1, 28)
"""Two API versions. From the first, a WebSocket has only the streams that the query names. From the second, output is
sent as binary messages.
"""


def attach_container(request: Request) -> None:
    """Answer POST /containers/{id}/attach; the connection then carries the container's streams (see `_converse`).

    As in Docker, an error that occurs before the streams begin is answered with plain text. The connection is then
    closed.
    """
    exchange, requested = request.exchange, [name for name in STREAMS if request.flag(name)]
    try:
        _converse(request, requested, lambda tty: exchange.hijack(media_type(request.version, tty=tty)), framed=True)
    except Outdated:
        raise  # the front process sends this error and ends, so that a newer version of hawse can replace the service
    except (EngineError, ApiError) as error:
        exchange.refuse_hijack(error.status, str(api_error(error)))


def attach_websocket(request: Request) -> None:
    """Answer GET /containers/{id}/attach/ws with a WebSocket, which carries the container's streams without frames.

    The query parameters stdin, stdout and stderr choose the streams. Before API version 1.42, the WebSocket carries all
    three.
    """
    requested = [name for name in STREAMS if request.flag(name) or request.version < CHOSEN_STREAMS]
    binary = request.version >= BINARY_MESSAGES
    _converse(request, requested, lambda _: request.exchange.open_websocket(binary=binary), framed=False)


def _converse(request: Request, requested: Sequence[str], connect: Callable[[bool], Hijacked], *, framed: bool) -> None:
    """Answer the request, then send the container's logs (flag ``logs``) and copy its streams (flag ``stream``).

    The copying ends when the container ends, when the client disconnects, or when the client types the detach keys.
    Because clients start the container after the answer, the streams are opened before the answer.

    - ``requested``: the streams that the client asked for: "stdin", "stdout", "stderr"
    - ``connect``: sends the answer and returns the connection; its argument is whether the container has a terminal
    - ``framed``: whether the output of a container without a terminal is sent in frames (Docker's format stdcopy)
    """
    engine, keys = request.engine, detach_keys(request.value("detachKeys"))
    document = engine.containers.inspect(request.parameters["id"])
    tty, container_id = document["Config"]["Tty"], document["Id"]
    stdin = "stdin" in requested and document["Config"]["OpenStdin"]
    once = document["Config"]["StdinOnce"]
    stays = once and not tty
    # A client that attaches to at least one stream waits for the container's end. As in Docker, a client that attaches
    # to no stream waits only if the container runs, has StdinOnce set, and has no terminal.
    waits = stdin or "stdout" in requested or "stderr" in requested or (stays and document["State"]["Running"])
    with (
        ATTACHMENTS.member(container_id),
        closing(engine.containers.open_streams(container_id, stdin=stdin)) as streams,
        connect(tty) as connection,
    ):
        sink = streams if stdin else None
        client = Client(connection, sink, keys if sink and tty else None, tty=tty or not framed, stays=stays)
        if request.flag("logs"):
            for line in engine.containers.logs(container_id, LogOptions()):
                if line.stream in requested:
                    client.write(line.stream, line.data)
        if request.flag("stream") and waits:
            attach(client, streams, requested)


def resize(request: Request) -> Response:
    """Answer POST /containers/{id}/resize."""
    rows, columns = size(request)
    request.engine.containers.resize(request.parameters["id"], rows, columns)
    return EMPTY


def size(request: Request) -> tuple[int, int]:
    """Return the query parameters ``h`` and ``w``: the rows and columns of a terminal.

    As in Docker, only the lowest 16 bits of each number count. Raises ApiError (400) if a parameter is missing, or is
    not a whole number.
    """
    numbers = []
    for name in ("h", "w"):
        try:
            numbers.append(atoi(request.value(name)) & SIZE_LIMIT)  # Docker keeps the lowest 16 bits
        except ValueError as error:
            raise bad_request(str(error)) from None
    return numbers[0], numbers[1]


def detach_keys(text: str) -> DetachKeys:
    """Return the keys that end an attachment; if ``text`` is "", they are ctrl-p ctrl-q.

    ``text`` is the parameter ``detachKeys``, a list such as "ctrl-p,ctrl-q" or "a,ctrl-\\". Raises ApiError (400) if a
    key in it is invalid.
    """
    if not text:
        return DetachKeys()
    return DetachKeys(bytes(_code(key) for key in text.split(",")))


def _code(key: str) -> int:
    if len(key) == 1 and key.isascii():
        return ord(key)
    name = key.lower().removeprefix("ctrl-")
    if key.lower().startswith("ctrl-") and len(name) == 1:
        if "a" <= name <= "z":
            return ord(name) - ord("a") + 1
        if name in _NAMED_KEYS:
            return _NAMED_KEYS[name]
    raise bad_request(f"Invalid detach keys ({key}) provided")


ROUTES = [
    Route("POST", "/containers/{id:.*}/attach", attach_container),
    Route("GET", "/containers/{id:.*}/attach/ws", attach_websocket),
    Route("POST", "/containers/{id:.*}/resize", resize),
]
