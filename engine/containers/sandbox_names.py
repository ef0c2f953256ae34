"""Give the sandbox of each container a name for `ip netns`: the container's name.

/run/netns/NAME is a symbolic link to the sandbox's own link in HAWSE_RUN. Users of Docker often make such links by
hand. A link keeps no namespace alive. hawse changes only links whose target is in HAWSE_RUN. /etc/netns/NAME has links
to the container's resolv.conf and hosts. `ip netns exec` mounts both over the host's files.

All hawse hosts of a machine share these names. If /run/netns already has the name, the container gets no name.
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
from engine.endpoints import sandbox
from engine.host import Host
from engine.model import ContainerRecord

FILES = ("resolv.conf", "hosts")


def add(host: Host, record: ContainerRecord) -> None:
    """Make the name of a running container's sandbox, if no other namespace has the name; idempotent.

    An existing link of that name into HAWSE_RUN was left by a killed command, and is replaced. Containers in host mode
    get no name, because it would be a name of the host's own namespace.
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
    """Remove the name of a container's sandbox; idempotent. A name that another program has made stays."""
    link, place = NETNS_DIRECTORY / record.name, ETC / record.name
    if recording.is_dry_run():
        return
    with suppress(OSError):
        if os.readlink(link) == _target(host, record):
            os.unlink(link)
    with suppress(OSError):
        for name, file in _files(host, record):
            if os.readlink(place / name) == file:
                os.unlink(place / name)
        place.rmdir()


def repair(host: Host, record: ContainerRecord) -> None:
    """Give a running container's sandbox its present name, and remove other names that an interrupted rename left."""
    with suppress(OSError):
        for name in os.listdir(NETNS_DIRECTORY):
            if name != record.name:
                remove(host, replace(record, name=name))
    add(host, record)


def _target(host: Host, record: ContainerRecord) -> str:
    return sandbox.path_of(host.run, record.sandbox_id)


def _link(path: Path, target: str, ours: str) -> bool:
    """Make a symbolic link; replace a link to a path that begins with ``ours``. Return whether the link exists now."""
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
    place, ours = ETC / record.name, f"{host.root}/containers/"
    try:
        os.mkdir(place, 0o755)
    except FileNotFoundError:
        ETC.mkdir(0o755, exist_ok=True)
        os.mkdir(place, 0o755)
    except FileExistsError:
        if not any(os.path.islink(place / name) and os.readlink(place / name).startswith(ours) for name in FILES):
            return
    for name, file in _files(host, record):
        _link(place / name, file, ours)


def _files(host: Host, record: ContainerRecord) -> Iterator[tuple[str, str]]:
    shown = etc_files.shown_paths(host, record)
    yield from ((name, shown[f"/etc/{name}"]) for name in FILES)
