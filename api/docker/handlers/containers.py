"""/containers: list, inspect, create, start, stop, restart, kill, rename, update, remove and prune."""

from __future__ import annotations

from api.docker.container_body import container_create
from api.docker.errors import bad_request
from api.docker.execs import EXECS, run_of
from api.docker.handlers.absent import refuse_checkpoint
from api.docker.host_config import restart_policy
from api.docker.messages import NO_CONTENT, NOT_MODIFIED, Json, Request, Response, json_response
from api.docker.newer_versions import NETWORK_FIELDS, add_priorities
from api.docker.request_types import CONTAINER_CREATE, CONTAINER_UPDATE
from api.docker.router import Route
from api.docker.unsupported import ignored_resources
from engine.api import Documents
from engine.names import SHORT_ID, is_user_defined

EMPTY_BODY_BYTES = 7  # maximum length of a body such as "null" or "{}", which Docker accepts
NO_BODY = "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24"
OWN_DNS_NAMES = (1, 45)
"""From this version, DNSNames has a container's short id and host name. In older versions, Aliases has them."""


def list_containers(request: Request) -> Response:
    """Answer GET /containers/json."""
    documents = request.engine.containers.list(
        request.filters(),
        all=request.flag("all"),
        limit=request.number("limit") or -1,
        size=request.flag("size"),
    )
    _add_newer_fields(request, documents)
    return json_response([without_empty_size(document) for document in documents])


def without_empty_size(document: Json) -> Json:
    """Return a container's list entry; if its field ``SizeRw`` is 0, remove this field, as Docker does."""
    return {key: value for key, value in document.items() if key != "SizeRw" or value}


def inspect(request: Request) -> Response:
    """Answer GET /containers/{id}/json."""
    document = request.engine.containers.inspect(request.parameters["id"], size=request.flag("size"))
    document["ExecIDs"] = EXECS.of_container(document["Id"], run_of(document)) or None
    _add_newer_fields(request, [document])
    return json_response(document if request.version >= OWN_DNS_NAMES else with_old_aliases(document))


def _add_newer_fields(request: Request, documents: Documents) -> None:
    """Add GwPriority to the documents of containers if the client's API version is 1.48 or newer."""
    if request.version >= NETWORK_FIELDS:
        priorities = request.engine.containers.gateway_priorities([document["Id"] for document in documents])
        for document in documents:
            add_priorities(document, priorities.get(document["Id"], {}))


def create(request: Request) -> Response:
    """Answer POST /containers/create."""
    body = request.json(CONTAINER_CREATE)
    creation, warnings = container_create(body, request.value("name"), request.version, request.value("platform"))
    created = request.worker.containers.create(creation)
    return json_response({"Id": created.id, "Warnings": [*created.warnings, *warnings]}, 201)


def start(request: Request) -> Response:
    """Answer POST /containers/{id}/start; raises ApiError (400) for a body of more than `EMPTY_BODY_BYTES`.

    Old clients sent settings in the body. hawse refuses such settings, as Docker does.
    """
    if "transfer-encoding" in request.headers or int(request.headers.get("content-length", 0)) > EMPTY_BODY_BYTES:
        raise bad_request(NO_BODY)
    return NO_CONTENT if request.worker.containers.start(request.parameters["id"]) else NOT_MODIFIED


def stop(request: Request) -> Response:
    """Answer POST /containers/{id}/stop."""
    stopped = request.worker.containers.stop(request.parameters["id"], request.number("t"), request.value("signal"))
    return NO_CONTENT if stopped else NOT_MODIFIED


def restart(request: Request) -> Response:
    """Answer POST /containers/{id}/restart."""
    request.worker.containers.restart(request.parameters["id"], request.number("t"), request.value("signal"))
    return NO_CONTENT


def kill(request: Request) -> Response:
    """Answer POST /containers/{id}/kill."""
    request.worker.containers.kill(request.parameters["id"], request.value("signal"))
    return NO_CONTENT


def rename(request: Request) -> Response:
    """Answer POST /containers/{id}/rename."""
    request.worker.containers.rename(request.parameters["id"], request.value("name"))
    return NO_CONTENT


def update(request: Request) -> Response:
    """Answer POST /containers/{id}/update: change the restart policy, and warn for limits, which hawse ignores.

    A limit is a setting of resources, such as Memory.
    """
    body = request.json(CONTAINER_UPDATE)
    policy = restart_policy(body.child("RestartPolicy")) if body.child("RestartPolicy").text("Name") else None
    request.worker.containers.update(request.parameters["id"], policy)
    warnings = [f"hawse ignores {name}" for name in ignored_resources(body)]
    return json_response({"Warnings": warnings or None})


def remove(request: Request) -> Response:
    """Answer DELETE /containers/{id}."""
    if request.flag("link"):
        request.worker.containers.unlink(request.parameters["id"])
        return NO_CONTENT
    request.worker.containers.remove(request.parameters["id"], force=request.flag("force"))
    return NO_CONTENT


def prune(request: Request) -> Response:
    """Answer POST /containers/prune."""
    removed, size = request.worker.containers.prune(request.filters())
    return json_response({"ContainersDeleted": removed or None, "SpaceReclaimed": size})


def with_old_aliases(document: Json) -> Json:
    """Add a container's short id and host name to the Aliases in its document; return the document.

    API versions before 1.45 have these aliases on each user-defined network.
    """
    aliases = [document["Id"][:SHORT_ID], document["Config"]["Hostname"]]
    for network, settings in document["NetworkSettings"]["Networks"].items():
        if is_user_defined(network):
            settings["Aliases"] = list(dict.fromkeys([*(settings["Aliases"] or ()), *aliases]))
    return document


ROUTES = [
    Route("GET", "/containers/json", list_containers),
    Route("POST", "/containers/create", create),
    Route("POST", "/containers/prune", prune),
    Route("GET", "/containers/{id:.*}/json", inspect),
    Route("POST", "/containers/{id:.*}/start", start),
    Route("POST", "/containers/{id:.*}/stop", stop),
    Route("POST", "/containers/{id:.*}/restart", restart),
    Route("POST", "/containers/{id:.*}/kill", kill),
    Route("POST", "/containers/{id:.*}/rename", rename),
    Route("POST", "/containers/{id:.*}/update", update),
    Route("DELETE", "/containers/{id}/checkpoints/{name}", refuse_checkpoint),
    Route("DELETE", "/containers/{id:.*}", remove),
]
