"""Answer for parts of Docker that hawse lacks: empty lists, and refusals (501) that say what to do instead.

Most handlers first check the parameters and look for the named object. If this check fails, the client gets Docker's
error.
"""

from __future__ import annotations

from collections.abc import Iterator

from api.docker.errors import ApiError, bad_request
from api.docker.handlers.swarm import check_version
from api.docker.messages import NO_CONTENT, Handler, Request, Response, json_response
from api.docker.request_types import CONTAINER_CREATE, EMPTY, VOLUME_CREATE
from api.docker.router import Route
from engine.errors import NotFound, NotImplementedByHawse
from engine.filters.rules import check_keys
from engine.golang.strconv import atoi
from engine.validate.image_reference import parse_reference

VOLUMES = "hawse keeps no volumes. Mount a directory of this host: -v /srv/data:/data"
PLUGINS = "hawse has no plugins of Docker. Its network drivers are Python packages"
SERVICES = "hawse's cluster shares networks, not services. Start the container on each host"
BUILD = "hawse builds no images. Build with buildah, then: buildah push NAME docker-archive:i.tar && hawse import i.tar"
REGISTRY = "hawse does not push images to registries. Use skopeo"
SEARCH = "hawse does not search registries. Search on the registry's web site"
DISTRIBUTION = "hawse does not read manifests from registries. Use: skopeo inspect docker://NAME"
LAYERS = "hawse keeps root file systems, not layers, and never changes an image"
FILES = "hawse does not copy files into or out of containers. Use: exec NAME tar -C /path -c ."
CGROUPS = "hawse does not pause containers, because it makes no cgroups"
CHECKPOINTS = "hawse makes no checkpoints of processes"
PLUGIN_VERBS = ("disable", "enable", "push", "set", "upgrade")
TRUTH_VALUES = ("0", "1", "false", "true")
SEARCH_LIMIT = 100  # maximum number of results of Docker's search


def plugins(request: Request) -> Response:
    """Answer GET /plugins with an empty list."""
    check_keys(request.filters(), frozenset({"enabled", "capability"}))
    return json_response([])


def no_services(request: Request) -> Response:
    """Answer GET /services, /tasks, /secrets or /configs with an empty list.

    Raises Unavailable with Docker's text on a host that is no manager.
    """
    request.engine.swarm.nodes({})
    return json_response([])


def no_volumes(request: Request) -> Response:
    """Answer GET /volumes with an empty list."""
    try:
        filters = request.filters()
    except ApiError as error:
        raise bad_request(f"error reading volume filters: {error}") from None
    check_keys(filters, frozenset({"dangling", "driver", "label", "name"}))
    return json_response({"Volumes": [], "Warnings": None})


def pruned_volumes(request: Request) -> Response:
    """Answer POST /volumes/prune: no volume was deleted."""
    check_keys(request.filters(), frozenset({"all", "label", "label!"}))
    return json_response({"VolumesDeleted": [], "SpaceReclaimed": 0})


def pruned_cache(request: Request) -> Response:
    """Answer POST /build/prune: no build cache was deleted."""
    request.filters()
    return json_response({"CachesDeleted": None, "SpaceReclaimed": 0})


def volume(request: Request) -> Response:
    """Answer a request for a volume with NotFound and the volume's name, because there are no volumes."""
    raise NotFound(f"get {request.parameters['name']}: no such volume")


def remove_volume(request: Request) -> Response:
    """Answer DELETE /volumes/{name} with NotFound, or with 204 if ``force`` is set; there are no volumes."""
    return NO_CONTENT if request.flag("force") else volume(request)


def plugin(request: Request) -> Response:
    """Answer a request for a plugin with NotFound and the plugin's name, because there are no plugins."""
    raise NotFound(f'plugin "{request.parameters["name"]}" not found')


