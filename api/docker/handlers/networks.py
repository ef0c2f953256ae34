"""/networks: list, inspect, create, remove, connect, disconnect and prune."""

from __future__ import annotations

from collections.abc import Mapping

from api.docker.container_body import endpoint_settings
from api.docker.errors import bad_request
from api.docker.fields import Fields
from api.docker.messages import EMPTY, NO_CONTENT, Request, Response, json_response
from api.docker.newer_versions import network_of
from api.docker.request_types import NETWORK_CONNECT, NETWORK_CREATE, NETWORK_DISCONNECT
from api.docker.router import Route
from engine.errors import NotFound
from engine.golang.strconv import parse_bool
from engine.model import EndpointSettings, IPAMConfig, NetworkCreate


def list_networks(request: Request) -> Response:
    """Answer GET /networks. Before API version 1.28, each network's document also lists its containers."""
    networks = request.engine.networks
    documents = networks.list(request.filters())
    if request.version < (1, 28):
        documents = [networks.inspect(document["Id"]) for document in documents]
    return json_response([network_of(document, request.version) for document in documents])


def inspect(request: Request) -> Response:
    """Answer GET /networks/{id}. With the parameter ``scope``, only a network of this scope is found."""
    reference, scope = request.parameters["id"], request.value("scope")
    document = request.engine.networks.inspect(reference, verbose=verbose(request.value("verbose")))
    if scope not in ("", document["Scope"]):
        raise NotFound(f"network {reference} not found")
    return json_response(network_of(document, request.version))


def verbose(text: str) -> bool:
    """Return the boolean ``text`` of the query parameter ``verbose``; raises ApiError (400) if it is no boolean of Go.

    The empty text means False.
    """
    try:
        return bool(text) and parse_bool(text)
    except ValueError as error:
        raise bad_request(f"invalid value for verbose: {text}: {error}") from None


def create(request: Request) -> Response:
    """Answer POST /networks/create."""
    created = request.worker.networks.create(network_create(request.json(NETWORK_CREATE)))
    return json_response({"Id": created.id, "Warning": "\n".join(created.warnings)}, 201)


def remove(request: Request) -> Response:
    """Answer DELETE /networks/{id}."""
    request.worker.networks.remove(request.parameters["id"])
    return NO_CONTENT


def connect(request: Request) -> Response:
    """Answer POST /networks/{id}/connect."""
    body = request.json(NETWORK_CONNECT)
    settings = endpoint_settings(body.child("EndpointConfig")) if body.has("EndpointConfig") else EndpointSettings()
    request.worker.networks.connect(request.parameters["id"], body.text("Container"), settings)
    return EMPTY


def disconnect(request: Request) -> Response:
    """Answer POST /networks/{id}/disconnect."""
    body = request.json(NETWORK_DISCONNECT)
    request.worker.networks.disconnect(request.parameters["id"], body.text("Container"), force=body.flag("Force"))
    return EMPTY


def prune(request: Request) -> Response:
    """Answer POST /networks/prune."""
    return json_response({"NetworksDeleted": request.worker.networks.prune(request.filters()) or None})


def network_create(body: Fields) -> NetworkCreate:
    """Return the engine's request for the body of POST /networks/create."""
    ipam = body.child("IPAM")
    options = body.pairs("Options") or {}
    return NetworkCreate(
        name=body.text("Name"),
        driver=body.text("Driver") or "bridge",
        scope=body.text("Scope"),
        enable_ipv4=body.optional_flag("EnableIPv4"),
        enable_ipv6=body.flag("EnableIPv6"),
        ipam_driver=ipam.text("Driver") or "default",
        ipam_options=ipam.pairs("Options"),
        ipam_config=[_ipam_config(config) for config in ipam.children("Config")],
        internal=body.flag("Internal"),
        attachable=body.flag("Attachable"),
        ingress=body.flag("Ingress"),
        config_only=body.flag("ConfigOnly"),
        config_from=body.child("ConfigFrom").text("Network"),
        options=options,
        labels=body.pairs("Labels") or {},
    )


def _ipam_config(config: Fields) -> IPAMConfig:
    addresses: Mapping[str, str] = config.pairs("AuxiliaryAddresses") or {}
    return IPAMConfig(config.text("Subnet"), config.text("IPRange"), config.text("Gateway"), addresses)


ROUTES = [
    Route("GET", "/networks", list_networks),
    Route("GET", "/networks/", list_networks),
    Route("POST", "/networks/create", create),
    Route("POST", "/networks/prune", prune),
    Route("GET", "/networks/{id:.*}", inspect),
    Route("POST", "/networks/{id:.*}/connect", connect),
    Route("POST", "/networks/{id:.*}/disconnect", disconnect),
    Route("DELETE", "/networks/{id:.*}", remove),
]
