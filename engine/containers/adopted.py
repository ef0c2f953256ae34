"""Use network namespaces that hawse did not create as if they were containers ("adopted" sandboxes).

``netns:NAME`` is a namespace of ``ip netns``. ``netns:/path`` is any bind-mounted namespace. ``pid:N`` is the namespace
of a process.

An adopted sandbox has a container record only while it is connected to a network. The record is created together with
the first endpoint and deleted together with the last endpoint.

hawse does not keep an adopted namespace alive. Other programs can delete the namespace, and hawse detects this by the
inode of the path: another inode means another namespace. A network namespace may belong to a host and not to a
container, such as that of PID 1. hawse refuses such a namespace unless the user gives --force, so that no host is
changed by mistake.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from drivers.linux import host_namespace, netns, process
from engine import names
from engine.agent.client import SOCKET as AGENT_SOCKET
from engine.dispatch import translate_driver_errors
from engine.errors import Conflict, Forbidden, InvalidArgument, NotFound
from engine.golang import timestamps
from engine.golang.timestamps import to_seconds
from engine.host import Host
from engine.model import ContainerConfig, ContainerRecord, HostConfig
from engine.runtime.supervisor import SOCKET as SUPERVISOR_SOCKET
from engine.store import locks
from engine.store.api import Reader, Transaction

NETNS_DIRECTORY = Path("/run/netns")
NAMED = "netns:"
NETNS_NAME = re.compile(r"[^/\0]{1,255}")


@dataclass(frozen=True, slots=True)
class NamespaceReference:
    """A network namespace that hawse did not create: its name, its path, and the values that identify the namespace.

    For ``pid:N``, ``start`` is the start time of the process. For a named namespace, ``start`` is the inode.
    """

    name: str
    path: str
    inode: int
    pid: int
    start: int


def is_adoptable(reference: str) -> bool:
    """Return whether a container argument names a network namespace that hawse did not create (``netns:`` or
    ``pid:``).
    """
    return reference.startswith(("netns:", "pid:"))


@contextmanager
def held(reference: str, *, force: bool) -> Iterator[NamespaceReference]:
    """Find a network namespace that hawse did not create, and hold a lock on the namespace inside the block.

    The lock is on the namespace file itself, so the lock also excludes commands that use another name for the same
    namespace. Does not change the namespace. Unless ``force`` is set, raises Forbidden for a network namespace that
    belongs to a host and not to a container, such as that of PID 1.
    """
    path, pid = _path(reference)
    name = reference.replace("/", "_") if "/" in reference else reference
    with _opened(path, reference) as namespace:
        signs = [] if force else _signs(namespace)
        if signs:
            raise Forbidden(
                f"{reference} is in a host's own network, which a network joined there would change: "
                f"it shares {'; '.join(signs)}. Use --force to connect it all the same"
            )
        inode = os.fstat(namespace).st_ino
        start = process.start_time(pid) if pid else inode
        if not start:
            raise _missing(reference)
        locks.lock_open_file(namespace, name)
        yield NamespaceReference(name, path, inode, pid, start)


def record_of(known: ContainerRecord | None, container_id: str, place: NamespaceReference) -> ContainerRecord:
    """Return a container record for connecting a network namespace that hawse did not create.

    ``known`` is the stored record with the same name, or None. If the status of ``known`` is "running", a copy of
    ``known`` with the new path is returned. If not, a new record is made. The caller stores the returned record
    together with the first endpoint. Raises Conflict if ``known`` belongs to another namespace.
    """
    if known is not None and known.status == "running":
        if known.sandbox_inode not in (0, place.inode):
            raise Conflict(f"the name {place.name} is in use for another network namespace, {known.sandbox_path}")
        return replace(known, sandbox_path=place.path, sandbox_inode=place.inode, pid=place.pid, pid_start=place.start)
    return ContainerRecord(
        id=container_id,
        name=known.name if known else place.name,
        created=known.created if known else timestamps.now(),
        config=ContainerConfig(image=""),
        host=HostConfig(network_mode="none"),
        kind="adopted",
        status="running",
        sandbox_id=names.generate_id(),
        sandbox_path=place.path,
        sandbox_inode=place.inode,
        pid=place.pid,
        pid_start=place.start,
        started_at=timestamps.now(),
    )


def known_id(host: Host, place: NamespaceReference) -> str:
    """Return the id of the container record of this namespace, which may have been renamed; "" if there is none."""
    with host.store.read() as reader:
        named = (c.id for c in reader.find_containers(place.name) if c.name == place.name)
        return next(named, "") or next((c.id for c in _at(reader, place.path)), "")


def find(reader: Reader, reference: str) -> list[ContainerRecord]:
    """Return the container record of a namespace given as ``netns:`` or ``pid:``, even if the record has another name.

    The list is empty for any other reference, and if there is no record.
    """
    if not is_adoptable(reference):
        return []
    try:
        return _at(reader, _path(reference)[0])
    except (InvalidArgument, NotFound):
        return []


def _at(reader: Reader, path: str) -> list[ContainerRecord]:
    return [c for c in reader.containers() if c.kind == "adopted" and c.sandbox_path == path][:1]


def ended_at(record: ContainerRecord) -> float:
    """Return the Unix time in seconds at which an adopted namespace ended, as far as hawse can know.

    Deleting the file of a namespace changes the time of its directory. For a process, the result is the present time.
    """
    now = time.time()
    if record.pid:
        return now
    try:
        changed = os.stat(os.path.dirname(record.sandbox_path)).st_mtime
    except OSError:
        return now
    return changed if changed > to_seconds(record.started_at) else now


def still_exists(record: ContainerRecord) -> bool:
    """Return whether the path of an adopted namespace still opens the namespace for which the container record was
    made.
    """
    if record.pid and not process.is_running(record.pid, record.pid_start):
        return False
    inode = record.sandbox_inode or (0 if record.pid else record.pid_start)
    try:
        return inode in (0, os.stat(record.sandbox_path).st_ino)
    except OSError:
        return False


def is_waiting(record: ContainerRecord) -> bool:
    """Return whether a container is an adopted namespace that left its networks in a boot, and has a name to come back
    by.
    """
    return (
        record.kind == "adopted"
        and record.status == "exited"
        and record.name.startswith(NAMED)
        and bool(record.attachments)
    )


def forget_if_unused(host: Host, container_id: str) -> None:
    """Delete the record of an adopted namespace that is connected to no network; idempotent.

    The caller holds the container lock.
    """
    with host.store.write() as tx:
        forget_record_if_unused(tx, container_id)


def forget_record_if_unused(tx: Transaction, container_id: str) -> None:
    """Delete the container record of an adopted namespace that is connected to no network."""
    record = tx.container(container_id)
    is_adopted = record is not None and record.kind == "adopted" and not record.attachments
    if is_adopted and not tx.endpoints(container_id=container_id):
        tx.delete_container(container_id)


def locate(reference: str) -> tuple[str, int]:
    """Return the path and the inode of a namespace given as ``netns:`` or ``pid:``; raises NotFound without it."""
    path, _ = _path(reference)
    with _opened(path, reference) as namespace:
        return path, os.fstat(namespace).st_ino


def _path(reference: str) -> tuple[str, int]:
    """Return the path of the file that opens the namespace, and the pid N of the reference ``pid:N``. For any other
    reference, the pid is 0.
    """
    kind, _, rest = reference.partition(":")
    if kind == "pid":
        if not rest.isdecimal():
            raise _missing(reference)
        return f"/proc/{int(rest)}/ns/net", int(rest)
    if not NETNS_NAME.fullmatch(rest) and not rest.startswith("/"):
        raise InvalidArgument(f"invalid network namespace name: {rest}")
    return rest if rest.startswith("/") else str(NETNS_DIRECTORY / rest), 0


@contextmanager
def _opened(path: str, reference: str) -> Iterator[int]:
    """Open a network namespace and yield its file descriptor, which is closed after the block.

    The file is checked with stat before it is opened, because opening a device or a FIFO may have side effects. Raises
    InvalidArgument if the file is not a network namespace, and NotFound if the file is missing.
    """
    try:
        is_namespace = os.stat(path).st_dev == os.stat("/proc/thread-self/ns/net").st_dev
        namespace = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if is_namespace else -1
    except OSError:
        raise _missing(reference) from None
    try:
        if namespace < 0 or not netns.is_network_namespace(namespace):
            raise InvalidArgument(f"{path} is not a network namespace")
        yield namespace
    finally:
        if namespace >= 0:
            os.close(namespace)


def _missing(reference: str) -> NotFound:
    kind, _, rest = reference.partition(":")
    return NotFound(f"No such {'process' if kind == 'pid' else 'network namespace'}: {rest}")


def _signs(namespace: int) -> list[str]:
    with translate_driver_errors():
        return host_namespace.of(namespace, (AGENT_SOCKET, SUPERVISOR_SOCKET))
