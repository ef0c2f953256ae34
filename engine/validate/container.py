"""Check requests to create a container, in dockerd's order.

This module makes the checks that need no image. They include network and PID modes, links, binds (``-v``),
``--security-opt`` and capabilities.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from drivers.scalars import parse_bool, whole_number
from engine.errors import EngineError, InvalidArgument
from engine.model import (
    ContainerConfig,
    ContainerCreate,
    ContainerRecord,
    EndpointSettings,
    HostConfig,
    Mount,
    NetworkRecord,
    PortSpec,
    RestartPolicy,
)
from engine.names import CONTAINER_PREFIX, is_container_mode, shared_container
from engine.runtime.credentials import CAPABILITIES
from engine.validate.addresses import parse_address
from engine.validate.endpoint import check_networking_config
from engine.validate.signals import parse_signal

HOST_GATEWAY = "host-gateway"
PORT_RANGE = re.compile(r"(?P<start>[0-9]+)(?:-(?P<end>[0-9]+))?")
RESTART_POLICIES = ("no", "always", "on-failure", "unless-stopped")
UNDEFINED = "can't be used with links. This would result in undefined behavior"
OLD_MAC_FIELD = (
    "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."
)
HOST_MODE_PORTS = "Published ports are discarded when using host network mode"
HOST_AND_OTHERS = "conflicting options: cannot attach both user-defined and non-user-defined network-modes"
MAC_WITHOUT_NETWORK = (
    "if a container-wide MAC address is supplied, HostConfig.NetworkMode must match the identity of a network in "
    "NetworkSettings.Networks"
)
ALL_CAPABILITIES = "ALL"
KNOWN_CAPABILITIES = frozenset(f"CAP_{name}" for name in CAPABILITIES)
PROPAGATIONS = frozenset({"shared", "rshared", "slave", "rslave", "private", "rprivate"})
# A bind may have at most one mode of each of these sets. Propagation and SELinux modes are accepted, as in Docker.
EXCLUSIVE_MODES = (
    frozenset({"ro", "rw"}),
    frozenset({"z", "Z"}),
    PROPAGATIONS,
    frozenset({"nocopy"}),
    frozenset({"consistent", "cached", "delegated"}),
)
IGNORED_SECURITY_OPTIONS = ("label", "apparmor")
"""The types of security options that hawse ignores.

These options are for Linux security modules (such as AppArmor), which hawse does not use for containers.
"""


def check_container_create(request: ContainerCreate) -> list[str]:
    """Check a request to create a container as dockerd does before it looks for the image; return the warnings.

    Raises Docker's errors. Six checks follow after the image is found: the networks (`check_networks`), the command
    ("no command specified"), the name (`engine.names.check_container_name`), whether the name is taken, the binds
    (`check_binds`) and the links (`engine.names.parse_link`).
    """
    check_network_mode(request.config, request.host)
    _main_network_settings(request)
    check_config(request.config)
    check_host_config(request.host)
    warnings = []
    if request.config.mac_address:
        warnings.append(OLD_MAC_FIELD)
    if request.host.network_mode == "host" and request.host.port_bindings:
        warnings.append(HOST_MODE_PORTS)
    return warnings


def check_networks(request: ContainerCreate, networks: Mapping[str, NetworkRecord | None]) -> None:
    """Check the network settings of a new container; raises InvalidArgument.

    ``networks`` maps the names in ``request.networks`` to records, or to None for a missing network. A missing network
    is no error here; it is an error when the container is started.
    """
    check_networking_config(_main_network_settings(request), networks)


def check_config(config: ContainerConfig) -> None:
    """Check the working directory, the stop signal and the environment variables; raises InvalidArgument.

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


