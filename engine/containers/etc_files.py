"""Maintain /etc/hosts, /etc/resolv.conf and /etc/hostname of a container, which are stored in the container's
directory.

The files are bind-mounted into the container. Therefore each file is overwritten and never replaced by a new file. A
container that joins another container's sandbox uses the files of that other container. An adopted namespace has only a
resolv.conf (`engine.containers.namespace_files`), because hawse cannot mount files for processes that it did not start.

/etc/hosts has localhost lines, --add-host entries, legacy links and the container's own addresses. `hosts_file` renders
its text. `engine.resolv_conf` renders resolv.conf.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from msgspec import Struct

from drivers.linux.host import has_ipv6
from engine.cluster.hooks import is_gateway
from engine.containers import lookup, namespace_files
from engine.endpoints import links, reservation
from engine.endpoints.sandbox import JoinedEndpoint, disables_ipv6
from engine.host import Host
from engine.model import ContainerConfig, ContainerRecord, NetworkRecord
from engine.names import is_container_mode, reaches_stub, shared_container
from engine.paths import no_follow
from engine.resolv_conf import (
    Overrides,
    Transform,
    address_families,
    read_host_file,
    read_host_files,
    resolv_conf,
)
from engine.validate.container import HOST_GATEWAY, check_binds

HOST_HOSTS = Path("/etc/hosts")
FILES = ("hosts", "resolv.conf", "hostname")
LOCAL_HOSTS = (("127.0.0.1", "localhost"),)
LOCAL_HOSTS_IPV6 = (
    ("::1", "localhost ip6-localhost ip6-loopback"),
    ("fe00::0", "ip6-localnet"),
    ("ff00::0", "ip6-mcastprefix"),
    ("ff02::1", "ip6-allnodes"),
    ("ff02::2", "ip6-allrouters"),
)
WRITTEN = "resolv.conf.written"
"""A copy of the resolv.conf that hawse wrote last. The container cannot change the copy. Therefore a difference means
that the container has edited its resolv.conf.
"""
FILE_LIMIT_BYTES = 1 << 20
"""Size limit in bytes. A container's /etc file that is larger is not updated, because the container may have written
anything into it.
"""
_HELD = (errno.EAGAIN, errno.ETXTBSY, errno.EPERM)
"""The errors with which a container prevents that its /etc files are written.

