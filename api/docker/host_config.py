"""Read Docker's HostConfig: how a container runs on the host."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from api.docker.errors import bad_request
from api.docker.fields import Fields
from engine.errors import NotImplementedByHawse
from engine.golang.strconv import whole_number
from engine.model import HostConfig, PortSpec, RestartPolicy
from engine.render.host_config import NULLABLE, SHOWN_IF_EMPTY
from engine.validate.addresses import parse_address

MOUNT_TYPES = ("bind", "volume", "tmpfs", "npipe", "cluster", "image")
PROTOCOLS = ("tcp", "udp", "sctp")
LAST_PORT = 65535
BIND_OPTIONS = (
    "Propagation", "NonRecursive", "CreateMountpoint", "ReadOnlyNonRecursive", "ReadOnlyForceRecursive",
)  # fmt: skip


def host_config(body: Fields) -> HostConfig:
    """Convert Docker's HostConfig to the engine's type `HostConfig`.

    Raises ApiError for an invalid value, and NotImplementedByHawse for a mount that hawse does not support.
    """
    log = body.child("LogConfig")
    return HostConfig(
        network_mode=body.text("NetworkMode") or "default",
        binds=(*(body.texts("Binds") or ()), *map(_mounted, body.children("Mounts"))) or None,
        mounts=tuple(map(_mount_entry, body.children("Mounts"))),
        port_bindings=tuple(port_specs(body.lists("PortBindings"))),
        empty_bindings=_empty_bindings(body),
        publish_all_ports=body.flag("PublishAllPorts"),
        restart_policy=restart_policy(body.child("RestartPolicy")),
        auto_remove=body.flag("AutoRemove"),
        cap_add=body.texts("CapAdd"),
        cap_drop=body.texts("CapDrop"),
        dns=body.texts("Dns") or (),
        dns_options=body.texts("DnsOptions") or (),
        dns_search=body.texts("DnsSearch") or (),
        extra_hosts=body.texts("ExtraHosts"),
        links=body.texts("Links"),
        pid_mode=body.text("PidMode"),
        privileged=body.flag("Privileged"),
        readonly_rootfs=body.flag("ReadonlyRootfs"),
        sysctls=body.pairs("Sysctls") or {},
        container_id_file=body.text("ContainerIDFile"),
        init=body.optional_flag("Init"),
        security_opt=body.texts("SecurityOpt"),
        system_paths=body.texts("MaskedPaths") == (),
        console_size=body.size("ConsoleSize"),
        log_driver=log.text("Type"),
        log_options=log.pairs("Config") or {},
        null_fields=tuple(name for name in NULLABLE if body.value(name) is None),
        empty_fields=tuple(name for name in SHOWN_IF_EMPTY if body.value(name) == []),
    )


def mounts(body: Fields) -> list[str]:
    """Return the entries of ``Mounts`` whose source must exist, in the text form of ``Binds``.

    As in Docker, these are the bind mounts that do not set ``CreateMountpoint``. ``body`` is a HostConfig. Raises
    ApiError or NotImplementedByHawse, as `host_config` does.
    """
    return [_mounted(m) for m in body.children("Mounts") if not m.child("BindOptions").flag("CreateMountpoint")]


def restart_policy(body: Fields) -> RestartPolicy:
    """Convert Docker's RestartPolicy to the engine's; without a name, the policy is "no"."""
    return RestartPolicy(body.text("Name") or "no", body.number("MaximumRetryCount"))


def port_specs(bindings: Mapping[str, Sequence[Fields]]) -> list[PortSpec]:
    """Return the published ports of ``PortBindings``; raises ApiError for an invalid port or host address.

    Consecutive ports with consecutive host ports become one range. Example: 80/tcp with host port 8080, and 81/tcp with
    host port 8081, become the ports 80-81 with the host ports 8080-8081. The bindings of one port keep their order.
    """
    columns = [pair for port, entries in bindings.items() for pair in enumerate(_port(port, entries))]
    columns.sort(key=lambda pair: _order(*pair))
    return [spec for _, group in groupby((spec for _, spec in columns), key=_Series()) for spec in _joined(list(group))]


def exposed_ports(keys: Sequence[str]) -> tuple[str, ...]:
    """Return the ports of ``ExposedPorts`` as "80/tcp" or "80-90/udp"; raises ApiError for a text that is no port."""
    ports = []
    for text in keys:
        first, last, protocol = _parts(text)
        ports.append(f"{first}/{protocol}" if first == last else f"{first}-{last}/{protocol}")
    return tuple(ports)


def _order(column: int, spec: PortSpec) -> tuple[str, int, str, bool, int]:
    return spec.protocol, column, spec.host_ip, not spec.host_port.isdecimal(), spec.port


def _port(text: str, entries: Sequence[Fields]) -> Iterator[PortSpec]:
    port = _single(text)
    for entry in entries:
        yield PortSpec(port[1], port[0], _host_ip(entry.text("HostIp")), entry.text("HostPort"))


def _empty_bindings(body: Fields) -> dict[str, tuple[str, ...] | None]:
    """Return the container ports, such as "80/tcp", that have no binding in a HostConfig's ``PortBindings``.

    The value of a port is None if its list of bindings is null, and () if the list is empty. Raises ApiError for an
    invalid port.
    """
    empty: dict[str, tuple[str, ...] | None] = {}
    for text, entries in (body.value("PortBindings") or {}).items():
        if not entries:
            port, protocol = _single(text)
            empty[f"{port}/{protocol}"] = None if entries is None else ()
    return empty


def _single(text: str) -> tuple[int, str]:
    """Return the number and the protocol of the port ``text``, such as "80/tcp"; raises ApiError for a range.

    Without a protocol, the port is a TCP port. Also raises ApiError for a text that is no port.
    """
    first, last, protocol = _parts(text)
    if first != last:
        raise bad_request(f'invalid port specification: "{text.partition("/")[0]}"')
    return first, protocol


def _parts(text: str) -> tuple[int, int, str]:
    """Return the first port, the last port and the protocol of a text such as "80/tcp" or "80-90/udp".

    For one port, both numbers are the same. The default protocol is "tcp". Raises ApiError for any other text.
    """
    numbers, _, protocol = text.partition("/")
    first, dash, last = numbers.partition("-")
    last = last if dash else first
    is_range = numbers.isascii() and first.isdecimal() and last.isdecimal()
    ports = (whole_number(first), whole_number(last)) if is_range else None
    if ports is None or not ports[0] <= ports[1] <= LAST_PORT:
        raise bad_request(f'invalid port specification: "{numbers}"')
    protocol = protocol.lower() or "tcp"
    if protocol not in PROTOCOLS:
        raise bad_request(f"invalid proto: {protocol}")
    return *ports, protocol


def _host_ip(text: str) -> str:
    """Return the host address of a published port; raises ApiError for an invalid address.

    Docker accepts an invalid address, and then publishes the port on all addresses of the host.
    """
    if text and parse_address(text) is None:
        raise bad_request(f"invalid IP address: {text}")
    return text


class _Series:
    """A key function for itertools.groupby: consecutive ports get the same key if their host ports are consecutive too.

    groupby calls the object with each published port, in sorted order. Each of them is a single port, not a range. Two
    ports get the same key only if they have the same protocol and host address.
    """

    def __init__(self) -> None:
        self._number, self._expected = 0, ("", "", 0, 0)

    def __call__(self, spec: PortSpec) -> int:
        host = int(spec.host_port) if spec.host_port.isdecimal() and spec.host_port != "0" else -1
        if host < 0 or (spec.protocol, spec.host_ip, spec.port, host) != self._expected:
            self._number += 1
        self._expected = (spec.protocol, spec.host_ip, spec.port + 1, host + 1)
        return self._number


def _joined(specs: Sequence[PortSpec]) -> list[PortSpec]:
    first, last = specs[0], specs[-1]
    if len(specs) == 1:
        return [first]
    return [PortSpec(first.protocol, first.port, first.host_ip, f"{first.host_port}-{last.host_port}", last.port)]


def _mount_entry(mount: Fields) -> str:
    """Return an entry of ``Mounts`` as the JSON that the container's document shows: without empty fields."""
    fields = ("Type", "Source", "Target", "ReadOnly", "Consistency")
    document = {name: mount.value(name) for name in mount.truthy(*fields)}
    if mount.has("BindOptions"):
        options = mount.child("BindOptions")
        document["BindOptions"] = {name: options.value(name) for name in options.truthy(*BIND_OPTIONS)}
    return json.dumps(document)


