"""Checks of network connect and disconnect that depend on the container's state and its other networks."""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import EngineError, Forbidden, InvalidArgument
from engine.model import ContainerRecord, EndpointSettings, NetworkRecord
from engine.validate.endpoint import check_endpoint_settings
from engine.validate.host_config import is_container_mode
from engine.validate.links import parse_link

SHARED = "container sharing network namespace with another container or host cannot be connected to any other network"
HOST = "container cannot be disconnected from host network or connected to host network"
PRIVATE = "container cannot be connected to multiple networks with one of the networks in private (none) mode"


def check_connect(
    record: ContainerRecord, network: NetworkRecord, settings: EndpointSettings, joined: Sequence[NetworkRecord]
) -> None:
    """Refuse what dockerd refuses, in its order: shared sandbox, settings, host and none, configuration, already there.

    The caller has found the container first and the network second, except that a container in ``container:`` mode
    is refused before its network is looked up (`check_own_sandbox`). ``joined`` are the networks a running container
    is on. A container that doesn't run is refused less: connecting it twice or to a configuration-only network is
    silently accepted, and only its next start fails.
    """
    running = record.status == "running"
    if running:
        check_own_sandbox(record)
    check_endpoint_settings(network.name, settings, network)
    _check_modes(record, network, joined)
    if not running:
        return
    check_not_config_only(network)
    for link in settings.links or ():
        parse_link(link)
    if any(other.id == network.id for other in joined):
        if network.scope == "swarm":
            raise Forbidden(f"{record.name} is already attached to network {network.name}")
        raise Forbidden(f"endpoint with name {record.name} already exists in network {network.name}")


def check_not_config_only(network: NetworkRecord) -> None:
    """Refuse a network that is only a configuration for others."""
    if network.config_only:
        raise Forbidden("cannot create endpoint on configuration-only network")


def check_own_sandbox(record: ContainerRecord) -> None:
    """Refuse a container that lives in another's sandbox."""
    if is_container_mode(record.host.network_mode):
        raise InvalidArgument(SHARED)


def check_disconnect(record: ContainerRecord, network: NetworkRecord, *, connected: bool) -> None:
    """Refuse to disconnect from the host's network, or where there is no connection (worded by running or not)."""
    running = record.status == "running"
    if running and record.host.network_mode == "host" and network.driver == "host":
        raise InvalidArgument(HOST)
    if not connected:
        raise not_connected(record, network.name, running=running)


def not_connected(record: ContainerRecord, network: str, *, running: bool) -> EngineError:
    """Make the error for a container without endpoint on the network; of one that is not running, with "the"."""
    the = "" if running else "the "
    return EngineError(f"container {record.id} is not connected to {the}network {network}")


def _check_modes(record: ContainerRecord, network: NetworkRecord, joined: Sequence[NetworkRecord]) -> None:
    on_host = record.host.network_mode == "host"
    if network.driver == "host" and not on_host:
        raise InvalidArgument(HOST)
    if on_host and network.driver != "host":
        raise InvalidArgument(SHARED)
    others = {other.name for other in joined} | {attachment.network for attachment in record.attachments}
    others.discard(network.name)
    if others and "none" in others | {network.name}:
        raise InvalidArgument(PRIVATE)