It has leased the file, runs it as a program, or has made it immutable (chattr +i).
"""


def paths(host: Host, record: ContainerRecord) -> dict[str, str]:
    """Return the files that a container has in /etc, as a mapping from path in the container to path on the host.

    The files are usually the container's own. If the container joins the sandbox of another container (the owner),
    there are three cases:

    - The owner is an adopted namespace: the files are still the container's own.
    - The owner is any other container: the files are the owner's. A file that the user bound into the owner
      (-v FILE:/etc/hosts) replaces hawse's file in the mapping.
    - The owner was removed: the mapping has the paths of the owner's former files.
    """
    joined = shared_container(record.host.network_mode)
    if not joined:
        return _paths_in(host, record.id)
    with host.store.read() as reader:
        owner = lookup.sandbox_owner(reader, record)
    if owner is None:
        return _paths_in(host, joined)
    if owner.kind == "adopted":
        return _paths_in(host, record.id)
    return {**_paths_in(host, owner.id), **_bound(owner)}


def _paths_in(host: Host, container_id: str) -> dict[str, str]:
    return {f"/etc/{name}": str(host.directory_of(container_id) / name) for name in FILES}


def shown_paths(host: Host, record: ContainerRecord) -> dict[str, str]:
    """Return the mapping of `paths`, with the user's file instead of hawse's file where the user bound a file.

    The user binds a file into this container with an option like -v FILE:/etc/hosts. The command inspect shows the
    paths.
    """
    return {**paths(host, record), **_bound(record)}


def _bound(record: ContainerRecord) -> dict[str, str]:
    targets = tuple(f"/etc/{name}" for name in FILES)
    return {mount.target: mount.source for mount in check_binds(record.host.binds) if mount.target in targets}


def write(host: Host, record: ContainerRecord, members: Sequence[JoinedEndpoint]) -> None:
    """Write /etc/hosts, /etc/resolv.conf and /etc/hostname of a container that is starting.

    ``members`` are its endpoints. A container that joins another container's sandbox gets no files, unless that sandbox
    is an adopted namespace.
    """
    if is_container_mode(record.host.network_mode):
        with host.store.read() as reader:
            owner = lookup.sandbox_owner(reader, record)
        if owner is None or owner.kind != "adopted":
            return
        members = reservation.memberships(host, owner.id)
    directory = host.container_directory(record.id)
    _write(directory / "hostname", f"{record.config.hostname}\n")
    _write(directory / "hosts", _hosts(host, record, members))
    _write_resolv_conf(directory, _resolv_conf(host, record, members, _transform(record, members)))


def add_network(host: Host, record: ContainerRecord, members: Sequence[JoinedEndpoint]) -> None:
    """Update /etc/hosts and /etc/resolv.conf of a running container that has joined another network.

    ``members`` are the container's endpoints; the new one is the last. /etc/resolv.conf is not changed if the user has
    edited it. For an adopted namespace, only hawse's resolv.conf is written.
    """
    if record.kind == "adopted":
        _follow_adopted(host, record, members)
        return
    directory = host.container_directory(record.id)
    lines = own_lines(record.config, _addresses(members[-1:]), ipv6=_has_ipv6(record))
    with _unless_held(), open(directory / "hosts", "a", encoding="utf-8", opener=_at_once) as hosts:
        hosts.write(lines)
    _update_resolv_conf(host, record, members, members[:-1])


def undo_network(host: Host, record: ContainerRecord, members: Sequence[JoinedEndpoint]) -> None:
    """Undo `add_network` in the files of a running container after a failed or killed connect; idempotent.

    ``members`` are the endpoints that the container keeps.
    """
    remove_left_addresses(host, record, members)
    if record.kind != "adopted":
        _update_resolv_conf(host, record, members, members)


def _update_resolv_conf(
    host: Host, record: ContainerRecord, members: Sequence[JoinedEndpoint], former: Sequence[JoinedEndpoint]
) -> None:
    """Write /etc/resolv.conf of a container for its endpoints ``members``, unless the user has edited the file.

    ``former`` are the endpoints that the container had when hawse last wrote the file. They show
    whether the user has edited the file.
    """
    directory = host.container_directory(record.id)
    present, copy = _present(directory / "resolv.conf"), _present(directory / WRITTEN)
    if present is not None and (present == copy or present in _unedited(host, record, former)):
        text = _resolv_conf(host, record, members, _transform(record, members))
        if (present, copy) != (text, text):  # writing equal texts again would take 1 ms
            _write_resolv_conf(directory, text)


def remove_network(
    host: Host, record: ContainerRecord, network: NetworkRecord, members: Sequence[JoinedEndpoint]
) -> None:
    """Remove a container's own addresses from its /etc/hosts after the container has left ``network``.

    As in Docker, the lines of all networks are removed, because they all contain the container's host name. After the
    container has left a predefined network, nothing is removed, because containers have no names there. ``members`` are
    the endpoints that the container keeps. For an adopted namespace, only hawse's resolv.conf is written.
    """
    if record.kind == "adopted":
        _follow_adopted(host, record, members)
    elif not network.predefined:
        _change_hosts(host, record.id, partial(without_own_lines, config=record.config))


def remove_left_addresses(host: Host, record: ContainerRecord, members: Sequence[JoinedEndpoint]) -> None:
    """Remove the lines of the container's former addresses from its /etc/hosts; idempotent.

    A killed command may have left these lines. ``members`` are the container's endpoints. For an adopted namespace,
    only hawse's resolv.conf is written.
    """
    if record.kind == "adopted":
        _follow_adopted(host, record, members)
    else:
        kept = _addresses(members)
        _change_hosts(host, record.id, partial(without_own_lines, config=record.config, kept=kept))


def _follow_adopted(host: Host, record: ContainerRecord, members: Sequence[JoinedEndpoint]) -> None:
    if members:
        namespace_files.write(host, record, _resolv_conf(host, record, members, _transform(record, members)))


def _change_hosts(host: Host, container_id: str, change: Callable[[str], str]) -> None:
    """Replace the text of a container's /etc/hosts with the result of ``change``; no effect if the file is missing."""
    path = host.container_directory(container_id) / "hosts"
    text = _present(path)
    if text is not None and (changed := change(text)) != text:
        _write(path, changed)


def follow_links(host: Host, record: ContainerRecord) -> None:
    """Write a container's new address into /etc/hosts of each running container that links to it."""
    for source, alias, address in links.linking(host, record):
        _change_hosts(host, source.id, partial(with_address, name=alias, address=address))


