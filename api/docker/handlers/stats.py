"""/containers/{id}/stats and /containers/{id}/top."""

from __future__ import annotations

from api.docker.errors import ApiError
from api.docker.messages import Json, Request, Response, encode, json_response
from api.docker.router import Route
from engine.render.state import STATS_INTERVAL_SECONDS, stats_after

# The first API version with the parameter ``one-shot``, which asks for an answer at once. The answer's precpu_stats and
# preread have zero values, because they need an earlier reading.
ONE_SHOT = (1, 41)


def stats(request: Request) -> Response | None:
    """Answer GET /containers/{id}/stats: send statistics each second, or only once with ``stream=false``.

    The answer ends when the client closes the connection, or when the statistics cannot be read, because the container
    was removed. A worker reads the statistics, because the network counters can only be read in the network namespace
    of the container.
    """
    before = _now(request, request.parameters["id"])
    container_id = str(before["id"])
    if not request.flag("stream", True):
        one_shot = request.flag("one-shot") and request.version >= ONE_SHOT
        if one_shot or not before["pids_stats"]:
            return json_response(before)
        with request.exchange.open_stream() as stream:
            stream.wait(STATS_INTERVAL_SECONDS)
            stream.write(encode(stats_after(before, _now(request, container_id))))
        return None
    with request.exchange.open_stream() as stream:
        stream.write(encode(before))
        while True:
            stream.wait(STATS_INTERVAL_SECONDS)
            try:
                now = _now(request, container_id)
            except ApiError:
                return None  # the container was removed
            stream.write(encode(stats_after(before, now)))
            before = now


def top(request: Request) -> Response:
    """Answer GET /containers/{id}/top."""
    return json_response(request.worker.containers.top(request.parameters["id"], request.value("ps_args")))


def _now(request: Request, reference: str) -> Json:
    (document,) = request.worker.containers.current_stats([reference])
    return document


ROUTES = [
    Route("GET", "/containers/{id:.*}/stats", stats),
    Route("GET", "/containers/{id:.*}/top", top),
]
