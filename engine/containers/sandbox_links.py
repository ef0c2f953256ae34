"""Make the symbolic links to the network namespace of a container's sandbox.

- HAWSE_RUN/netns has a link to the namespace. The command inspect shows the path of this link as SandboxKey.
- /run/netns/NAME is a link to this path, so that `ip netns` knows the namespace by the container's name.
- /etc/netns/NAME has links to the container's resolv.conf and hosts. `ip netns exec` mounts both over the host's files.

A link keeps no namespace alive. hawse changes only its own links: those in /run/netns lead into HAWSE_RUN, and those in
/etc/netns lead to the container's files. Several instances of hawse on one machine (with different HAWSE_RUN) share the
names. If /run/netns already has the name, the container gets no links with this name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from drivers.linux import recording
from engine.containers import etc_files
from engine.containers.namespace_files import ETC, NETNS_DIRECTORY
from engine.host import Host
from engine.model import ContainerRecord
from engine.names import short_id
from engine.paths import make_private_directory

FILES = ("resolv.conf", "hosts")
HOST_SANDBOX = "default"
"""The name of the symbolic link to the host's network namespace, as in Docker."""
INIT_NAMESPACE = "/proc/1/ns/net"


def open_path(run: Path, sandbox_id: str, namespace: str) -> str:
    """Create the symbolic link to the network namespace of a sandbox, and return the path of the link.

    The link is in HAWSE_RUN/netns, and replaces an older link of the same sandbox. ``namespace`` is the path
    /proc/PID/ns/net of a process. The command inspect shows the link's path as SandboxKey. When the process ends, the
    link stays, but its target is gone.
    """
    path = Path(path_of(run, sandbox_id))
    make_private_directory(path.parent)
    path.unlink(missing_ok=True)
    path.symlink_to(namespace)
    return str(path)


def open_host_path(run: Path, namespace: str) -> None:
    """Create the symbolic link to the host's network namespace, unless the link already leads to this namespace.

    All containers in host mode share the link. For them, inspect shows the link's path as SandboxKey. ``namespace`` is
    the path /proc/PID/ns/net of a process in host mode. If PID 1 is in the same network namespace, the link leads to
    /proc/1/ns/net, because PID 1 outlives the containers.
    """
    inode = inode_of(namespace)
    if inode_of(path_of(run, HOST_SANDBOX)) != inode:
        with suppress(FileExistsError):  # another command has created the link in the meantime
            open_path(run, HOST_SANDBOX, INIT_NAMESPACE if inode_of(INIT_NAMESPACE) == inode else namespace)


def inode_of(namespace: str) -> int:
    """Return the inode of the namespace at a path, or 0 if the path does not exist because the process has ended."""
    try:
        return os.stat(namespace).st_ino
    except OSError:
        return 0


def path_of(run: Path, sandbox_id: str) -> str:
    """Return the path that inspect shows as SandboxKey: the symbolic link to a sandbox's network namespace."""
    return str(run / "netns" / short_id(sandbox_id))


def add(host: Host, record: ContainerRecord) -> None:
    """Create the symbolic link /run/netns/NAME to a container's network namespace; idempotent.

    NAME is the name of the container, which must run. Also creates the links in /etc/netns/NAME. If this directory
    already exists and has no link of hawse, it belongs to the user, and no links are created in it. Errors of the file
    system are ignored. Does nothing in three cases:

    - The setting netns_names is off.
    - The container is in host mode. The link would lead to the host's own namespace.
    - /run/netns/NAME is in use. Exception: a link into HAWSE_RUN/netns is replaced, because a killed command has left
      the link.
    """
    if not host.config.netns_names or record.host.network_mode == "host":
        return
    recording.comment(f"{NETNS_DIRECTORY / record.name} becomes a link, so that `ip netns exec {record.name}` works.")
    if recording.is_dry_run():
        return
    with suppress(OSError):  # /run or /etc is read-only, or the name is too long for a file
        if _link(NETNS_DIRECTORY / record.name, _target(host, record), f"{host.run}/netns/"):
            _link_files(host, record)


def remove(host: Host, record: ContainerRecord) -> None:
    """Remove the link /run/netns/NAME of a container's sandbox, and the links in /etc/netns/NAME; idempotent.

    Links that another program has made are not removed.
    """
    link, directory = NETNS_DIRECTORY / record.name, ETC / record.name
    if recording.is_dry_run():
        return
    with suppress(OSError):
        if os.readlink(link) == _target(host, record):
            os.unlink(link)
    with suppress(OSError):
        for name, file in _files(host, record):
            if os.readlink(directory / name) == file:
                os.unlink(directory / name)
        directory.rmdir()


def repair(host: Host, record: ContainerRecord) -> None:
    """Create /run/netns/NAME for a running container, and remove the container's links with former names; idempotent.

    NAME is the container's present name. A killed rename may have left links with a former name.
    """
    with suppress(OSError):
        for name in os.listdir(NETNS_DIRECTORY):
            if name != record.name:
                remove(host, replace(record, name=name))
    add(host, record)


def _target(host: Host, record: ContainerRecord) -> str:
    return path_of(host.run, record.sandbox_id)


def _link(path: Path, target: str, ours: str) -> bool:
    """Make the symbolic link ``path`` to ``target``; return whether it exists now and leads to ``target``.

    An existing link is replaced only if the path to which it leads begins with ``ours``.
    """
    with suppress(FileExistsError):
        try:
            os.symlink(target, path)
        except FileNotFoundError:
            path.parent.mkdir(0o755, exist_ok=True)
            os.symlink(target, path)
        return True
    try:
        existing = os.readlink(path)
        if existing != target and existing.startswith(ours):
            os.unlink(path)
            os.symlink(target, path)
            return True
        return existing == target
    except OSError:  # no such link, or another process has made or removed it
        return False


def _link_files(host: Host, record: ContainerRecord) -> None:
    directory, ours = ETC / record.name, f"{host.root}/containers/"
    try:
        os.mkdir(directory, 0o755)
    except FileNotFoundError:
        ETC.mkdir(0o755, exist_ok=True)
        os.mkdir(directory, 0o755)
    except FileExistsError:
        if not any(
            os.path.islink(directory / name) and os.readlink(directory / name).startswith(ours) for name in FILES
        ):
            return
    for name, file in _files(host, record):
        _link(directory / name, file, ours)


def _files(host: Host, record: ContainerRecord) -> Iterator[tuple[str, str]]:
    shown = etc_files.shown_paths(host, record)
    yield from ((name, shown[f"/etc/{name}"]) for name in FILES)
