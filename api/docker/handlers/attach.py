"""/containers/{id}/attach and /containers/{id}/resize."""

from __future__ import annotations

from contextlib import closing

from api.docker.copying import Client, attach
from api.docker.detach_keys import detach_keys
from api.docker.errors import ApiError, bad_request
from api.docker.frames import media_type
from api.docker.messages import EMPTY, Request, Response, atoi
from api.docker.router import Route
from engine.model import LogOptions

SIZE_LIMIT = 65535


def attach_container(request: Request) -> None:
    """Answer POST /containers/{id}/attach: take the connection over until the container ends.

    The connection to the container is opened before the answer, because clients start the container after the answer.
    """
    engine, keys = request.engine, detach_keys(request.value("detachKeys"))
    document = engine.containers.inspect(request.parameters["id"])
    tty, container_id = document["Config"]["Tty"], document["Id"]
    stdin = request.flag("stdin") and document["Config"]["OpenStdin"]
    once = document["Config"]["StdinOnce"]
    wanted = [name for name in ("stdout", "stderr") if request.flag(name)]
    streams = engine.containers.open_streams(container_id, stdin=stdin)
    with closing(streams), request.hijack(media_type(request.version, tty=tty)) as connection:
        sink = streams if stdin else None
        client = Client(connection, sink, keys if sink and tty else None, tty=tty, stays=once and not tty)
        if request.flag("logs"):
            for line in engine.containers.logs(container_id, LogOptions()):
                if line.stream in wanted:
                    client.write(line.stream, line.data)
        if request.flag("stream"):
            attach(client, streams, wanted)


def attach_websocket(_: Request) -> None:
    """Refuse GET /containers/{id}/attach/ws."""
    raise ApiError(501, "hawse attaches over a hijacked connection (POST /containers/{id}/attach), not over websockets")


def resize(request: Request) -> Response:
    """Answer POST /containers/{id}/resize."""
    rows, columns = size(request)
    request.engine.containers.resize(request.parameters["id"], rows, columns)
    return EMPTY


def size(request: Request) -> tuple[int, int]:
    """Return the parameters ``h`` and ``w`` of a terminal; raises ApiError (400)."""
    numbers = []
    for name in ("h", "w"):
        try:
            numbers.append(atoi(request.value(name)) & SIZE_LIMIT)  # Docker keeps the lowest 16 bits
        except ValueError as error:
            raise bad_request(str(error)) from None
    return numbers[0], numbers[1]


ROUTES = [
    Route("POST", "/containers/{id:.*}/attach", attach_container),
    Route("GET", "/containers/{id:.*}/attach/ws", attach_websocket),
    Route("POST", "/containers/{id:.*}/resize", resize),
]
