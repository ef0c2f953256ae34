"""Answer for parts of Docker that hawse lacks: empty lists, and refusals (501) that say what to do instead."""

from __future__ import annotations

from collections.abc import Iterator

from api.docker.errors import ApiError
from api.docker.messages import NO_CONTENT, Handler, Request, Response, json_response
from api.docker.router import Route
from engine.errors import NotFound, NotImplementedByHawse

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


def empty_list(_: Request) -> Response:
    """Answer with an empty list, for objects that hawse does not have."""
    return json_response([])


def no_services(request: Request) -> Response:
    """Answer requests for all services, tasks, secrets or configs: an empty list, or an error without a cluster."""
    request.engine.swarm.nodes({})
    return json_response([])


def no_volumes(_: Request) -> Response:
    """Answer GET /volumes with an empty list."""
    return json_response({"Volumes": [], "Warnings": None})


def pruned_volumes(_: Request) -> Response:
    """Answer POST /volumes/prune: no volume was deleted."""
    return json_response({"VolumesDeleted": [], "SpaceReclaimed": 0})


def pruned_cache(_: Request) -> Response:
    """Answer POST /build/prune: no build cache was deleted."""
    return json_response({"CachesDeleted": None, "SpaceReclaimed": 0})


def volume(request: Request) -> Response:
    """Answer a request for a volume with an error that names the volume."""
    raise NotFound(f"get {request.parameters['name']}: no such volume")


def remove_volume(request: Request) -> Response:
    """Answer DELETE /volumes/{name}: with ``force``, a missing volume is no error."""
    return NO_CONTENT if request.flag("force") else volume(request)


def plugin(request: Request) -> Response:
    """Answer a request for a plugin with an error that names the plugin."""
    raise NotFound(f'plugin "{request.parameters["name"]}" not found')


def service(request: Request) -> Response:
    """Answer a request for a service, task, secret or config with an error that names the object."""
    request.engine.swarm.nodes({})
    kind = request.path.split("/")[1].removesuffix("s")
    raise NotFound(f"{kind} {request.parameters['name']} not found")


def session(_: Request) -> Response:
    """Refuse the session that BuildKit asks for."""
    raise ApiError(501, BUILD)


def refused(text: str) -> Handler:
    """Return a handler that refuses every request with this text."""

    def refuse(_: Request) -> Response:
        raise NotImplementedByHawse(text)

    return refuse


def _refusals(text: str, *paths: str) -> Iterator[Route]:
    for path in paths:
        method, _, rest = path.partition(" ")
        yield Route(method, rest, refused(text))


ROUTES = [
    Route("GET", "/volumes", no_volumes),
    Route("POST", "/volumes/prune", pruned_volumes),
    Route("GET", "/volumes/{name:.*}", volume),
    Route("DELETE", "/volumes/{name:.*}", remove_volume),
    Route("GET", "/plugins", empty_list),
    Route("GET", "/plugins/{name:.*}/json", plugin),
    Route("DELETE", "/plugins/{name:.*}", plugin),
    *(Route("GET", f"/{kind}", no_services) for kind in ("services", "tasks", "secrets", "configs")),
    *(Route("GET", f"/{kind}/{{name}}", service) for kind in ("services", "tasks", "secrets", "configs")),
    *(Route("DELETE", f"/{kind}/{{name}}", service) for kind in ("services", "secrets", "configs")),
    Route("POST", "/build/prune", pruned_cache),
    Route("POST", "/session", session),
    *_refusals(VOLUMES, "POST /volumes/create", "PUT /volumes/{name:.*}"),
    *_refusals(PLUGINS, "GET /plugins/privileges", "POST /plugins/{name:.*}"),
    *_refusals(SERVICES, "POST /services/create", "POST /services/{name}/update", "GET /services/{name}/logs",
               "GET /tasks/{name}/logs", "POST /secrets/create", "POST /configs/create"),
    *_refusals(BUILD, "POST /build", "POST /build/cancel", "POST /grpc"),
    *_refusals(REGISTRY, "POST /images/{name:.*}/push"),
    *_refusals(SEARCH, "GET /images/search"),
    *_refusals(DISTRIBUTION, "GET /distribution/{name:.*}/json"),
    *_refusals(LAYERS, "POST /commit", "GET /containers/{id}/changes", "GET /images/{name:.*}/history"),
    *_refusals(FILES, "GET /containers/{id}/export", "GET /containers/{id}/archive", "HEAD /containers/{id}/archive",
               "PUT /containers/{id}/archive"),
    *_refusals(CGROUPS, "POST /containers/{id}/pause", "POST /containers/{id}/unpause"),
    *_refusals(CHECKPOINTS, "GET /containers/{id}/checkpoints", "POST /containers/{id}/checkpoints",
               "DELETE /containers/{id}/checkpoints/{name}"),
]  # fmt: skip
