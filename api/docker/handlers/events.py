"""/events: what happens on this host, as lines of JSON."""

from __future__ import annotations

from api.docker.messages import Request, encode
from api.docker.moments import nanoseconds
from api.docker.router import Route
from engine.events.stream import event_document
from engine.model import EventOptions


def events(request: Request) -> None:
    """Answer GET /events.

    The answer ends at ``until``; without ``until``, it ends when the client closes the connection.
    """
    options = EventOptions(nanoseconds(request.value("since")), nanoseconds(request.value("until")), request.filters())
    client = request.exchange.fileno()
    with request.engine.system.events(options, client) as happened, request.open_stream() as stream:
        for event in happened:
            stream.write(encode(event_document(event)))


ROUTES = [Route("GET", "/events", events)]
