"""Read the body of POST /containers/create: Docker's Config, HostConfig and NetworkingConfig become one request."""

from __future__ import annotations

from msgspec.structs import replace

from api.docker.errors import bad_request
from api.docker.fields import Fields
from api.docker.host_config import exposed_ports, host_config, mounts
from api.docker.unsupported import check, ignored, refuse
from api.docker.versions import Version
from engine.errors import NotImplementedByHawse
from engine.model import ContainerConfig, ContainerCreate, EndpointIPAM, EndpointSettings
from engine.names import is_container_mode

SEVERAL_NETWORKS: Version = (1, 44)
"""From this API version on, a new container may join several networks, with a MAC address of its own on each."""
NO_VOLUMES = "hawse keeps no volumes. Mount a directory of this host: /srv/data:/data"


def container_create(
    body: Fields, name: str, version: Version, platform: str = ""
) -> tuple[ContainerCreate, list[str]]:
    """Convert the body of POST /containers/create; return the engine's request and the warnings.

    ``name`` is the container's name; if it is "", the engine generates a name. ``platform`` is the platform that the
    image must have, or "" for any. There is one warning for each setting that hawse ignores. Raises ApiError for a body
    that Docker refuses. Raises NotImplementedByHawse for a setting that hawse must not ignore.
    """
    if not body.has_other_than("HostConfig", "NetworkingConfig"):
        raise bad_request("config cannot be empty in order to create a container")
    settings = body.child("HostConfig")
    check(settings)
    refuse(settings)
    networks = _networks(body.child("NetworkingConfig"))
    config, host = container_config(body), host_config(settings)
    targets = {bind.split(":")[1] for bind in host.binds or () if ":" in bind}
    if set(body.keys("Volumes")) - targets:  # ignore the targets of binds: docker-py lists them as volumes too
        raise NotImplementedByHawse(NO_VOLUMES)
    if not (config.image or config.cmd or config.entrypoint):
        raise bad_request("no command specified")
    if body.flag("NetworkDisabled"):
        host = replace(host, network_mode="none")
    request = ContainerCreate(config, host, networks, name, platform, mounts(settings))
    return for_version(request, version), ignored(body, settings)


def _networks(body: Fields) -> dict[str, EndpointSettings]:
    """Return the container's settings on each network in Docker's NetworkingConfig, by the network's name or id.

    Raises ApiError if the settings for a network are null.
    """
    for network, settings in (body.value("EndpointsConfig") or {}).items():
        if settings is None:
            raise bad_request(f"invalid config for network {network}: EndpointsConfig is nil")
    return {network: endpoint_settings(fields) for network, fields in body.objects("EndpointsConfig").items()}


def container_config(body: Fields) -> ContainerConfig:
    """Convert the fields of Docker's Config to the engine's; raises ApiError for an invalid port in ExposedPorts."""
    keys = body.keys("ExposedPorts")
    exposed = exposed_ports(keys)
    return ContainerConfig(
        image=body.text("Image"),
        cmd=body.texts("Cmd") or None,
        entrypoint=body.texts("Entrypoint"),
        hostname=body.text("Hostname"),
        domainname=body.text("Domainname"),
        user=body.text("User"),
        attach_stdin=body.flag("AttachStdin"),
        attach_stdout=body.flag("AttachStdout"),
        attach_stderr=body.flag("AttachStderr"),
        tty=body.flag("Tty"),
        open_stdin=body.flag("OpenStdin"),
        stdin_once=body.flag("StdinOnce"),
        env=body.texts("Env") or None,
        working_dir=body.text("WorkingDir"),
        mac_address=body.text("MacAddress"),
        labels=body.pairs("Labels") or {},
        exposed_ports=exposed,
        exposed_keys={port: key for port, key in zip(exposed, keys, strict=True) if port != key or "-" in key},
        stop_signal=body.text("StopSignal"),
        stop_timeout=body.optional_number("StopTimeout"),
        no_healthcheck=(body.child("Healthcheck").texts("Test") or ())[:1] == ("NONE",),
    )


def endpoint_settings(body: Fields) -> EndpointSettings:
    """Return the engine's EndpointSettings for Docker's object of this name: a container's settings on one network."""
    ipam = body.child("IPAMConfig")
    return EndpointSettings(
        ipam=EndpointIPAM(ipam.text("IPv4Address"), ipam.text("IPv6Address"), ipam.texts("LinkLocalIPs") or ())
        if body.has("IPAMConfig")
        else None,
        links=body.texts("Links"),
        aliases=body.texts("Aliases"),
        driver_opts=body.pairs("DriverOpts"),
        mac_address=body.text("MacAddress"),
        gw_priority=body.number("GwPriority"),
    )


def for_version(request: ContainerCreate, version: Version) -> ContainerCreate:
    """Apply the rules of the client's API version for networks and Config.MacAddress; return the changed request.

    - Before 1.44, a container starts on one network, and Config.MacAddress applies to this network.
    - Since 1.44, Config.MacAddress applies to the main network (see `_with_main_mac`).

    Before 1.44, raises ApiError (400) for several networks, and for Config.MacAddress if the container has no network
    of its own.
    """
    if version >= SEVERAL_NETWORKS:
        return _with_main_mac(request)
    if len(request.networks) > 1:
        names = ", ".join(request.networks)
        raise bad_request(f"Container cannot be created with multiple network endpoints: {names}")
    mac, mode = request.config.mac_address, request.host.network_mode
    if mac and (mode in ("host", "none") or is_container_mode(mode)):
        raise bad_request("conflicting options: mac-address and the network mode")
    networks = {network: replace(settings, mac_address=mac) for network, settings in request.networks.items()}
    moved = _with_main_mac(replace(request, networks=networks))
    return replace(moved, config=replace(moved.config, mac_address=""))


def _with_main_mac(request: ContainerCreate) -> ContainerCreate:
    """Return the request with Config's MAC address also in the settings of the main network.

    The main network is the one that HostConfig.NetworkMode names. The request is returned unchanged in these cases:

    - Config has no MAC address.
    - The main network's settings already have a MAC address.
    - The request has settings for other networks only.
    - The container has no network of its own (host, none, container:NAME).
    """
    mac, mode = request.config.mac_address, request.host.network_mode
    if not mac or is_container_mode(mode) or mode in ("host", "none"):
        return request
    default = ("default", "bridge", "")
    names = default if mode in default else (mode,)
    main = next((network for network in request.networks if network in names), mode or "default")
    if request.networks and main not in request.networks:
        return request  # the engine will refuse the MAC address, because the main network has no settings
    settings = request.networks.get(main, EndpointSettings())
    if settings.mac_address:
        # The engine will refuse the request if this address differs from the MAC address in Config.
        return request
    return replace(request, networks={**request.networks, main: replace(settings, mac_address=mac)})