def _mounted(mount: Fields) -> str:
    """Return an entry of ``Mounts`` in the text form of ``Binds``, "source:target[:modes]".

    Raises ApiError for an invalid entry. Raises NotImplementedByHawse for an entry that is no bind mount, and for a
    colon in a path.
    """
    kind = mount.text("Type")
    source, target, wrong = mount.text("Source"), mount.text("Target"), f'invalid mount config for type "{kind}": '
    if not target:
        raise bad_request(f"{wrong}field Target must not be empty")
    if kind not in MOUNT_TYPES:
        raise bad_request(f"{wrong}mount type unknown")
    if kind != "bind":
        raise NotImplementedByHawse(f'mount type "{kind}" is not supported: use bind (hawse keeps no volumes)')
    if not source:
        raise bad_request(f"{wrong}field Source must not be empty")
    for path in (target, source):
        if not path.startswith("/"):
            raise bad_request(f"{wrong}invalid mount path: '{path}' mount path must be absolute")
    if ":" in source or ":" in target:
        raise NotImplementedByHawse(f"a colon in a mount's path is not supported: {source}:{target}")
    modes = ["ro" if mount.flag("ReadOnly") else "", mount.child("BindOptions").text("Propagation")]
    return ":".join(filter(None, (source, target, ",".join(filter(None, modes)))))
