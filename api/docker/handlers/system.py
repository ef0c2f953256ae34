"""/_ping, /version, /info, /auth, /system/df, /events, and OPTIONS for every path."""

from __future__ import annotations

from typing import Any

from api.docker.errors import bad_request
from api.docker.handlers.containers import without_empty_size
from api.docker.handlers.images import count_users, with_virtual_size
from api.docker.info import complete
from api.docker.messages import EMPTY, Json, Request, Response, encode, json_response
from api.docker.moments import nanoseconds
from api.docker.newer_versions import info_of
from api.docker.router import Route
from engine.errors import NotImplementedByHawse
from engine.events.stream import event_document
from engine.model import EventOptions

_PING_HEADERS = (
    ("Builder-Version", "1"),
    ("Cache-Control", "no-cache, no-store, must-revalidate"),
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Pragma", "no-cache"),
)
SECURITY_PAIRS = (1, 25)  # from this API version, SecurityOptions has pairs such as name=seccomp,profile=builtin
PARTS = ("container", "image", "volume", "build-cache")
NO_LOGIN = "hawse does not log in to registries. It reads the credentials of docker login from config.json"


def ping(request: Request) -> Response:
    """Answer /_ping. Clients use only the headers of the answer; for HEAD, the body is empty."""
    body = b"" if request.method == "HEAD" else b"OK"
    return Response(200, body, (*_PING_HEADERS, ("Swarm", request.engine.system.swarm_state())))


def version(request: Request) -> Response:
    """Answer /version."""
    return json_response(request.engine.system.version())


def info(request: Request) -> Response:
    """Answer /info."""
    document = complete(request.engine.system.info())
    if request.version < SECURITY_PAIRS:
        options = [pair.removeprefix("name=").partition(",")[0] for pair in document["SecurityOptions"]]
        document = {**document, "SecurityOptions": options, "ExecutionDriver": "<not supported>"}
    return json_response(info_of(document, request.version))


def options(_: Request) -> Response:
    """Answer OPTIONS for any path, also for one without a route, with an empty body as Docker does."""
    return EMPTY


def auth(_: Request) -> Response:
    """Refuse POST /auth with NotImplementedByHawse."""
    raise NotImplementedByHawse(NO_LOGIN)


def disk_usage(request: Request) -> Response:
    """Answer GET /system/df; ``type`` chooses parts of the document."""
    engine, parts = request.engine, request.query.get("type") or PARTS
    for part in parts:
        if part not in PARTS:
            raise bad_request(f"unknown object type: {part}")
    containers = engine.containers.list({}, all=True, size="container" in parts)
    images = engine.images.list({}) if "image" in parts else []
    images, users = [with_virtual_size(image, request.version) for image in images], count_users(containers)
    document = {
        "LayersSize": sum(image["Size"] for image in images),
        "Images": [_with_users(image, users[image["Id"]]) for image in images] if "image" in parts else None,
        "Containers": [without_empty_size(each) for each in containers] if "container" in parts else None,
        "Volumes": [] if "volume" in parts else None,
        "BuildCache": [] if "build-cache" in parts else None,
    }
    return json_response(document)


def _with_users(image: Json, users: int) -> dict[str, Any]:
    names = {"RepoTags": image["RepoTags"] or None, "RepoDigests": image["RepoDigests"] or None}
    return {**image, **names, "SharedSize": 0, "Containers": users}


def events(request: Request) -> None:
    """Answer GET /events.

    The answer ends at the time in the parameter ``until``. Without ``until``, it ends when the client closes the
    connection.
    """
    options = EventOptions(nanoseconds(request.value("since")), nanoseconds(request.value("until")), request.filters())
    client = request.exchange.fileno()
    with request.engine.system.events(options, client) as happened, request.exchange.open_stream() as stream:
        for event in happened:
            stream.write(encode(event_document(event)))


ROUTES = [
    Route("HEAD", "/_ping", ping),
    Route("GET", "/_ping", ping),
    Route("GET", "/version", version),
    Route("GET", "/info", info),
    Route("POST", "/auth", auth),
    Route("GET", "/system/df", disk_usage),
    Route("GET", "/events", events),
    Route("OPTIONS", "/{path:.*}", options),
]
