"""/containers/{id}/logs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from api.docker.errors import bad_request
from api.docker.messages import Request
from api.docker.moments import seconds
from api.docker.router import Route
from api.docker.stream import framed, media_type
from engine.golang.strconv import parse_int
from engine.model import LogOptions
from engine.runtime.api import LogLine


def logs(request: Request) -> None:
    """Answer GET /containers/{id}/logs. With ``follow``, the answer ends when the container ends."""
    requested = [name for name in ("stdout", "stderr") if request.flag(name)]
    if not requested:
        raise bad_request("Bad parameters: you must choose at least one stream")
    engine = request.engine
    document = engine.containers.inspect(request.parameters["id"])
    tty = document["Config"]["Tty"]
    options = LogOptions(
        request.flag("follow"),
        _tail(request.value("tail")),
        seconds(request.value("since")),
        seconds(request.value("until")),
    )
    form = _form(request, tty=tty)
    engine.containers.logs(document["Id"], options)  # only to raise its errors before the answer's status is sent
    with request.exchange.open_stream(media_type(request.version, tty=tty)) as stream:
        lines = engine.containers.logs(document["Id"], options, lambda descriptors: stream.wait(None, *descriptors))
        for line in lines:
            if line.stream in requested:
                stream.write(form(line))


def _form(request: Request, *, tty: bool) -> Callable[[LogLine], bytes]:
    timestamps, details = request.flag("timestamps"), request.flag("details")

    def form(line: LogLine) -> bytes:
        prefix = (f"{_fixed(line.time)} " if timestamps else "") + (" " if details else "")
        data = prefix.encode() + line.data
        return data if tty else framed(line.stream, data)

    return form


def _fixed(time: str) -> str:
    """Return a log time with nine decimal places of the second, the form in which Docker sends times."""
    whole, _, fraction = time.rstrip("Z").partition(".")
    return f"{whole}.{fraction:0<9}Z"


def _tail(text: str) -> int:
    """Convert the parameter ``tail`` to the number of log entries to send; -1 means all entries.

    As in Docker, a text that is not a number, or a negative number, means all entries.
    """
    with suppress(ValueError):
        return max(parse_int(text, base=10), -1)
    return -1


ROUTES = [Route("GET", "/containers/{id:.*}/logs", logs)]