def remove_link(host: Host, record: ContainerRecord, alias: str) -> None:
    """Remove the line of a legacy link from a container's /etc/hosts; idempotent.

    ``alias`` is the name that the link gives to its target.
    """
    _change_hosts(host, record.id, partial(without_link, alias=alias))


def _hosts(host: Host, record: ContainerRecord, members: Sequence[JoinedEndpoint]) -> str:
    extra = list(record.host.extra_hosts or ())
    gateway = host.config.host_gateway_ip or _default_bridge_address(host)
    if record.host.network_mode == "host" and not extra:
        return read_host_file(HOST_HOSTS)
    linked = [
        LinkedHost(address, to.alias, to.target.config.hostname, to.target.name)
        for to in links.linked(host, record)
        for address in (to.address, to.address6)
        if address
    ]
    return hosts_file(
        record.config,
        _addresses(members),
        extra_hosts=extra,
        links=linked,
        host_gateway=gateway,
        ipv6=_has_ipv6(record),
    )


def _has_ipv6(record: ContainerRecord) -> bool:
    return has_ipv6() and not disables_ipv6(record, "all", "lo")


def _addresses(members: Sequence[JoinedEndpoint]) -> list[str]:
    named = [m for m in members if not is_gateway(m.network)]
    addresses = [a for m in named for a in (m.endpoint.ipv4, m.endpoint.ipv6) if a]
    return [a.partition("/")[0] for a in addresses]


def _default_bridge_address(host: Host) -> str:
    with host.store.read() as reader:
        for network in reader.find_networks("bridge"):
            for pool in network.pools:
                return pool.gateway
    return ""


def _unedited(host: Host, record: ContainerRecord, members: Sequence[JoinedEndpoint]) -> list[str]:
    """Return the texts that hawse may have written to resolv.conf while the container had the endpoints ``members``.

    A file with any other text has been edited. The caller needs these texts for files of older versions of hawse, which
    kept no copy of the text (`WRITTEN`). If ``members`` is empty, two texts are possible: that of a container that
    never had a network, and that of a container that has left a predefined network.
    """
    transforms = [_transform(record, members)] if members else [Transform.NONE, Transform.LEGACY]
    return [_resolv_conf(host, record, members, transform) for transform in transforms]


def _resolv_conf(host: Host, record: ContainerRecord, members: Sequence[JoinedEndpoint], transform: Transform) -> str:
    settings, defaults = record.host, host.config
    overrides = Overrides(
        settings.dns or defaults.dns,
        settings.dns_search or defaults.dns_search,
        settings.dns_options or defaults.dns_opts,
    )
    path, text = read_host_files().chosen(reaches_stub=reaches_stub(settings.network_mode))
    source = str(path) if path.exists() else ""
    families = address_families(m.endpoint for m in members)
    return resolv_conf(text, transform, overrides, source=source, **families).text


def _transform(record: ContainerRecord, members: Sequence[JoinedEndpoint]) -> Transform:
    if record.host.network_mode == "host" or not members:
        return Transform.NONE
    return Transform.INTERNAL if any(not m.network.predefined for m in members) else Transform.LEGACY


def _write_resolv_conf(directory: Path, text: str) -> None:
    _write(directory / "resolv.conf", text)
    _write(directory / WRITTEN, text, 0o600)


def _present(path: Path) -> str | None:
    """Return the contents of a container's /etc file, or None if hawse must not read or change the file.

    The result is None if the file is missing, larger than `FILE_LIMIT_BYTES`, or leased by the container. The contents
    are untrusted, because the container may have written any bytes into the file. The container may also enlarge the
    file after the check of its size. Therefore at most `FILE_LIMIT_BYTES` + 1 characters are read, and the result is
    None for more than `FILE_LIMIT_BYTES` characters.
    """
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", opener=_at_once) as file:
            text = file.read(FILE_LIMIT_BYTES + 1) if os.fstat(file.fileno()).st_size <= FILE_LIMIT_BYTES else None
    except (FileNotFoundError, BlockingIOError):
        return None
    return text if text is not None and len(text) <= FILE_LIMIT_BYTES else None


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    with (
        _unless_held(),
        open(path, "w", encoding="utf-8", errors="surrogateescape", opener=_at_once) as file,
    ):
        file.write(text)
        os.fchmod(file.fileno(), mode)


