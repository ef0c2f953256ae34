"""Anything can be a container: network namespaces that hawse did not make.

``netns:NAME`` is a namespace of ``ip netns``, ``netns:/path`` any bind-mounted one, ``pid:N`` that of a process. An
adopted sandbox has a record like a container's while it is connected to something; it is pinned by no one, so its
death is noticed, not prevented.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

from engine import names, owner, timestamps
from engine.errors import InvalidArgument, NotFound
from engine.host import Host
from engine.model import ContainerConfig, ContainerRecord, HostConfig

NETNS_DIRECTORY = Path("/run/netns")
NETNS_NAME = re.compile(r"[^/\0]{1,255}")


def is_adoptable(reference: str) -> bool:
    """Tell whether a container argument names a foreign namespace."""
    return reference.startswith(("netns:", "pid:"))


def adopt(host: Host, reference: str) -> str:
    """Give a foreign namespace a record, once; the record's id."""
    path, pid, ticks = _locate(reference)
    name = reference.replace("/", "_") if "/" in reference else reference
    with host.store.write() as tx:
        for known in tx.find_containers(name):
            if known.name == name:
                tx.put_container(_renewed(known, path, pid, ticks))
                return known.id
        record = ContainerRecord(
            id=names.generate_id(),
            name=name,
            created=timestamps.now(),
            config=ContainerConfig(image=""),
            host=HostConfig(network_mode="none"),
            kind="adopted",
            status="running",
            sandbox_id=names.generate_id(),
            sandbox_path=path,
            pid=pid,
            pid_start=ticks,
            started_at=timestamps.now(),
        )
        tx.put_container(record)
        return record.id


def _renewed(known: ContainerRecord, path: str, pid: int, ticks: int) -> ContainerRecord:
    return replace(known, sandbox_path=path, pid=pid, pid_start=ticks, status="running")


def _locate(reference: str) -> tuple[str, int, int]:
    """The namespace's path, and for ``pid:`` the process with its start time; a named one has the inode instead."""
    kind, _, rest = reference.partition(":")
    if kind == "pid":
        if not rest.isdigit() or not (ticks := owner.start_ticks(int(rest))):
            raise NotFound(f"No such process: {rest}")
        return f"/proc/{rest}/ns/net", int(rest), ticks
    if not NETNS_NAME.fullmatch(rest) and not rest.startswith("/"):
        raise InvalidArgument(f"invalid network namespace name: {rest}")
    path = rest if rest.startswith("/") else str(NETNS_DIRECTORY / rest)
    try:
        if os.stat(path).st_dev != os.stat("/proc/self/ns/net").st_dev:
            raise InvalidArgument(f"{path} is not a network namespace")
        return path, 0, os.stat(path).st_ino
    except OSError:
        raise NotFound(f"No such network namespace: {rest}") from None


def is_there(record: ContainerRecord) -> bool:
    """Tell whether an adopted namespace still is the one that was adopted."""
    if record.pid:
        return owner.is_process(record.pid, record.pid_start)
    try:
        return os.stat(record.sandbox_path).st_ino == record.pid_start
    except OSError:
        return False


def let_go_if_unused(host: Host, container_id: str) -> None:
    """Forget an adopted namespace that is connected to nothing any more."""
    with host.store.write() as tx:
        if not tx.endpoints(container_id=container_id):
            tx.delete_container(container_id)
