"""What a container's process looks like to the runtime: command, environment, files and mounts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from engine.containers import lookup
from engine.containers.create import find_root
from engine.containers.link_env import link_variables
from engine.containers.log import log_bounds_at_start, log_path
from engine.endpoints import links
from engine.errors import KernelFailure
from engine.host import Host
from engine.model import ContainerRecord
from engine.runtime.api import ProcessSpec
from engine.validate.mounts import check_binds
from engine.validate.security_options import parse_security_options

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INITS = ("docker-init", "tini-static")
"""Programs that are an init, by preference: both are linked statically."""


def process_spec(host: Host, record: ContainerRecord, netns: str) -> ProcessSpec:
    """Describe the process; ``netns`` is "" for a network namespace of its own, "host", or a path to join."""
    config, settings = record.config, record.host
    root = find_root(host, config.image)
    directory = host.container_directory(record.id)
    security = parse_security_options(settings.security_opt or ())
    callback, environment = host.callback("__exited", record.id)
    mounts, bounds = check_binds(settings.binds), log_bounds_at_start(host, record)
    return ProcessSpec(
        id=record.id,
        argv=[record.path, *record.args],
        env=environment_of(record, _link_variables(host, record)),
        cwd=config.working_dir or "/",
        user=config.user,
        hostname=config.hostname,
        domainname=config.domainname,
        rootfs=root.directory,
        overlay_dir=str(directory / "layer") if root.image else "",
        read_only=settings.readonly_rootfs,
        mounts=mounts,
        files=own_files(host, record),
        sysctls=dict(settings.sysctls),
        netns=netns,
        pid_host=settings.pid_mode == "host",
        tty=config.tty,
        open_stdin=config.open_stdin,
        stdin_once=config.stdin_once,
        cap_add=list(settings.cap_add or ()),
        cap_drop=list(settings.cap_drop or ()),
        privileged=settings.privileged,
        seccomp=security.seccomp,
        no_new_privileges=security.no_new_privileges,
        system_paths=settings.system_paths,
        init_path=_init_path() if settings.init and settings.pid_mode == "" else "",
        log_path=log_path(host, record),
        log_max_size=bounds.max_size,
        log_max_files=bounds.max_files,
        log_compress=bounds.compress,
        on_exit=callback,
        on_exit_env=environment,
    )


def _init_path() -> str:
    """The init of ``--init``, which needs no library of the container; raises KernelFailure where there is none."""
    for name in INITS:
        found = shutil.which(name, path=DEFAULT_PATH)
        if found is not None:
            return os.path.realpath(found)
    raise KernelFailure(f'exec: "{INITS[0]}": executable file not found in $PATH')


def _link_variables(host: Host, record: ContainerRecord) -> list[str]:
    return [
        variable
        for found in links.linked(host, record)
        for variable in link_variables(record.name, found.alias, found.address, found.target)
    ]


def environment_of(record: ContainerRecord, of_links: Sequence[str] = ()) -> list[str]:
    """The container's environment in Docker's order: PATH and HOSTNAME first, then its links', then the user's."""
    own = list(record.config.env or ())
    given = {e.partition("=")[0] for e in own}
    base = [f"PATH={DEFAULT_PATH}", f"HOSTNAME={record.config.hostname}"]
    if record.config.tty:
        base.append("TERM=xterm")
    base += of_links
    return [*(e for e in base if e.partition("=")[0] not in given), *(e for e in own if "=" in e)]


def own_files(host: Host, record: ContainerRecord) -> dict[str, str]:
    """The files of /etc that are not the root's, by their path inside; those of another whose sandbox is joined."""
    directory = host.container_directory(lookup.sandbox_owner(host, record))
    return {f"/etc/{name}": str(directory / name) for name in ("hosts", "resolv.conf", "hostname")}