def _main_network_settings(request: ContainerCreate) -> dict[str, EndpointSettings]:
    """Return the network settings of a new container, by network name.

    The request has an old field for the MAC address of the whole container. This MAC address is copied into the
    settings of the main network (the network that the network mode names). Raises `InvalidArgument` in three cases:

    - The main network's settings have a different MAC address.
    - The old field is used, but the request has settings for other networks only.
    - A container in host mode has settings for another network.
    """
    mode, mac = request.host.network_mode, request.config.mac_address
    mode = "bridge" if mode in ("", "default") else mode
    settings = dict(request.networks)
    if mode == "host" and set(settings) - {"host"}:
        raise InvalidArgument(HOST_AND_OTHERS)
    if not mac or mode in ("host", "none") or is_container_mode(mode):
        return settings
    if settings and mode not in settings:
        raise InvalidArgument(MAC_WITHOUT_NETWORK)
    main = settings.get(mode, EndpointSettings())
    if main.mac_address and main.mac_address != mac:
        raise InvalidArgument(
            "the container-wide MAC address must match the endpoint-specific MAC address for the main network, "
            "or be left empty"
        )
    return {**settings, mode: replace(main, mac_address=mac)}


def check_network_mode(config: ContainerConfig, host: HostConfig) -> None:
    """Check that no option conflicts with the network mode; raises InvalidArgument.

    In ``container:`` mode, options that configure the sandbox are refused. The sandbox belongs to the other container,
    and that container's options configure it.
    """
    mode = host.network_mode
    if mode == "container" or (is_container_mode(mode) and not shared_container(mode)):
        raise InvalidArgument("Invalid network mode: invalid container format container:<name|id>")
    if is_container_mode(mode):
        _check_shared_sandbox(config, host)
    if mode == "host" and host.links:
        raise links_with_host_mode()


def links_with_host_mode() -> InvalidArgument:
    """Return the error for a link from or to a container in host mode."""
    return InvalidArgument(f"conflicting options: host type networking {UNDEFINED}")


def _check_shared_sandbox(config: ContainerConfig, host: HostConfig) -> None:
    conflicts = (
        (config.hostname, "hostname and the network mode"),
        (host.links, f"container type network {UNDEFINED}"),
        (host.dns, "dns and the network mode"),
        (host.extra_hosts, "custom host-to-IP mapping and the network mode"),
        (host.port_bindings or host.publish_all_ports, "port publishing and the container type network mode"),
        (config.exposed_ports, "port exposing and the container type network mode"),
    )
    for present, what in conflicts:
        if present:
            raise InvalidArgument(f"conflicting options: {what}")


def check_host_config(host: HostConfig) -> None:
    """Check the HostConfig of a new container; raises InvalidArgument.

    The checks cover restart policies, hosts entries, ports, capabilities, PID modes and security options.
    """
    if host.auto_remove and host.restart_policy.name not in ("", "no"):
        raise InvalidArgument("can't create 'AutoRemove' container with restart policy")
    for entry in host.extra_hosts or ():
        check_extra_host(entry)
    check_port_bindings(host.port_bindings)
    check_restart_policy(host.restart_policy)
    check_capabilities("CapAdd", host.cap_add)
    check_capabilities("CapDrop", host.cap_drop)
    is_shared = host.pid_mode.startswith(CONTAINER_PREFIX) and host.pid_mode != CONTAINER_PREFIX
    if host.pid_mode not in ("", "host") and not is_shared:
        raise InvalidArgument(f"invalid PID mode: {host.pid_mode}")
    parse_security_options(host.security_opt or ())


def check_extra_host(entry: str) -> None:
    """Check that an --add-host entry is ``name:address`` or ``name:host-gateway``; raises InvalidArgument."""
    name, colon, address = entry.partition(":")
    if not name or not colon:
        raise InvalidArgument(f'bad format for add-host: "{entry}"')
    if address != HOST_GATEWAY and parse_address(address) is None:
        raise InvalidArgument(f'invalid IP address in add-host: "{address}"')


