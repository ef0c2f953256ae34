"""Render the documents of GET /containers/{id}/json and GET /containers/json."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from engine.golang.timestamps import to_seconds
from engine.model import ContainerConfig, ContainerRecord, EndpointRecord, NetworkRecord
from engine.names import is_container_mode
from engine.ports.allocation import expand_exposed
from engine.render import Json, copied_list
from engine.render.endpoint import address_document, networks_document
from engine.render.host_config import host_config_document
from engine.render.mounts import mounts_document
from engine.render.ports import listed_ports_document, ports_document
from engine.render.state import state_document, status_text

NO_SIZES: Mapping[str, int] = {}
"""The default of the parameter ``sizes``: an empty mapping.

If the client requests the disk usage of containers, the mapping ``sizes`` has the keys SizeRw and SizeRootFs, in bytes.
"""
_SAME_FOR_ALL = {"Driver": "overlay2", "Platform": "linux", "MountLabel": "", "ProcessLabel": "", "AppArmorProfile": ""}
"""Fields with one value for all containers, because hawse has one storage driver and uses no SELinux or AppArmor."""


class ContainerFiles(Struct, frozen=True):
    """The paths of a container's files on the host. Each path is "" until the container's first start.

    ``log`` is also "" for a logging driver other than json-file. ``layers`` maps Docker's names, such as "UpperDir", to
    the directories of the container's overlayfs. It is None for a container without image.
    """

    resolv_conf: str = ""
    hostname: str = ""
    hosts: str = ""
    log: str = ""
    layers: Mapping[str, str] | None = None


def container_document(
    record: ContainerRecord,
    endpoints: Sequence[EndpointRecord],
    networks: Mapping[str, NetworkRecord],
    files: ContainerFiles | None = None,
    *,
    sizes: Mapping[str, int] = NO_SIZES,
) -> Json:
    """Render a container's document for GET /containers/{id}/json.

    ``endpoints`` are the container's live endpoints. ``networks`` maps network ids to records, at least for the
    networks of ``endpoints``. ``files`` has the paths of the container's files. If the client asks for the disk usage,
    ``sizes`` has SizeRw and SizeRootFs in bytes, else it is empty.
    """
    files = files or ContainerFiles()
    return {
        "Id": record.id,
        "Created": record.created,
        "Path": record.path,
        "Args": list(record.args),
        "State": state_document(record),
        "Image": record.image_id,
        "ResolvConfPath": files.resolv_conf,
        "HostnamePath": files.hostname,
        "HostsPath": files.hosts,
        "LogPath": files.log,
        "Name": f"/{record.name}",
        "RestartCount": record.restart_count,
        **_SAME_FOR_ALL,
        "ExecIDs": None,  # the API service fills this in, because only its process knows the ids
        "HostConfig": host_config_document(record),
        "GraphDriver": {"Data": None if files.layers is None else dict(files.layers), "Name": "overlay2"},
        **sizes,
        "Mounts": mounts_document(record.host),
        "Config": config_document(record.config),
        "NetworkSettings": _network_settings(record, endpoints, networks),
    }


def container_summary(
    record: ContainerRecord,
    endpoints: Sequence[EndpointRecord],
    networks: Mapping[str, NetworkRecord],
    listed: Mapping[str, Json],
    *,
    now: float,
    link_names: Sequence[str] = (),
    sizes: Mapping[str, int] = NO_SIZES,
) -> Json:
    """Render a container's entry in GET /containers/json.

    - ``endpoints``: the container's live endpoints
    - ``networks``: maps network ids to records
    - ``listed``: the value of NetworkSettings.Networks (`engine.render.endpoint.listed_networks_document`)
    - ``now``: in Unix seconds
    - ``link_names``: the name "parent/alias" for each legacy link to this container
    - ``sizes``: SizeRw and SizeRootFs in bytes if the client asks for the disk usage, else empty
    """
    return {
        "Id": record.id,
        "Names": sorted(f"/{name}" for name in (record.name, *link_names)),
        "Image": record.config.image,
        "ImageID": record.image_id,
        "Command": _command(record),
        "Created": int(to_seconds(record.created)),
        "Ports": listed_ports_document(ports_document(record, endpoints, networks)),
        **sizes,
        "Labels": dict(sorted(record.config.labels.items())),
        "State": record.status,
        "Status": status_text(record, now),
        "HostConfig": {"NetworkMode": record.host.network_mode},
        "NetworkSettings": {"Networks": listed},
        "Mounts": mounts_document(record.host),
    }


def config_document(config: ContainerConfig) -> Json:
    """Render the Config part of a container or image document. Docker omits some keys if their values are empty."""
    document: Json = {
        "Hostname": config.hostname,
        "Domainname": config.domainname,
        "User": config.user,
        "AttachStdin": config.attach_stdin,
        "AttachStdout": config.attach_stdout,
        "AttachStderr": config.attach_stderr,
        "ExposedPorts": {key: {} for key in sorted(_exposed_keys(config))},
        "Tty": config.tty,
        "OpenStdin": config.open_stdin,
        "StdinOnce": config.stdin_once,
        "Env": copied_list(config.env),
        "Cmd": copied_list(config.cmd),
        "Healthcheck": {"Test": ["NONE"]} if config.no_healthcheck else None,
        "Image": config.image,
        "Volumes": None,
        "WorkingDir": config.working_dir,
        "Entrypoint": copied_list(config.entrypoint),
        "MacAddress": config.mac_address,
        "OnBuild": None,
        "Labels": dict(sorted(config.labels.items())),
        "StopSignal": config.stop_signal,
        "StopTimeout": config.stop_timeout,
    }
    optional = ("ExposedPorts", "Healthcheck", "MacAddress", "StopSignal", "StopTimeout")
    return {key: value for key, value in document.items() if key not in optional or value not in ({}, "", None)}


def _exposed_keys(config: ContainerConfig) -> Iterator[str]:
    """Yield the keys of the field ExposedPorts.

    If ``config.exposed_keys`` has the key that the client sent for an entry, the entry gives this key unchanged. Any
    other entry gives one key for each of its ports.
    """
    for entry in config.exposed_ports:
        yield from (config.exposed_keys[entry],) if entry in config.exposed_keys else expand_exposed((entry,))


def _network_settings(
    record: ContainerRecord, endpoints: Sequence[EndpointRecord], networks: Mapping[str, NetworkRecord]
) -> Json:
    default = next((e for e in endpoints if _is_default_bridge(networks.get(e.network_id))), None)
    address = address_document(default)
    shown = networks_document(record, endpoints)
    return {
        "Bridge": "",
        "SandboxID": "" if is_container_mode(record.host.network_mode) else record.sandbox_id,
        "SandboxKey": _sandbox_key(record),
        "Ports": ports_document(record, endpoints, networks),
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        "EndpointID": default.id if default else "",
        **{key: address[key] for key in ("Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen")},
        **{key: address[key] for key in ("IPAddress", "IPPrefixLen", "IPv6Gateway")},
        "MacAddress": shown["bridge"]["MacAddress"] if "bridge" in shown else "",
        "Networks": shown,
    }


def _sandbox_key(record: ContainerRecord) -> str:
    """Return the field SandboxKey: the path of a container's network namespace, or "".

    The result is "" before the container's first start, and for a container in another container's sandbox. In host
    mode, all containers have the same path, which ends in "/default".
    """
    if is_container_mode(record.host.network_mode) or not record.sandbox_path:
        return ""
    path = record.sandbox_path
    return posixpath.join(posixpath.dirname(path), "default") if record.host.network_mode == "host" else path


def _is_default_bridge(network: NetworkRecord | None) -> bool:
    return network is not None and network.predefined and network.driver == "bridge"


def _command(record: ContainerRecord) -> str:
    return " ".join([record.path, *(f"'{arg}'" if " " in arg else arg for arg in record.args)])
