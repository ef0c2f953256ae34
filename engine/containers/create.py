"""Create a container: check the request and record the container, without starting a process."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from drivers.linux.host import is_forwarding
from engine import names
from engine.api import Created
from engine.containers import lookup
from engine.errors import EngineError, InvalidArgument, NotFound
from engine.events import record as events
from engine.golang import timestamps
from engine.host import Host
from engine.images import ImageStore
from engine.images.hostfs import HOSTFS, means_hostfs
from engine.model import (
    ContainerConfig,
    ContainerCreate,
    ContainerRecord,
    EndpointSettings,
    HostConfig,
    ImageRecord,
    NetworkAttachment,
    NetworkRecord,
)
from engine.names import is_container_mode, is_user_defined, parse_link, shared_container
from engine.networks.activate import first_use_warnings
from engine.runtime import root_paths
from engine.runtime.seccomp import UNCONFINED
from engine.store.api import Reader, Taken
from engine.validate.container import (
    check_binds,
    check_container_create,
    check_mounts,
    check_networks,
    clean_path,
    link_target,
    links_with_host_mode,
    parse_security_options,
)
from engine.validate.logging import JSON_FILE, choose_driver

RANDOM_NAMES = 6  # number of random names to try, as in Docker


class RootFilesystem(Struct, frozen=True):
    """The root file system of a container.

    ``image`` is None for a plain directory, and for a hostfs container, which uses the host's own files.
    """

    directory: str
    image: ImageRecord | None = None


def create(host: Host, request: ContainerCreate) -> Created:
    """Create a container and return its id and warnings.

    The checks run in Docker's order and raise errors with Docker's messages. After an error, nothing is stored.
    """
    request = _normalised(request)
    check_mounts(request.mounts)
    warnings = check_container_create(request)
    with host.store.read() as reader:
        networks = {name: names.only_network(reader.find_networks(name)) for name in request.networks}
        attachments = _attachments(request, names.only_network(reader.find_networks(request.host.network_mode)))
    root = find_root(host, request.config.image)
    check_networks(request, networks)
    warnings = [*warnings, *_platform_warnings(host, request, root)]
    if root.directory == "/":
        _check_hostfs_security(request)
    record = _new_record(host, request, root, attachments)
    _check_working_directory(root.directory, record.config.working_dir)
    _record(host, record, has_random_name=not request.name)
    first_use = first_use_warnings(host, (a.network for a in record.attachments))
    return Created(record.id, [*_forwarding_warnings(host, request), *warnings, *first_use])


def _new_record(
    host: Host, request: ContainerCreate, root: RootFilesystem, attachments: Sequence[NetworkAttachment]
) -> ContainerRecord:
    """Return the record of the new container; raises InvalidArgument if there is no command to run.

    The command comes from the request or from the image.
    """
    config = _without_empty_entrypoint(merged(request.config, root.image))
    argv = [*(config.entrypoint or ()), *(config.cmd or ())]
    if not argv:
        raise InvalidArgument("no command specified")
    driver, options = choose_driver(
        request.host.log_driver, request.host.log_options, host.config.log_driver, host.config.log_opts
    )
    name = names.check_container_name(request.name) if request.name else ""
    if name:
        _check_name_is_free(host, name)
    check_binds(request.host.binds)
    container_id = names.generate_id()
    return ContainerRecord(
        id=container_id,
        name=name or names.generate_container_name(),
        created=timestamps.now(),
        config=replace(
            config,
            hostname=config.hostname or _default_hostname(request, container_id),
            mac_address=config.mac_address or _main_mac(request, attachments),
        ),
        host=replace(
            _with_targets(host, request), log_driver="" if driver == JSON_FILE else driver, log_options=options
        ),
        attachments=tuple(attachments),
        image_id=root.image.id if root.image else "",
        path=argv[0],
        args=tuple(argv[1:]),
    )


def _platform_warnings(host: Host, request: ContainerCreate, root: RootFilesystem) -> list[str]:
    """Return Docker's warning about the image's platform as a list of one text, or [] without a warning.

    The warning says that the image is for another platform than this host's. If the user requested a platform, there is
    no warning. Instead, raises NotFound if the image is for another platform than the requested one.
    """
    if root.image is None:
        return []
    warning = ImageStore(host.store, host.root).check_platform(root.image, request.config.image, request.platform)
    return [warning] if warning else []


def _forwarding_warnings(host: Host, request: ContainerCreate) -> list[str]:
    """Return Docker's warning, in a list, if IPv4 forwarding is off and daemon.json forbids hawse to enable it.

    Otherwise, the list is empty. It is also empty for a container in the network mode host or none.
    """
    if host.config.ip_forward or request.host.network_mode in ("host", "none") or is_forwarding():
        return []
    return ["IPv4 forwarding is disabled. Networking will not work."]


def _check_hostfs_security(request: ContainerCreate) -> None:
    """Check that a hostfs container has no seccomp profile except ``unconfined``; raises InvalidArgument if it has one.

    A hostfs container uses the host's own files. hawse applies seccomp profiles only to containers on images and
    directories.
    """
    profile = parse_security_options(request.host.security_opt or ()).seccomp
    if profile not in ("", UNCONFINED):
        raise InvalidArgument(f"--security-opt seccomp is for images and directories, not for {HOSTFS}")


def _check_working_directory(root: str, path: str) -> None:
    """Check that the working directory ``path``, if it exists, is a directory; raises EngineError if it is not.

    ``root`` is the container's root directory on the host, in which ``path`` is looked up. An empty ``path`` is valid.
    """
    if path and root_paths.is_blocked(root, path):
        raise EngineError(f"Cannot mkdir: {path} is not a directory")


def _with_targets(host: Host, request: ContainerCreate) -> HostConfig:
    """Return the request's host configuration, with names of other containers replaced as in Docker.

    In the network mode ``container:NAME``, the container's id replaces NAME. NAME stays if it does not match exactly
    one container. Legacy links are checked and replaced by `_checked_links`, except on a user-defined network.
    """
    settings = request.host
    with host.store.read() as reader:
        if is_container_mode(settings.network_mode):
            records = lookup.matches(reader, shared_container(settings.network_mode))
            if len(records) == 1:
                settings = replace(settings, network_mode=f"container:{records[0].id}")
        if settings.links and not is_user_defined(settings.network_mode):
            settings = replace(settings, links=tuple(_checked_links(reader, settings.links)) or None)
    return settings


def _checked_links(reader: Reader, links: Sequence[str]) -> list[str]:
    """Check legacy links (``--link``), and return the valid links in the form "NAME:ALIAS".

    A link has the form "NAME:ALIAS" or "NAME", where NAME is the name or id of the target container. If the target uses
    the sandbox of another container, the result names this other container as the target. If several links have the
    same alias, only the first is returned. As in Docker, an alias is a path below the container's name. Slashes around
    it do not count, and a link with an empty alias is dropped. Raises InvalidArgument if a target does not match
    exactly one container, or is in host mode.
    """
    by_alias: dict[str, str] = {}
    for target, alias in map(parse_link, links):
        owner, path = _sandbox_owner(reader, target), posixpath.normpath(f"/{alias}").lstrip("/")
        if path:
            # Use the id of an adopted namespace, because its name has a colon, which the NAME of a link cannot contain.
            by_alias.setdefault(path, f"{owner.id if ':' in owner.name else owner.name}:{path}")
    return list(by_alias.values())


def _sandbox_owner(reader: Reader, target: str) -> ContainerRecord:
    """Return the container whose sandbox the container ``target`` uses, which may be ``target`` itself."""
    matches = reader.find_containers(target) or lookup.linked(reader, target)[:1]
    record, passed = link_target(matches, target), set[str]()
    while is_container_mode(record.host.network_mode):
        if record.id in passed:
            raise InvalidArgument(f"could not get container for {record.name}: cannot join own network")
        passed.add(record.id)
        target = shared_container(record.host.network_mode)
        record = link_target(reader.find_containers(target), target)
    if record.host.network_mode == "host":
        raise links_with_host_mode()
    return record


def _check_name_is_free(host: Host, name: str) -> None:
    """Check that no container has the name ``name``; raises Conflict if one has it.

    As in Docker, this check is made before the checks of binds and links. Because another command may take the name
    meanwhile, `_record` checks the name again.
    """
    with host.store.read() as reader:
        if holder := next((record for record in reader.find_containers(name) if record.name == name), None):
            raise names.container_name_taken(name, holder.id)


def _record(host: Host, record: ContainerRecord, *, has_random_name: bool) -> None:
    """Store the record of a new container; raises Conflict if the user chose a name that is taken.

    Also raises NotFound if another command has removed the image since the checks. With ``has_random_name``, the user
    chose no name. A taken random name is then replaced by another random name, and finally by the short id.
    """
    for name in _names(record) if has_random_name else (record.name,):
        named = replace(record, name=name)
        try:
            with host.store.write() as tx:
                if record.image_id and tx.image(record.image_id) is None:
                    raise _missing(record.config.image)
                tx.put_container(named)
                events.container(tx, named, "create")
            return
        except Taken as error:
            taken = error
    raise names.container_name_taken(record.name, taken.holder) from taken


def _names(record: ContainerRecord) -> Iterator[str]:
    yield record.name
    yield from (names.generate_container_name() for _ in range(RANDOM_NAMES - 1))
    yield names.short_id(record.id)


def find_root(host: Host, image: str) -> RootFilesystem:
    """Return the root file system for the image argument, which is "hostfs", an image or an absolute directory.

    "hostfs" means the host's own files. Raises NotFound if there is no such image.
    """
    if image == HOSTFS:
        return RootFilesystem("/")

    record = ImageStore(host.store, host.root).resolve(image)
    if record is not None:
        return RootFilesystem(record.rootfs, record)
    if means_hostfs(image):
        return RootFilesystem("/")
    if image.startswith("/"):
        return RootFilesystem(_directory(image))
    raise _missing(image)


def _missing(image: str) -> NotFound:
    return NotFound(f"No such image: {image if ':' in image else image + ':latest'}")


def _directory(path: str) -> str:
    if not os.path.isdir(path):
        raise NotFound(f"No such image: {path} is not a directory")
    return os.path.realpath(path)


def _without_empty_entrypoint(config: ContainerConfig) -> ContainerConfig:
    """Replace the entrypoint "" by None, because "" names no program.

    The user gives ``--entrypoint ""`` to use neither the entrypoint nor the command of the image.
    """
    return replace(config, entrypoint=None) if list(config.entrypoint or ()) == [""] else config


def merged(config: ContainerConfig, image: ImageRecord | None) -> ContainerConfig:
    """Return the user's configuration, with missing values taken from the image by Docker's rules.

    If the user gives an entrypoint, the image's command is not used.
    """
    if image is None:
        return config
    entrypoint, cmd = config.entrypoint, config.cmd
    if entrypoint is None:
        entrypoint = image.entrypoint
        cmd = cmd if cmd is not None else image.cmd
    return replace(
        config,
        entrypoint=entrypoint,
        cmd=cmd,
        env=tuple(_merged_env(image.env, config.env or ())) or None,
        working_dir=config.working_dir or image.working_dir,
        user=config.user or image.user,
        labels={**image.labels, **config.labels},
        exposed_ports=tuple(sorted({*image.exposed_ports, *config.exposed_ports})),
        stop_signal=config.stop_signal or image.stop_signal,
    )


def _merged_env(base: Sequence[str], variables: Sequence[str]) -> list[str]:
    taken = {e.partition("=")[0] for e in variables}
    return [*variables, *(e for e in base if e.partition("=")[0] not in taken)]


def _normalised(request: ContainerCreate) -> ContainerCreate:
    """Return the request with the corrections that Docker makes without a warning.

    The network mode ``default`` becomes ``bridge``. The components ``.`` and ``..`` in an absolute working directory
    are resolved.
    """
    mode = request.host.network_mode
    networks = {("bridge" if n == "default" else n): s for n, s in request.networks.items()}
    if mode in ("", "default"):
        mode = "bridge"
    config, directory = request.config, request.config.working_dir
    if posixpath.isabs(directory):
        config = replace(config, working_dir=clean_path(directory))
    return replace(request, config=config, host=replace(request.host, network_mode=mode), networks=networks)


def _attachments(request: ContainerCreate, main: NetworkRecord | None) -> list[NetworkAttachment]:
    """Return one network attachment (a network's name and its endpoint settings) for each network of the request.

    ``main`` is the network that the network mode names, or None if this network does not exist.

    - A request without networks: the only attachment is to the network of the network mode. The mode
      ``container:NAME`` has no attachment.
    - A request with networks: each attachment has the network name that the user typed. If the user typed the id of
      ``main``, the attachment has the name of ``main`` instead.
    """
    mode, networks = request.host.network_mode, request.networks
    if not networks and not is_container_mode(mode):
        networks = {main.name if main else mode: EndpointSettings()}
    elif main and is_user_defined(mode) and main.name not in networks:
        networks = {(main.name if name == main.id else name): settings for name, settings in networks.items()}
    return [NetworkAttachment(name, settings) for name, settings in networks.items()]


def _main_mac(request: ContainerCreate, attachments: Sequence[NetworkAttachment]) -> str:
    """Return the MAC address that the user requested for the main network, or "" if the user requested none.

    The main network is the one that the network mode names. Docker also shows this address as the MAC address of the
    container.
    """
    mode = request.host.network_mode
    shown = "" if mode in ("host", "none") else mode
    return next((a.settings.mac_address for a in attachments if a.network == shown), "")


def _default_hostname(request: ContainerCreate, container_id: str) -> str:
    return names.short_id(container_id) if request.host.network_mode != "host" else os.uname().nodename