def check_port_bindings(bindings: Sequence[PortSpec]) -> None:
    """Check that container ports and host ports are valid, none above 65535; raises InvalidArgument."""
    for binding in bindings:
        for text in (str(binding.ports[-1]), binding.host_port):
            if not _is_port_range(text.partition("/")[0]):
                raise InvalidArgument(f'invalid port specification: "{text}"')


def _is_port_range(text: str) -> bool:
    match = PORT_RANGE.fullmatch(text)
    if match is None:
        return not text
    start, end = whole_number(match["start"]), whole_number(match["end"] or match["start"])
    return start <= end <= 65535


def check_restart_policy(policy: RestartPolicy) -> None:
    """Check the name and the retry count of a restart policy; raises InvalidArgument."""
    if (policy.name or "no") not in RESTART_POLICIES:
        raise InvalidArgument(
            f"invalid restart policy: unknown policy '{policy.name}'; "
            "use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )
    count = policy.maximum_retry_count
    faults = []
    if count and policy.name != "on-failure":
        faults.append("can only be used with 'on-failure'")
    if count < 0:
        faults.append("cannot be negative")
    if faults:
        raise InvalidArgument("invalid restart policy: maximum retry count " + " and ".join(faults))


def check_capabilities(field: str, names: Sequence[str] | None) -> None:
    """Check that all capability names are known; raises InvalidArgument. ``field`` is CapAdd or CapDrop."""
    for name in names or ():
        full = name.upper() if name.upper().startswith("CAP_") else f"CAP_{name.upper()}"
        if name.upper() != ALL_CAPABILITIES and full not in KNOWN_CAPABILITIES:
            raise InvalidArgument(f'invalid {field}: unknown capability: "{full}"')


def check_binds(binds: Sequence[str] | None) -> list[Mount]:
    """Parse all binds of a container; raises `EngineError` with Docker's message.

    Two binds with the same target are an error too.
    """
    mounts = [parse_mount(bind) for bind in binds or ()]
    seen: set[str] = set()
    for mount in mounts:
        if mount.target in seen:
            raise InvalidArgument(f"Duplicate mount point: {mount.target}")
        seen.add(mount.target)
    return mounts


def check_mounts(binds: Sequence[str]) -> None:
    """Check the binds that come from ``--mount``; raises InvalidArgument.

    Each item of ``binds`` has the form ``source:target[:mode]``. The source must exist, unlike the source of ``-v``.
    """
    for bind in binds:
        source, target, modes = [*bind.split(":"), ""][:3]
        propagation = next((mode for mode in modes.split(",") if mode not in ("", "ro", *PROPAGATIONS)), "")
        relative = next((path for path in (target, source) if not posixpath.isabs(path)), "")
        if posixpath.isabs(target) and clean_path(target) == "/":
            fault = "invalid specification: destination can't be '/'"
        elif posixpath.isabs(target) and not source:
            fault = "field Source must not be empty"
        elif relative:
            fault = f"invalid mount path: '{relative}' mount path must be absolute"
        elif propagation:
            fault = f"invalid propagation mode: {propagation}"
        elif not os.path.exists(source):
            fault = f"bind source path does not exist: {source}"
        else:
            continue
        raise InvalidArgument(f'invalid mount config for type "bind": {fault}')


def parse_mount(bind: str) -> Mount:
    """Return the mount that one bind ``source:target[:mode]`` describes; raises EngineError with Docker's message.

    In the target path, the parts ``.`` and ``..`` are resolved, and double slashes become single slashes.
    """
    source, target, mode = _split(bind)
    if not posixpath.isabs(target):
        raise _bad_target(bind, f"invalid mount path: '{target}' mount path must be absolute")
    if clean_path(target) == "/":
        raise _bad_target(bind, "invalid specification: destination can't be '/'")
    if not _is_valid_mode(mode):
        raise EngineError(f"invalid mode: {mode}")
    if "nocopy" in mode.split(",") and posixpath.isabs(source):
        raise _bad_target(bind, "field VolumeOptions must not be specified")
    if not posixpath.isabs(source):
        raise InvalidArgument(
            f'create {source}: "{source}" is not an absolute path. hawse has no volumes: '
            "if you intended to pass a host directory, use absolute path"
        )
    return Mount(source, clean_path(target), read_only="ro" in mode.split(","))


def _bad_target(bind: str, fault: str) -> EngineError:
    return EngineError(f"invalid volume specification: '{bind}': invalid mount config for type \"bind\": {fault}")


def _split(bind: str) -> tuple[str, str, str]:
    parts = bind.split(":")
    if not all(parts[:2]) or len(parts) > 3:
        raise EngineError(f"invalid volume specification: '{bind}'")
    if len(parts) == 1:
        raise InvalidArgument(f"{bind}: anonymous volumes are not supported, name a host directory: source:target")
    return parts[0], parts[1], parts[2] if len(parts) == 3 else ""


def clean_path(path: str) -> str:
    """Return an absolute path without ``.``, ``..`` and double slashes, as Docker stores paths of a container."""
    return "/" + posixpath.normpath(path).lstrip("/")


def _is_valid_mode(mode: str) -> bool:
    if not mode:
        return True
    words = mode.split(",")
    if any(len(kind & set(words)) > 1 or sum(words.count(w) for w in kind) > 1 for kind in EXCLUSIVE_MODES):
        return False
    return all(any(word in kind for kind in EXCLUSIVE_MODES) for word in words)


class Security(Struct, frozen=True):
    """The parsed security options.

    ``seccomp`` is the name or the JSON text of the profile that the user gave, or "" if the user gave no profile.
    """

    seccomp: str = ""
    no_new_privileges: bool = False


def parse_security_options(options: Sequence[str]) -> Security:
    """Parse ``--security-opt`` options; if an option is repeated, the last one is used.

    Raises EngineError with Docker's message and status (500).
    """
    seccomp, no_new_privileges = "", False
    for option in options:
        key, separator, value = option.partition("=") if "=" in option else option.partition(":")
        if option == "no-new-privileges":
            no_new_privileges = True
        elif not separator and option != "disable":
            raise EngineError(f'invalid --security-opt 1: "{option}"')
        elif key == "no-new-privileges" and (stated := parse_bool(value)) is not None:
            no_new_privileges = stated
        elif key == "seccomp":
            seccomp = value
        elif separator and key not in IGNORED_SECURITY_OPTIONS:
            raise EngineError(f'invalid --security-opt 2: "{option}"')
    return Security(seccomp, no_new_privileges)


def link_target(matches: Sequence[ContainerRecord], name: str) -> ContainerRecord:
    """Return the only container in ``matches``, the target of a legacy link on the default bridge.

    ``matches`` are the containers that the link's ``name`` may mean. Raises `InvalidArgument` if ``name`` is "", or if
    the number of containers is not one.
    """
    if len(matches) == 1 and name:
        return matches[0]
    fault = f"No such container: {name}" if name else 'invalid name or ID supplied: ""'
    raise InvalidArgument(f"could not get container for {name}: {fault}")


def check_link_at_start(target: ContainerRecord, parent: str, alias: str) -> None:
    """Check that the target container of a link is on the default bridge and is running; raises EngineError.

    ``parent`` is the name of the linking container, and ``alias`` the target's name in the link.
    """
    if not any(attachment.network == "bridge" for attachment in target.attachments):
        raise EngineError(f"Cannot link to /{target.name}, as it does not belong to the default network")
    if target.status != "running":
        raise link_to_stopped(target.name, parent, alias)


def link_to_stopped(target: str, parent: str, alias: str) -> EngineError:
    """Return the error for a link of the container ``parent`` to the container ``target``, which does not run.

    ``alias`` is the name of ``target`` in the link. The error is also used if ``target`` was removed.
    """
    return EngineError(f"Cannot link to a non running container: /{target} AS /{parent}/{alias}")
