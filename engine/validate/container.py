"""Check requests to create or rename a container, in dockerd's order.

This module makes only the checks that need no image.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import replace

from engine.errors import Conflict, InvalidArgument
from engine.model import ContainerConfig, ContainerCreate, ContainerRecord, EndpointSettings, NetworkRecord
from engine.names import check_container_name, container_name_taken, is_container_mode
from engine.validate.endpoint import check_networking_config
from engine.validate.host_config import check_host_config, check_network_mode
from engine.validate.signals import parse_signal

OLD_MAC_FIELD = (
    "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."
)
HOST_MODE_PORTS = "Published ports are discarded when using host network mode"


def check_container_create(request: ContainerCreate, networks: Mapping[str, NetworkRecord | None]) -> list[str]:
    """Raise the errors that dockerd raises before it looks for the image; return the warnings for the user.

    ``networks`` maps the names in ``request.networks`` to records, or to None for a missing network. A missing network
    is an error only at the container's start. Four checks follow after the image is found: the command ("no command
    specified"), the name (`check_name`), the binds (`engine.validate.host_config.check_binds`) and the links
    (`engine.names.parse_link`).
    """
    check_network_mode(request.config, request.host)
    settings = _main_network_settings(request)
    check_config(request.config)
    check_host_config(request.host)
    check_networking_config(settings, networks)
    warnings = []
    if request.config.mac_address:
        warnings.append(OLD_MAC_FIELD)
    if request.host.network_mode == "host" and request.host.port_bindings:
        warnings.append(HOST_MODE_PORTS)
    return warnings


def check_config(config: ContainerConfig) -> None:
    """Raise InvalidArgument for an invalid working directory, stop signal or environment variable.

    The working directory must be absolute, and every variable must have a name.
    """
    if config.working_dir and not posixpath.isabs(config.working_dir):
        raise InvalidArgument(
            f"the working directory '{config.working_dir}' is invalid, it needs to be an absolute path"
        )
    if config.stop_signal:
        parse_signal(config.stop_signal)
    for variable in config.env or ():
        if not variable.partition("=")[0]:
            raise InvalidArgument(f"invalid environment variable: {variable}")


def check_name(request: ContainerCreate) -> str:
    """Return the container name in the request without the leading slash, or "" if the request has no name.

    The caller generates a name if the result is "".
    """
    return check_container_name(request.name) if request.name else ""


def _main_network_settings(request: ContainerCreate) -> dict[str, EndpointSettings]:
    """Return the network settings of a new container.

    The request has an old field for the MAC address of the whole container. This MAC address is copied into the
    settings of the main network. Raises `InvalidArgument` if the main network's settings have a different MAC address.
    """
    mode, mac = request.host.network_mode, request.config.mac_address
    mode = "bridge" if mode in ("", "default") else mode
    settings = dict(request.networks)
    if not mac or is_container_mode(mode):
        return settings
    main = settings.get(mode, EndpointSettings())
    if main.mac_address and main.mac_address != mac:
        raise InvalidArgument(
            "the container-wide MAC address must match the endpoint-specific MAC address for the main network, "
            "or be left empty"
        )
    return {**settings, mode: replace(main, mac_address=mac)}


ALLOCATING = "Error when allocating new name: "


def check_rename_given(name: str) -> None:
    """Raise InvalidArgument if the new name is empty.

    The caller calls this function before it looks up the container.
    """
    if not name:
        raise InvalidArgument("Neither old nor new names may be empty")


def check_rename(record: ContainerRecord, name: str) -> str:
    """Return the new name of a container without the leading slash.

    Raises `InvalidArgument` if the name is invalid or is the container's current name.
    """
    new = f"/{name.removeprefix('/')}"
    if new == f"/{record.name}":
        raise InvalidArgument("Renaming a container with the same name as its current name")
    try:
        return check_container_name(new)
    except InvalidArgument as error:
        raise InvalidArgument(f"{ALLOCATING}{error}") from None


def rename_conflict(name: str, holder_id: str) -> Conflict:
    """Return the error for renaming a container to a name that another container has."""
    return Conflict(f"{ALLOCATING}{container_name_taken(name, holder_id)}")