def service(request: Request) -> Response:
    """Refuse a request for a service, task, secret or config with NotFound; the error text names the object.

    On a host that is not a manager, raises Unavailable with Docker's text instead.
    """
    request.engine.swarm.nodes({})
    raise NotFound(f"{_kind(request)} {request.parameters['name']} not found")


def session(_: Request) -> Response:
    """Refuse POST /session with ApiError (501); BuildKit clients use this request to open a connection."""
    raise ApiError(501, BUILD)


def search(request: Request) -> Response:
    """Refuse GET /images/search with NotImplementedByHawse, after a check of its parameters."""
    limit, filters = 0, request.filters()
    if text := request.value("limit"):
        try:
            limit = atoi(text)
        except ValueError as error:
            raise bad_request(f"invalid limit specified: {error}") from None
    check_keys(filters, frozenset({"is-automated", "is-official", "stars"}))
    for key in ("is-automated", "is-official"):
        if any(value not in TRUTH_VALUES for value in filters.get(key, ())):
            raise bad_request(f"invalid filter '{key}=[{' '.join(filters[key])}]'")
    for stars in filters.get("stars", ()):
        try:
            atoi(stars)
        except ValueError as error:
            raise bad_request(f"invalid filter 'stars={stars}': {error}") from None
    if limit > SEARCH_LIMIT:
        raise bad_request(f"limit {limit} is outside the range of [1, {SEARCH_LIMIT}]")
    raise NotImplementedByHawse(SEARCH)


def distribution(request: Request) -> Response:
    """Refuse GET /distribution/{name}/json with NotImplementedByHawse.

    If the name is not a valid image reference, raises Docker's error instead.
    """
    parse_reference(request.parameters["name"])
    raise NotImplementedByHawse(DISTRIBUTION)


def history(request: Request) -> Response:
    """Refuse GET /images/{name}/history with NotImplementedByHawse; NotFound for a missing image."""
    request.engine.images.inspect(request.parameters["name"])
    raise NotImplementedByHawse(LAYERS)


def commit(request: Request) -> Response:
    """Refuse POST /commit with NotImplementedByHawse, because hawse never makes an image from a container.

    The image name, the body and the container are checked first. A wrong request therefore gets Docker's error.
    """
    if repository := request.value("repo"):
        parse_reference(repository)
    request.json(CONTAINER_CREATE)
    request.engine.containers.inspect(request.value("container"))
    raise NotImplementedByHawse(LAYERS)


def archive(request: Request) -> Response:
    """Refuse /containers/{id}/archive with NotImplementedByHawse, after a check of the path and of the container."""
    if not request.value("path"):
        raise bad_request("bad parameter: pathcannot be empty")  # Docker's text lacks the space too
    request.engine.containers.inspect(request.parameters["id"])
    raise NotImplementedByHawse(FILES)


def create_volume(request: Request) -> Response:
    """Refuse POST /volumes/create with NotImplementedByHawse, after a check of the body."""
    request.json(VOLUME_CREATE)
    raise NotImplementedByHawse(VOLUMES)


def create_service(request: Request) -> Response:
    """Refuse a new service, secret or config with NotImplementedByHawse.

    If the body is invalid, or if this host is no manager, the client gets Docker's error instead.
    """
    request.json(EMPTY)
    request.engine.swarm.nodes({})
    raise NotImplementedByHawse(SERVICES)


def update_service(request: Request) -> Response:
    """Refuse the update of a service, secret or config with NotFound, because hawse has no such objects.

    If the parameter ``version`` is wrong, raises ApiError instead. On a host that is no manager, raises Unavailable.
    """
    check_version(request, _kind(request))
    return service(request)


def service_logs(request: Request) -> Response:
    """Refuse the logs of a service or task with NotImplementedByHawse.

    If the request chooses no stream, or if this host is no manager, the client gets Docker's error instead.
    """
    if not (request.flag("stdout") or request.flag("stderr")):
        raise ApiError(500, "Bad parameters: you must choose at least one stream")
    request.engine.swarm.nodes({})
    raise NotImplementedByHawse(SERVICES)


