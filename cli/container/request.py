"""Build the request for ``run`` and ``create`` from their flags; Docker's client would send the same request."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec.structs import replace

from cli.container import checks, unsupported
from cli.container.checks import FlagValues
from cli.options.address import mac_address
from cli.options.environment import chosen_platform, env_value, latest, pairs_to_map, with_files
from cli.options.limits import restart_policy
from cli.options.mounts import bind, check_types, mount_entry
from cli.options.network import NetworkOption, endpoint_settings, network_mode
from cli.options.ports import exposed_ports, published_ports
from cli.options.security import SYSTEM_PATHS, security_options
from engine.model import ContainerConfig, ContainerCreate, HostConfig


def container_create(
    image: str, command: Sequence[str], flags: FlagValues, changed: Collection[str], environ: Mapping[str, str]
) -> ContainerCreate:
    """Build the request that creates a container; check the flags in the order in which Docker's client checks them.

    ``changed`` has the names of the flags that the user gave. ``environ`` has defaults for ``--env NAME`` and
    ``--platform``. Raises ValueError with the error text of Docker's client, and InvalidArgument with that of dockerd.
    """
    if flags["mac_address"]:
        mac_address(flags["mac_address"])
    checks.swappiness(flags)
    host = _host_config(flags, changed)
    exposed = exposed_ports(host.port_bindings, flags["expose"])
    config = _config(image, command, flags, changed, environ)
    checks.modes(flags)
    checks.logging(flags)
    host = replace(host, security_opt=tuple(security_options(flags["security_opt"])) or None)
    checks.storage(flags)
    checks.health(flags)
    host = replace(host, restart_policy=restart_policy(flags["restart"]))
    checks.removal(flags)
    unsupported.refuse(flags)
    check_types(flags["mount"])
    networks = endpoint_settings(flags["network"], _network_flags(flags))
    # Since API 1.44, Docker's client sends the MAC address only in the network's settings, not in Config.
    config = replace(config, mac_address="", exposed_ports=exposed)
    platform = chosen_platform(flags["platform"], environ)
    return ContainerCreate(config, host, networks, flags["name"], platform, flags["mount"])


def detached(request: ContainerCreate) -> ContainerCreate:
    """Return a copy of the request that attaches no stream, as the flag ``-d`` requires."""
    config = replace(request.config, attach_stdin=False, attach_stdout=False, attach_stderr=False, stdin_once=False)
    return replace(request, config=config)


def _config(
    image: str, command: Sequence[str], flags: FlagValues, changed: Collection[str], environ: Mapping[str, str]
) -> ContainerConfig:
    streams = flags["attach"]
    attach_stdin = "stdin" in streams or flags["interactive"]
    env = with_files(flags["env_file"], latest(env_value(text, environ) for text in flags["env"]), environ)
    return ContainerConfig(
        image=image,
        cmd=tuple(command) or None,
        # ``--entrypoint ""`` removes the image's entrypoint; without the flag, the image's entrypoint is kept.
        entrypoint=(flags["entrypoint"],) if "entrypoint" in changed else None,
        hostname=flags["hostname"],
        domainname=flags["domainname"],
        user=flags["user"],
        attach_stdin=attach_stdin,
        attach_stdout=not streams or "stdout" in streams,
        attach_stderr=not streams or "stderr" in streams,
        tty=flags["tty"],
        open_stdin=flags["interactive"],
        stdin_once=flags["interactive"],
        env=tuple(env) or None,
        working_dir=flags["workdir"],
        mac_address=flags["mac_address"],
        labels=pairs_to_map(with_files(flags["label_file"], flags["label"])),
        stop_signal=flags["stop_signal"],
        stop_timeout=flags["stop_timeout"] if "stop_timeout" in changed else None,
        no_healthcheck=flags["no_healthcheck"],
    )


def _host_config(flags: FlagValues, changed: Collection[str]) -> HostConfig:
    binds = [*dict.fromkeys(bind(spec) for spec in flags["volume"]), *flags["mount"]]
    return HostConfig(
        network_mode=network_mode(flags["network"]),
        binds=tuple(binds) or None,
        mounts=tuple(mount_entry(mount) for mount in flags["mount"]),
        port_bindings=published_ports(flags["publish"]),
        publish_all_ports=flags["publish_all"],
        auto_remove=flags["rm"],
        cap_add=flags["cap_add"] or None,
        cap_drop=flags["cap_drop"] or None,
        dns=flags["dns"],
        dns_options=flags["dns_option"],
        dns_search=flags["dns_search"],
        extra_hosts=flags["add_host"] or None,
        links=flags["link"] or None,
        pid_mode=flags["pid"],
        privileged=flags["privileged"],
        readonly_rootfs=flags["read_only"],
        sysctls=flags["sysctl"],
        container_id_file=flags["cidfile"],
        init=flags["init"] if "init" in changed else None,
        system_paths=SYSTEM_PATHS in flags["security_opt"],
        log_driver=flags["log_driver"],
        log_options=pairs_to_map(flags["log_opt"]),
    )


def _network_flags(flags: FlagValues) -> NetworkOption:
    return NetworkOption(
        aliases=flags["network_alias"],
        links=flags["link"],
        ipv4=flags["ip"],
        ipv6=flags["ip6"],
        link_local=flags["link_local_ip"],
        mac=flags["mac_address"],
    )
