"""/swarm and /nodes, as far as hawse has them: hawse's cluster shares networks between hosts, but has no services."""

from __future__ import annotations

from api.docker.errors import bad_request
from api.docker.fields import Fields
from api.docker.messages import EMPTY, Json, Request, Response, json_response
from api.docker.request_types import SWARM_INIT, SWARM_JOIN
from api.docker.router import Route
from engine.api import SwarmInit, SwarmJoin
from engine.errors import InvalidArgument, NotImplementedByHawse
from engine.golang.strconv import parse_uint

SUBNET_SIZE = 24  # prefix length of subnets; Docker's default
ROLES = ("Worker", "Manager")
UNCHANGEABLE = "hawse's cluster has no keys to unlock and no settings to change later"
NO_TASKS = "hawse's cluster shares networks, not services: a node has no tasks and no availability"


def inspect(request: Request) -> Response:
    """Answer GET /swarm with the cluster and its join tokens; raises Unavailable on a host that is no manager."""
    swarm = request.engine.swarm
    tokens = {role: swarm.join_token(role.lower())[0] for role in ROLES}  # raises on a host that is no manager
    cluster: Json = request.engine.system.info()["Swarm"].get("Cluster", {})
    created = cluster.get("CreatedAt", "")
    head = {"ID": cluster.get("ID", ""), "Version": {"Index": 1}, "CreatedAt": created, "UpdatedAt": created}
    return json_response({**head, **cluster, "JoinTokens": tokens})


def init(request: Request) -> Response:
    """Answer POST /swarm/init with the id of this host's node."""
    body = request.json(SWARM_INIT)
    _require_listen_address(body)
    return json_response(request.worker.swarm.init(swarm_init(body)))


def join(request: Request) -> Response:
    """Answer POST /swarm/join."""
    body = request.json(SWARM_JOIN)
    _require_listen_address(body)
    remotes = body.texts("RemoteAddrs") or ()
    if not remotes:
        raise InvalidArgument("at least 1 RemoteAddr is required to join")
    join = SwarmJoin(
        remotes[0],
        body.text("JoinToken"),
        advertise=body.text("AdvertiseAddr"),
        data_path=body.text("DataPathAddr"),
    )
    request.worker.swarm.join(join)
    return EMPTY


def leave(request: Request) -> Response:
    """Answer POST /swarm/leave."""
    request.worker.swarm.leave(force=request.flag("force"))
    return EMPTY


def update(request: Request) -> Response:
    """Answer POST /swarm/update. hawse supports only the rotation of join tokens."""
    check_version(request, "swarm")
    roles = [role.lower() for role in ROLES if request.flag(f"rotate{role}Token")]
    if not roles:
        raise NotImplementedByHawse(UNCHANGEABLE)
    for role in roles:
        request.worker.swarm.join_token(role, rotate=True)
    return EMPTY


def list_nodes(request: Request) -> Response:
    """Answer GET /nodes."""
    return json_response(request.engine.swarm.nodes(request.filters()))


def inspect_node(request: Request) -> Response:
    """Answer GET /nodes/{id}."""
    return json_response(request.engine.swarm.inspect_node(request.parameters["id"]))


def remove_node(request: Request) -> Response:
    """Answer DELETE /nodes/{id}."""
    request.worker.swarm.remove_node(request.parameters["id"], force=request.flag("force"))
    return EMPTY


def update_node(request: Request) -> Response:
    """Refuse POST /nodes/{id}/update with NotImplementedByHawse, after a check of the parameter ``version``."""
    check_version(request, "node")
    raise NotImplementedByHawse(NO_TASKS)


def unlock(request: Request) -> Response:
    """Refuse /swarm/unlock and /swarm/unlockkey with NotImplementedByHawse.

    Raises Unavailable with Docker's text on a host that is no manager.
    """
    request.engine.swarm.nodes({})
    raise NotImplementedByHawse(UNCHANGEABLE)


def check_version(request: Request, kind: str) -> None:
    """Check that the parameter ``version`` is a whole number without a sign; raises ApiError (400).

    hawse does not compare the number with the object's version. ``kind`` is the kind of object, such as "service". As
    in Docker, the error for a secret or a config does not show the version.
    """
    version = request.value("version")
    try:
        parse_uint(version, base=10)
    except ValueError as error:
        detail = "" if kind in ("secret", "config") else f" '{version}': {error}"
        raise bad_request(f"invalid {kind} version{detail}") from None


def _require_listen_address(body: Fields) -> None:
    """Check that the body has a ListenAddr; raises InvalidArgument.

    Docker requires the address, and hawse does not use it.
    """
    if not body.text("ListenAddr"):
        raise InvalidArgument('invalid ListenAddr "": invalid empty address')


def swarm_init(body: Fields) -> SwarmInit:
    """Return the engine's request for the body of POST /swarm/init."""
    return SwarmInit(
        advertise=body.text("AdvertiseAddr"),
        data_path=body.text("DataPathAddr"),
        pools=tuple(body.texts("DefaultAddrPool") or ()),
        subnet_size=body.number("SubnetSize") or SUBNET_SIZE,
    )


ROUTES = [
    Route("GET", "/swarm", inspect),
    Route("POST", "/swarm/init", init),
    Route("POST", "/swarm/join", join),
    Route("POST", "/swarm/leave", leave),
    Route("POST", "/swarm/update", update),
    Route("GET", "/swarm/unlockkey", unlock),
    Route("POST", "/swarm/unlock", unlock),
    Route("GET", "/nodes", list_nodes),
    Route("GET", "/nodes/{id}", inspect_node),
    Route("POST", "/nodes/{id}/update", update_node),
    Route("DELETE", "/nodes/{id}", remove_node),
]
