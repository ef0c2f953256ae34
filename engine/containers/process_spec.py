"""Build the description of a container's process for the runtime: command, environment, files, mounts and log.

On the default bridge, the environment contains the addresses and ports of the containers to which the container links.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from engine.containers import etc_files, sandbox_links
from engine.containers.create import find_root
from engine.endpoints import links
from engine.errors import KernelFailure
from engine.host import Host
from engine.model import ContainerRecord, HostConfig
from engine.ports.allocation import exposed_ranges
from engine.runtime.api import ProcessSpec
from engine.validate.container import Security, check_binds, parse_security_options
from engine.validate.logging import LOCAL, NONE, Rotation, rotation

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INITS = ("docker-init", "tini-static")
"""Names of statically linked init programs, in order of preference."""


def process_spec(host: Host, record: ContainerRecord, netns: str) -> ProcessSpec:
    """Return the description of the container's process for the runtime.

    ``netns`` is the network namespace for the process: a path, "host" for the host's namespace, or "" for a new
    namespace. The inode of the namespace at a path is ``record.sandbox_inode``.
    """
    config, settings = record.config, record.host
    root = find_root(host, record.image_id or config.image)  # another image may have the image's name now
    security = parse_security_options(settings.security_opt or ())
    callback, environment = host.callback("__exited", record.id)
    mounts, bounds = check_binds(settings.binds), log_bounds_at_start(host, record)
    spec = ProcessSpec(
        id=record.id,
        argv=[record.path, *record.args],
        env=environment_of(record, _link_variables(host, record)),
        cwd=config.working_dir or "/",
        user=config.user,
        hostname=config.hostname,
        domainname=config.domainname,
        rootfs=root.directory,
        overlay_dir=str(host.container_directory(record.id) / "layer") if root.image else "",
        mounts=mounts,
        files=etc_files.paths(host, record),
        netns=netns,
        netns_inode=record.sandbox_inode if netns not in ("", "host") else 0,
        tty=config.tty,
        open_stdin=config.open_stdin,
        stdin_once=config.stdin_once,
        init_path=_init_path() if settings.init and settings.pid_mode == "" else "",
        log_path=log_path(host, record),
        log_max_size=bounds.max_size,
        log_max_files=bounds.max_files,
        log_compress=bounds.compress,
        sandbox=sandbox_links.path_of(host.run, record.sandbox_id),
        on_exit=callback,
        on_exit_env=environment,
    )
    return _restricted(spec, settings, security)


def _restricted(spec: ProcessSpec, settings: HostConfig, security: Security) -> ProcessSpec:
    """Return ``spec`` with the settings that limit the process, such as capabilities, seccomp profile and sysctls."""
    return replace(
        spec,
        read_only=settings.readonly_rootfs,
        sysctls=dict(settings.sysctls),
        pid_host=settings.pid_mode == "host",
        cap_add=tuple(settings.cap_add or ()),
        cap_drop=tuple(settings.cap_drop or ()),
        privileged=settings.privileged,
        seccomp=security.seccomp,
        no_new_privileges=security.no_new_privileges,
        system_paths=settings.system_paths,
    )


def _init_path() -> str:
    """Return the path of the init program for ``--init``; raises KernelFailure if no such program is installed.

    The program is statically linked, so it needs no library in the container.
    """
    for name in INITS:
        program = shutil.which(name, path=DEFAULT_PATH)
        if program is not None:
            return os.path.realpath(program)
    raise KernelFailure(f'exec: "{INITS[0]}": executable file not found in $PATH')


def _link_variables(host: Host, record: ContainerRecord) -> list[str]:
    return [
        variable
        for link in links.linked(host, record)
        for variable in link_variables(record.name, link.alias, link.address, link.target)
    ]


def environment_of(record: ContainerRecord, of_links: Sequence[str] = ()) -> list[str]:
    """Return the environment variables of the container's process (NAME=value) in Docker's order.

    First come PATH, HOSTNAME and, with a terminal, TERM. Then come ``of_links`` (the variables for linked containers),
    then the variables of the user. If the user sets one of the earlier variables, only the user's value is returned.
    """
    variables = list(record.config.env or ())
    defined = {e.partition("=")[0] for e in variables}
    base = [f"PATH={DEFAULT_PATH}", f"HOSTNAME={record.config.hostname}"]
    if has_default_terminal_type(record):
        base.append("TERM=xterm")
    base += of_links
    return [*(e for e in base if e.partition("=")[0] not in defined), *(e for e in variables if "=" in e)]


def has_default_terminal_type(record: ContainerRecord) -> bool:
    """Return whether the process gets TERM=xterm: the container has a terminal, and the user does not set TERM."""
    return record.config.tty and all(e.partition("=")[0] != "TERM" for e in record.config.env or ())


def log_path(host: Host, record: ContainerRecord) -> str:
    """Return the path of the container's log file, or "" if the container's log driver writes no file."""
    directory = host.directory_of(record.id)
    if record.host.log_driver == NONE:
        return ""
    if record.host.log_driver == LOCAL:
        return str(directory / "local-logs" / "container.log")
    return str(directory / f"{record.id}-json.log")


def log_bounds(host: Host, record: ContainerRecord) -> Rotation:
    """Return the size limits for the container's log file.

    Raises ValueError with Docker's error text if the log options are wrong.
    """
    return rotation(record.host.log_driver, record.host.log_options, host.config.default_log_limit)


def log_bounds_at_start(host: Host, record: ContainerRecord) -> Rotation:
    """Return the size limits for the log file of a container that is starting.

    If the log options are wrong, raises KernelFailure with the text that Docker prints for a failed start.
    """
    try:
        return log_bounds(host, record)
    except ValueError as error:
        text = f"failed to create task for container: failed to initialize logging driver: {error}"
        raise KernelFailure(text) from None


Port = tuple[int, str]
"""A container port: number and protocol."""


NOT_PASSED_ON = ("HOME", "PATH")


def link_variables(parent: str, alias: str, address: str, target: ContainerRecord) -> Iterator[str]:
    """Yield the environment variables (NAME=value) for a link of the container ``parent`` to ``target``.

    ``parent`` is the name of the container that gets the variables. ``alias`` is the name of ``target`` in the link,
    and ``address`` is the IP address of ``target``. A variable may be yielded twice, with the same value.
    """
    prefix = alias.rpartition("/")[2].upper().replace("-", "_")
    ports = _exposed(target)
    if ports:
        number, protocol = ports[0]
        yield f"{prefix}_PORT={protocol}://{address}:{number}"
    yield from _ranges(prefix, address, ports)
    for number, protocol in ports:
        name = f"{prefix}_PORT_{number}_{protocol.upper()}"
        yield f"{name}={protocol}://{address}:{number}"
        yield f"{name}_ADDR={address}"
        yield f"{name}_PORT={number}"
        yield f"{name}_PROTO={protocol}"
    yield f"{prefix}_NAME=/{parent}/{alias}"
    for variable in target.config.env or ():
        name, equals, _ = variable.partition("=")
        if equals and name not in NOT_PASSED_ON:
            yield f"{prefix}_ENV_{variable}"


def _exposed(target: ContainerRecord) -> list[Port]:
    spans = exposed_ranges(target.config.exposed_ports)
    ports = [(port, protocol) for protocol, first, last in spans for port in range(first, last + 1)]
    return sorted(ports, key=lambda p: (p[0], p[1] != "tcp"))


def _ranges(prefix: str, address: str, ports: Sequence[Port]) -> Iterator[str]:
    """Yield the environment variables that describe three or more consecutive ports of a linked container (a range).

    ``prefix`` begins the variable names, and ``address`` is the linked container's address. As in Docker, one range may
    contain ports of different protocols.
    """
    first = 0
    while first < len(ports):
        last = _end_of_run(ports, first)
        if last <= first + 1:
            first += 1
            continue
        (low, protocol), (high, other) = ports[first], ports[last]
        name = f"{prefix}_PORT_{low}"
        yield f"{name}_{protocol.upper()}_START={protocol}://{address}:{low}"
        yield f"{name}_{protocol.upper()}_ADDR={address}"
        yield f"{name}_{protocol.upper()}_PROTO={protocol}"
        yield f"{name}_{protocol.upper()}_PORT_START={low}"
        yield f"{name}_{other.upper()}_END={other}://{address}:{high}"
        yield f"{name}_{other.upper()}_PORT_END={high}"
        first = last + 1


def _end_of_run(ports: Sequence[Port], first: int) -> int:
    value = ports[first][0]
    for index in range(first + 1, len(ports)):
        if ports[index][0] > value + 1:
            return index - 1
        value += 1
    return len(ports) - 1