@contextmanager
def _unless_held() -> Iterator[None]:
    """Ignore an error of the ``with`` block if the container prevents the write to its own /etc file (`_HELD`).

    The container can lease the file, for example. Such a file is left unchanged, so that one container cannot make
    commands on other containers fail.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _HELD:
            raise


def _at_once(path: str, flags: int) -> int:
    """Open a file without following a symbolic link, and return the file descriptor; ``flags`` are those of open(2).

    Raises BlockingIOError immediately (O_NONBLOCK) if the container has a lease on the file. A blocking open would wait
    for the end of the lease, by default up to 45 s (fcntl(2), F_SETLEASE). A container with many leased files could
    delay a command for a long time. Therefore the caller leaves a leased file unchanged.
    """
    return no_follow(path, flags | os.O_NONBLOCK)


class LinkedHost(Struct, frozen=True):
    """A legacy link on the default bridge: the address and the names of the link's target container."""

    address: str
    alias: str
    hostname: str
    name: str


def hosts_file(
    config: ContainerConfig,
    addresses: Sequence[str],
    *,
    extra_hosts: Sequence[str] = (),
    links: Sequence[LinkedHost] = (),
    host_gateway: str = "",
    ipv6: bool = True,
) -> str:
    """Return the whole text of a container's /etc/hosts file.

    ``addresses`` are the container's own addresses without prefix length, in the order of its interfaces.
    ``extra_hosts`` are the --add-host entries. ``host_gateway`` is the address that replaces the word ``host-gateway``
    in such an entry (``name:host-gateway``). ``ipv6`` is False if the sandbox has IPv6 disabled: then no line has an
    IPv6 address.
    """
    lines = [*LOCAL_HOSTS, *(LOCAL_HOSTS_IPV6 if ipv6 else ())]
    lines += [_extra_line(entry, host_gateway) for entry in extra_hosts]
    lines += [_linked_line(link) for link in links]
    usable = [line for line in lines if ipv6 or ":" not in line[0]]
    return _hosts_text(usable) + own_lines(config, addresses, ipv6=ipv6)


def own_lines(config: ContainerConfig, addresses: Sequence[str], *, ipv6: bool = True) -> str:
    """Return the lines of /etc/hosts for a container's own addresses.

    These lines are the last ones of a new file. `network connect` appends such lines for the new addresses.
    ``addresses`` are without prefix length. If the sandbox has IPv6 disabled, ``ipv6`` is False, and no line has an
    IPv6 address.
    """
    names = own_names(config)
    return _hosts_text([(address, names) for address in addresses if ipv6 or ":" not in address])


def without_own_lines(text: str, config: ContainerConfig, kept: Sequence[str] = ()) -> str:
    """Remove the container's own lines from the text of /etc/hosts, and return the new text.

    The own lines are those with the container's host name. The own lines of the addresses in ``kept`` remain. For
    ``network disconnect``, ``kept`` is empty: as in Docker, the lines for all networks of the container are removed.
    """
    names = own_names(config)
    parted = ((line, line.rstrip("\n").partition("\t")) for line in text.splitlines(keepends=True))
    return "".join(line for line, (address, _, after) in parted if after != names or address in kept)


def with_address(text: str, name: str, address: str) -> str:
    """Return the text of /etc/hosts, with ``address`` as the new address of each line whose first name is ``name``.

    A first name such as ``name.domain`` counts as ``name``. Only lines with an address of the same IP version change.
    Docker changes the file in this way when the target of a legacy link gets a new address.
    """
    present = r"[^\s:]*:\S*" if ":" in address else r"[^\s:]*"
    return re.sub(rf"(?m)^{present}(?=\t{re.escape(name)}(?:\s|\.))", address, text)


def without_link(text: str, alias: str) -> str:
    """Return the text of /etc/hosts without the line for the legacy link with this alias."""
    return re.sub(rf"(?m)^\S+\t{re.escape(alias)} .*\n", "", text)


def own_names(config: ContainerConfig) -> str:
    """Return the host names in the /etc/hosts lines of the container's own addresses, separated by a space.

    These are the full host name, and its first label if the label differs from the full name.
    """
    full = f"{config.hostname}.{config.domainname}" if config.domainname else config.hostname
    first, dot, _ = full.partition(".")
    return f"{full} {first}" if dot else full


def _extra_line(entry: str, host_gateway: str) -> tuple[str, str]:
    name, _, address = entry.partition(":")
    return (host_gateway if address == HOST_GATEWAY else address), name


def _linked_line(link: LinkedHost) -> tuple[str, str]:
    names = [link.alias, link.hostname, *([link.name] if link.name != link.alias else ())]
    return link.address, " ".join(names)


def _hosts_text(lines: Sequence[tuple[str, str]]) -> str:
    return "".join(f"{address}\t{names}\n" for address, names in lines)
