"""Build the request that Docker's client would send from the flags of ``run`` and ``create``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from cli.container import checks, unsupported
from cli.container.checks import Given
from cli.options.address import mac_address
from cli.options.environment import env_value, latest, pairs_to_map, with_files
from cli.options.limits import restart_policy
from cli.options.mounts import bind
from cli.options.network import NetworkOption, endpoint_settings, network_mode
from cli.options.ports import exposed_ports, published_ports
from cli.options.security import SYSTEM_PATHS, security_options
from engine.model import ContainerConfig, ContainerCreate, HostConfig


def container_create(
    image: str, command: Sequence[str], given: Given, changed: Collection[str], environ: Mapping[str, str]
) -> ContainerCreate:
    """Build the request, with the checks in Docker's order; raises ValueError with Docker's text."""
    if given["mac_address"]:
        mac_address(given["mac_address"])
    checks.swappiness(given)
    host = _host_config(given, changed)
    exposed = exposed_ports(host.port_bindings, given["expose"])
    config = _config(image, command, given, changed, environ)
    checks.modes(given)
    checks.logging(given)
    host = replace(host, security_opt=security_options(given["security_opt"]) or None)
    checks.storage(given)
    checks.health(given)
    host = replace(host, restart_policy=restart_policy(given["restart"]))
    checks.removal(given)
    unsupported.refuse(given)
    networks = endpoint_settings(given["network"], _network_flags(given))
    # Since API 1.44 the MAC address is sent only with the network.
    config = replace(config, mac_address="", exposed_ports=exposed)
    return ContainerCreate(config, host, networks, given["name"])


def detached(request: ContainerCreate) -> ContainerCreate:
    """Return the request without attached streams, as ``-d`` does."""
    config = replace(request.config, attach_stdin=False, attach_stdout=False, attach_stderr=False, stdin_once=False)
    return replace(request, config=config)


def _config(
    image: str, command: Sequence[str], given: Given, changed: Collection[str], environ: Mapping[str, str]
) -> ContainerConfig:
    streams = given["attach"]
    attach_stdin = "stdin" in streams or given["interactive"]
    env = with_files(given["env_file"], latest(env_value(text, environ) for text in given["env"]), environ)
    return ContainerConfig(
        image=image,
        cmd=command or None,
        entrypoint=_entrypoint(given, changed),
        hostname=given["hostname"],
        domainname=given["domainname"],
        user=given["user"],
        attach_stdin=attach_stdin,
        attach_stdout=not streams or "stdout" in streams,
        attach_stderr=not streams or "stderr" in streams,
        tty=given["tty"],
        open_stdin=given["interactive"],
        stdin_once=given["interactive"],
        env=env or None,
        working_dir=given["workdir"],
        mac_address=given["mac_address"],
        labels=pairs_to_map(with_files(given["label_file"], given["label"])),
        stop_signal=given["stop_signal"],
        stop_timeout=given["stop_timeout"] if "stop_timeout" in changed else None,
    )


def _entrypoint(given: Given, changed: Collection[str]) -> Sequence[str] | None:
    # ``--entrypoint ""`` removes the image's entrypoint; without the flag, the image's entrypoint is kept.
    return [given["entrypoint"]] if "entrypoint" in changed else None


def _host_config(given: Given, changed: Collection[str]) -> HostConfig:
    binds = [*dict.fromkeys(bind(spec) for spec in given["volume"]), *given["mount"]]
    return HostConfig(
        network_mode=network_mode(given["network"]),
        binds=binds or None,
        port_bindings=published_ports(given["publish"]),
        publish_all_ports=given["publish_all"],
        auto_remove=given["rm"],
        cap_add=given["cap_add"] or None,
        cap_drop=given["cap_drop"] or None,
        dns=given["dns"],
        dns_options=given["dns_option"],
        dns_search=given["dns_search"],
        extra_hosts=given["add_host"] or None,
        links=given["link"] or None,
        pid_mode=given["pid"],
        privileged=given["privileged"],
        readonly_rootfs=given["read_only"],
        sysctls=given["sysctl"],
        container_id_file=given["cidfile"],
        init=given["init"] if "init" in changed else None,
        system_paths=SYSTEM_PATHS in given["security_opt"],
        log_driver=given["log_driver"],
        log_options=pairs_to_map(given["log_opt"]),
    )


def _network_flags(given: Given) -> NetworkOption:
    return NetworkOption(
        aliases=given["network_alias"],
        links=given["link"],
        ipv4=given["ip"],
        ipv6=given["ip6"],
        link_local=given["link_local_ip"],
        mac=given["mac_address"],
    )