def cancel_build(request: Request) -> Response:
    """Refuse POST /build/cancel with NotImplementedByHawse; ApiError (400) for a request that names no build."""
    if not request.value("id"):
        raise bad_request("build ID not provided")
    raise NotImplementedByHawse(BUILD)


def refused(text: str) -> Handler:
    """Return a handler that refuses every request with NotImplementedByHawse and ``text``.

    If the path names a container that does not exist, the handler raises NotFound with Docker's text instead.
    """

    def refuse(request: Request) -> Response:
        if "id" in request.parameters:
            request.engine.containers.inspect(request.parameters["id"])
        raise NotImplementedByHawse(text)

    return refuse


def refuse_checkpoint(_: Request) -> Response:
    """Refuse DELETE /containers/{id}/checkpoints/{name} with NotImplementedByHawse."""
    raise NotImplementedByHawse(CHECKPOINTS)


def _kind(request: Request) -> str:
    """Return the kind of object that the path names: "service" for /services/{name}; else task, secret or config."""
    return request.path.split("/")[1].removesuffix("s")


def _refusals(text: str, *paths: str) -> Iterator[Route]:
    for path in paths:
        method, _, rest = path.partition(" ")
        yield Route(method, rest, refused(text))


ROUTES = [
    Route("GET", "/volumes", no_volumes),
    Route("POST", "/volumes/prune", pruned_volumes),
    Route("GET", "/volumes/{name:.*}", volume),
    Route("DELETE", "/volumes/{name:.*}", remove_volume),
    Route("GET", "/plugins", plugins),
    Route("GET", "/plugins/{name:.*}/json", plugin),
    Route("DELETE", "/plugins/{name:.*}", plugin),
    *(Route("GET", f"/{kind}", no_services) for kind in ("services", "tasks", "secrets", "configs")),
    *(Route("GET", f"/{kind}/{{name}}", service) for kind in ("services", "tasks", "secrets", "configs")),
    *(Route("DELETE", f"/{kind}/{{name}}", service) for kind in ("services", "secrets", "configs")),
    Route("POST", "/build/prune", pruned_cache),
    Route("POST", "/session", session),
    Route("POST", "/volumes/create", create_volume),
    *_refusals(VOLUMES, "PUT /volumes/{name:.*}"),
    *_refusals(PLUGINS, "GET /plugins/privileges", "POST /plugins/pull", "POST /plugins/create"),
    *(Route("POST", f"/plugins/{{name:.*}}/{verb}", plugin) for verb in PLUGIN_VERBS),
    *(Route("POST", f"/{kind}/create", create_service) for kind in ("services", "secrets", "configs")),
    *(Route("POST", f"/{kind}/{{name}}/update", update_service) for kind in ("services", "secrets", "configs")),
    *(Route("GET", f"/{kind}/{{name}}/logs", service_logs) for kind in ("services", "tasks")),
    *_refusals(BUILD, "POST /build", "POST /grpc"),
    Route("POST", "/build/cancel", cancel_build),
    *_refusals(REGISTRY, "POST /images/{name:.*}/push"),
    Route("GET", "/images/search", search),
    Route("GET", "/distribution/{name:.*}/json", distribution),
    Route("POST", "/commit", commit),
    Route("GET", "/images/{name:.*}/history", history),
    *_refusals(LAYERS, "GET /containers/{id}/changes"),
    *_refusals(FILES, "GET /containers/{id}/export"),
    *(Route(method, "/containers/{id}/archive", archive) for method in ("GET", "HEAD", "PUT")),
    *_refusals(CGROUPS, "POST /containers/{id}/pause", "POST /containers/{id}/unpause"),
    # The parameter is not {id}, so that `refused` does not look for the container. dockerd without experimental
    # features does not look for it either.
    *_refusals(CHECKPOINTS, "GET /containers/{name}/checkpoints", "POST /containers/{name}/checkpoints"),
]  # fmt: skip
