"""Checks of a container's HostConfig, in the daemon's order."""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.errors import InvalidArgument
from engine.model import ContainerConfig, HostConfig, PortSpec, RestartPolicy
from engine.validate.addresses import parse_address
from engine.validate.security_options import parse_security_options

PREDEFINED_NAMES = frozenset({"bridge", "host", "none", "default"})


CONTAINER_PREFIX = "container:"


def is_container_mode(mode: str) -> bool:
    """Tell whether the mode joins another container's sandbox."""
    return mode.startswith(CONTAINER_PREFIX)


def shared_container(mode: str) -> str:
    """Return the container whose sandbox the mode joins, "" for other modes."""
    return mode.removeprefix(CONTAINER_PREFIX) if is_container_mode(mode) else ""


def is_user_defined(mode: str) -> bool:
    """Tell whether the mode names a network that a user made."""
    return mode not in PREDEFINED_NAMES and not is_container_mode(mode)


HOST_GATEWAY = "host-gateway"
PORT_RANGE = re.compile(r"(?P<start>[0-9]+)(?:-(?P<end>[0-9]+))?")
RESTART_POLICIES = ("no", "always", "on-failure", "unless-stopped")
UNDEFINED = "can't be used with links. This would result in undefined behavior"


def check_network_mode(config: ContainerConfig, host: HostConfig) -> None:
    """Refuse options that a network mode excludes; ``container:`` leaves the sandbox to its owner."""
    mode = host.network_mode
    if mode == "container" or (is_container_mode(mode) and not shared_container(mode)):
        raise InvalidArgument("Invalid network mode: invalid container format container:<name|id>")
    if is_container_mode(mode):
        _check_shared_sandbox(config, host)
    if mode == "host" and host.links:
        raise InvalidArgument(f"conflicting options: host type networking {UNDEFINED}")


def _check_shared_sandbox(config: ContainerConfig, host: HostConfig) -> None:
    conflicts = (
        (config.hostname, "hostname and the network mode"),
        (host.links, f"container type network {UNDEFINED}"),
        (host.dns, "dns and the network mode"),
        (host.extra_hosts, "custom host-to-IP mapping and the network mode"),
        (host.port_bindings or host.publish_all_ports, "port publishing and the container type network mode"),
        (config.exposed_ports, "port exposing and the container type network mode"),
    )
    for given, what in conflicts:
        if given:
            raise InvalidArgument(f"conflicting options: {what}")


def check_host_config(host: HostConfig) -> None:
    """Refuse bad restart policies, hosts entries, ports, capabilities and PID modes."""
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
    """Refuse anything but ``name:address`` and ``name:host-gateway``."""
    name, colon, address = entry.partition(":")
    if not name or not colon:
        raise InvalidArgument(f'bad format for add-host: "{entry}"')
    if address != HOST_GATEWAY and parse_address(address) is None:
        raise InvalidArgument(f'invalid IP address in add-host: "{address}"')


def check_port_bindings(bindings: Sequence[PortSpec]) -> None:
    """Refuse container ports beyond 65535 and host ports that are no port or range."""
    for binding in bindings:
        for text in (str(binding.ports[-1]), binding.host_port):
            if not _is_port_range(text.partition("/")[0]):
                raise InvalidArgument(f'invalid port specification: "{text}"')


def _is_port_range(text: str) -> bool:
    match = PORT_RANGE.fullmatch(text)
    if match is None:
        return not text
    start, end = int(match["start"]), int(match["end"] or match["start"])
    return start <= end <= 65535


def check_restart_policy(policy: RestartPolicy) -> None:
    """Refuse unknown policies, and retry counts where they mean nothing."""
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


ALL = "ALL"


NAMES = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""


KNOWN = frozenset(f"CAP_{name}" for name in NAMES.split())


def check_capabilities(field: str, names: Sequence[str] | None) -> None:
    """Refuse unknown capabilities; ``field`` is CapAdd or CapDrop."""
    for name in names or ():
        full = name.upper() if name.upper().startswith("CAP_") else f"CAP_{name.upper()}"
        if name.upper() != ALL and full not in KNOWN:
            raise InvalidArgument(f'invalid {field}: unknown capability: "{full}"')
