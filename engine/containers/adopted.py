"""Use network namespaces that hawse did not create ("adopted namespaces") as if they were sandboxes of containers.

A reference names such a namespace:

- ``netns:NAME``: a namespace of ``ip netns``
- ``netns:/path``: any bind-mounted namespace; its default name is ``netns:`` and the last part of the path
- ``pid:N`` or ``netns:/proc/N/ns/net``: the namespace of a process; its default name is ``pid:N``

If a reference names the namespace of a container that hawse created, the reference means that container.

An adopted sandbox has a container record only while it is connected to a network. The record is created together with
the first endpoint and deleted together with the last endpoint.

hawse does not keep an adopted namespace alive. Other programs can delete the namespace. hawse detects the deletion by
the inode of the path: another inode means another namespace.

A reference may name a host's own network namespace, such as that of PID 1. hawse refuses such a namespace unless the
user gives --force, so that no host is changed by mistake.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from drivers.linux import host_namespace, netns, process
from drivers.linux.namespaces import is_namespace_file, open_namespace
from engine import names
from engine.agent.client import SOCKET as AGENT_SOCKET
from engine.containers import directory, namespace_files
from engine.containers.namespace_files import NETNS_DIRECTORY
from engine.errors import Conflict, Forbidden, InvalidArgument, NotFound, PermissionDenied, reason_of
from engine.golang import timestamps
from engine.golang.timestamps import to_seconds
from engine.host import Host, translate_driver_errors
from engine.model import Adoption, ContainerConfig, ContainerRecord, HostConfig, RestartPolicy
from engine.names import is_container_mode
from engine.resolv_conf import parse_resolv_conf
from engine.runtime.adopted_namespace import still_exists
from engine.runtime.process import LOST
from engine.runtime.supervisor import SOCKET as SUPERVISOR_SOCKET
from engine.store import locks
from engine.store.api import Reader, Taken, Transaction

NETNS_NAME = re.compile(r"[^/\0]{1,255}")
OF_PROCESS = re.compile(r"/proc/(\d+)/ns/net")


class NamespaceReference(Struct, frozen=True):
    """A network namespace that hawse did not create: its path, its inode, its process, and a name for its record.

    ``name`` is the default name of the namespace's container record. If the user named a process (``pid:N`` or
    ``netns:/proc/N/ns/net``), ``pid`` is N, and ``start`` is the process's start time in clock ticks since boot. For
    any other namespace, ``pid`` is 0, and ``start`` equals ``inode``.
    """

    name: str
    path: str
    inode: int
    pid: int
    start: int


@contextmanager
def held(run: Path, reference: str, *, force: bool) -> Iterator[NamespaceReference]:
    """Yield a network namespace that hawse did not create, and hold its lock inside the block.

    ``reference`` is ``netns:NAME``, ``netns:/path`` or ``pid:N``, and the lock is in the directory ``run``. Does not
    change the namespace. Raises Forbidden for a host's own network namespace, such as that of PID 1, unless ``force``
    is set.
    """
    name, path, pid = _parsed(reference)
    with _opened(path, reference) as namespace:
        signs = [] if force else _signs(namespace)
        if signs:
            raise Forbidden(
                f"{reference} is in a host's own network, and connecting it would change that host: "
                f"it shares {'; '.join(signs)}. Use --force to connect it all the same"
            )
        inode = os.fstat(namespace).st_ino
        start = process.start_time(pid) if pid else inode
        if not start:
            raise _missing(reference)
        with locked_namespace(run, inode):
            yield NamespaceReference(name, path, inode, pid, start)


def locked_namespace(run: Path, inode: int) -> AbstractContextManager[None]:
    """Return a context that holds the lock of the network namespace with the inode number ``inode``.

    The lock is named after the inode, so it also excludes commands that use another name for the same namespace. The
    lock is a file in the directory ``run``. It is not the namespace file itself, because any process in the namespace
    could lock that file.
    """
    return locks.locked(run, "netns", str(inode))


def record_of(
    known: ContainerRecord | None, container_id: str, namespace: NamespaceReference, requested: Adoption
) -> ContainerRecord:
    """Return a container record for connecting ``namespace``, which hawse did not create.

    ``known`` is the stored record of the namespace, or None. ``requested`` has the user's settings. The caller stores
    the result together with the first endpoint.

    - If ``known`` is running, the result is a copy of ``known``, brought up to date.
    - If ``known`` is not running, the result is a new record with the id ``container_id`` and the name of ``known``.
    - If ``known`` is None, the result is a new record with the id ``container_id``. Its name is the one that the user
      asks for, or else the namespace's default name.

    Raises Conflict if the user asks for another name than that of ``known``. Raises InvalidArgument if the name that
    the user asks for is invalid.
    """
    if requested.name:
        names.check_container_name(requested.name)
    if known is not None and requested.name not in ("", known.name):
        raise Conflict(f"{namespace.name} has the name {known.name} already (rename changes it)")
    if known is not None and known.status == "running":
        return _updated(known, namespace, requested)
    return ContainerRecord(
        id=container_id,
        name=known.name if known else requested.name or namespace.name,
        created=known.created if known else timestamps.now(),
        config=ContainerConfig(image=""),
        host=_settings(namespace, requested),
        kind="adopted",
        status="running",
        sandbox_id=names.generate_id(),
        sandbox_path=namespace.path,
        sandbox_inode=namespace.inode,
        pid=namespace.pid,
        pid_start=namespace.start,
        started_at=timestamps.now(),
    )


def _updated(known: ContainerRecord, namespace: NamespaceReference, requested: Adoption) -> ContainerRecord:
    """Return ``known`` with the inode of ``namespace``, and the restart policy that the user asks for, if any.

    If ``known`` has the path of ``namespace``, the result also has its pid and start time.
    """
    if requested.restart:
        policy = _policy(requested, of_process=is_of_process(known))
        known = replace(known, host=replace(known.host, restart_policy=policy))
    if known.sandbox_path == namespace.path:
        known = replace(known, pid=namespace.pid, pid_start=namespace.start)
    return replace(known, sandbox_inode=namespace.inode)


def record(tx: Transaction, container: ContainerRecord) -> None:
    """Store the record of an adopted namespace; raises Conflict if a container has the same name."""
    try:
        tx.put_container(container)
    except Taken as error:
        text = names.container_name_taken(container.name, error.holder)
        raise Conflict(f"{text} (or give the namespace another name with --name)") from error


def _settings(namespace: NamespaceReference, requested: Adoption) -> HostConfig:
    """Return the host configuration for an adopted namespace.

    Its DNS settings are those of the user's own resolv.conf for the namespace.
    """
    resolv_conf = parse_resolv_conf(namespace_files.user_text(namespace.path))
    return HostConfig(
        network_mode="none",
        restart_policy=_policy(requested, of_process=bool(namespace.pid)),
        dns=tuple(resolv_conf.servers),
        dns_search=tuple(resolv_conf.search),
        dns_options=tuple(resolv_conf.options),
    )


def _policy(requested: Adoption, *, of_process: bool) -> RestartPolicy:
    """Return the restart policy for an adopted namespace.

    The policy says whether hawse connects the namespace again after a boot. With ``of_process`` (a namespace given as
    ``pid:N``), it is "no". Otherwise it is the user's policy, by default "unless-stopped".
    """
    return RestartPolicy("no" if of_process else requested.restart or "unless-stopped")


def known_id(host: Host, namespace: NamespaceReference) -> str:
    """Return the id of the container record of ``namespace``, or "" if the namespace has no record.

    The record is found by the namespace's inode or path. Therefore, a renamed record is found too.
    """
    with host.store.read() as reader:
        records = _inside(reader, namespace.path, adopted=True) or _at(reader, namespace.path)
    return next((record.id for record in records), "")


def find(reader: Reader, reference: str) -> list[ContainerRecord]:
    """Return the container record of the namespace ``reference`` as a list; the list is empty if there is no record.

    ``reference`` is ``netns:...``, ``pid:N`` or a name of ``ip netns``. The record is found by the namespace's path.
    Therefore, a renamed record is found too. If no record has the path of ``netns:...`` or ``pid:N``, the running
    container that owns the namespace is found by the namespace's inode. This can be a container that hawse created:
    ``pid:N`` may name the container's process.
    """
    if not names.is_adoptable(reference):
        return _at(reader, str(NETNS_DIRECTORY / reference)) if NETNS_NAME.fullmatch(reference) else []
    try:
        path = _parsed(reference)[1]
    except (InvalidArgument, NotFound):
        return []
    return _at(reader, path) or _inside(reader, path)


def is_of_process(record: ContainerRecord) -> bool:
    """Return whether the user named a record's namespace by a process: ``pid:N`` or ``netns:/proc/N/ns/net``.

    hawse never connects such a namespace again, because another process may later get the same pid.
    """
    return record.kind == "adopted" and bool(OF_PROCESS.fullmatch(record.sandbox_path))


def reference_of(record: ContainerRecord) -> str:
    """Return a reference that opens the namespace of a record, even if the record was renamed."""
    return f"{names.ADOPTED}{record.sandbox_path}"


def _at(reader: Reader, path: str) -> list[ContainerRecord]:
    return [c for c in reader.containers(adopted=True) if c.sandbox_path == path][:1]


def _inside(reader: Reader, path: str, *, adopted: bool = False) -> list[ContainerRecord]:
    """Return the running container that owns the network namespace at ``path``, as a list of one record.

    The list is empty if there is no such container, or if ``path`` does not exist. With ``adopted``, only the records
    of adopted namespaces are searched.
    """
    try:
        inode = os.stat(path).st_ino
    except OSError:
        return []
    inside = [c for c in reader.containers(adopted=adopted) if (c.status, c.sandbox_inode) == ("running", inode)]
    return [c for c in inside if (still_exists(c) if c.kind == "adopted" else _has_own_namespace(c))][:1]


def _has_own_namespace(record: ContainerRecord) -> bool:
    return record.host.network_mode != "host" and not is_container_mode(record.host.network_mode)


def ended_at(record: ContainerRecord) -> float:
    """Estimate when an adopted namespace ended, in Unix seconds.

    The estimate may be too late. It is the last change of the directory that contained the namespace's name, such as
    /run/netns, because the deletion of the name changes the directory. In three cases, it is the present time:

    - The directory has not changed since the namespace was connected.
    - The directory does not exist.
    - The namespace is that of a process.
    """
    now = time.time()
    if record.pid:
        return now
    try:
        changed = os.stat(os.path.dirname(record.sandbox_path)).st_mtime
    except OSError:
        return now
    return changed if changed > to_seconds(record.started_at) else now


def is_waiting(record: ContainerRecord) -> bool:
    """Return whether an adopted namespace lost its networks at a boot and waits to be connected again.

    The result is False for all other containers.
    """
    return (
        record.kind == "adopted"
        and (record.status, record.exit_code) == ("exited", LOST)
        and record.host.restart_policy.name != "no"
        and bool(record.attachments)
    )


def remove_files(host: Host, container: ContainerRecord) -> None:
    """Remove hawse's files of an adopted namespace, and restore the user's own files; idempotent.

    The caller deletes the record after this call. If the caller is killed before the deletion, the next command still
    finds the record and finishes the removal.
    """
    namespace_files.restore(host, container)
    directory.remove(host, [container.id])


def forget_if_unused(host: Host, container_id: str) -> None:
    """Delete the record and the files of an adopted namespace, if it is on no network; idempotent.

    The caller holds the container lock.
    """
    with host.store.read() as reader:
        record = reader.container(container_id)
        used = bool(reader.endpoints(container_id=container_id))
    if record is None or record.kind != "adopted" or record.attachments or used:
        return
    remove_files(host, record)
    with host.store.write() as tx:
        tx.delete_container(container_id)


def locate(reference: str) -> tuple[str, int]:
    """Return the path and inode of the namespace that ``reference`` (``netns:...`` or ``pid:N``) names.

    Raises NotFound if the namespace does not exist. Raises InvalidArgument if the name is invalid, or if the file is
    not a network namespace.
    """
    _, path, _ = _parsed(reference)
    with _opened(path, reference) as namespace:
        return path, os.fstat(namespace).st_ino


def _parsed(reference: str) -> tuple[str, str, int]:
    """Return three parts of a reference to a namespace: the default name of its container, its path, and the pid.

    ``reference`` is ``netns:NAME``, ``netns:/path`` or ``pid:N``. The pid is 0 unless the reference names a process
    (``pid:N`` or ``netns:/proc/N/ns/net``). Nothing is checked in the kernel: the path may not exist. Raises NotFound
    for an invalid pid, and InvalidArgument for an invalid name.
    """
    kind, _, rest = reference.partition(":")
    of_process = OF_PROCESS.fullmatch(rest)
    if kind == "pid" or of_process:
        number = of_process[1] if of_process else rest
        if not (number.isascii() and number.isdecimal()):
            raise _missing(reference)
        pid = int(number)
        return f"pid:{pid}", f"/proc/{pid}/ns/net", pid
    if not NETNS_NAME.fullmatch(rest) and not rest.startswith("/"):
        raise InvalidArgument(f"invalid network namespace name: {rest}")
    folder, name = os.path.split(rest) if "/" in rest else (str(NETNS_DIRECTORY), rest)
    path = Path(os.path.realpath(folder), name)
    return f"{names.ADOPTED}{path.name}", str(path), 0


@contextmanager
def _opened(path: str, reference: str) -> Iterator[int]:
    """Open the network namespace at ``path`` and yield its file descriptor, which is closed after the block.

    ``reference`` is the text with which the user named the namespace, for error messages. Raises InvalidArgument if the
    file is not a network namespace, and NotFound if the file is missing. Raises PermissionDenied if this process has no
    right to open the file.
    """
    try:
        namespace = open_namespace(path) if is_namespace_file(os.stat(path)) else -1
    except PermissionError as error:
        needed = " (it needs CAP_SYS_PTRACE)" if OF_PROCESS.fullmatch(path) else ""
        raise PermissionDenied(f"{path}: {reason_of(error)}{needed}") from None
    except OSError:
        raise _missing(reference) from None
    try:
        if namespace < 0 or not netns.is_network_namespace(namespace):
            typed = reference.partition(":")[2]
            raise InvalidArgument(f"{typed if typed.startswith('/') else path} is not a network namespace")
        yield namespace
    finally:
        if namespace >= 0:
            os.close(namespace)


def hint(name: str) -> str:
    """Return a hint that `ip netns` has a namespace with the name ``name``, or "" without such a namespace.

    Used in the error text if no container has the name.
    """
    try:
        is_there = name in os.listdir(NETNS_DIRECTORY)
    except OSError:
        return ""
    return f"It is the name of a network namespace. To connect it, write {names.ADOPTED}{name}" if is_there else ""


def _missing(reference: str) -> NotFound:
    kind, _, rest = reference.partition(":")
    return NotFound(f"No such {'process' if kind == 'pid' else 'network namespace'}: {rest}")


def _signs(namespace: int) -> list[str]:
    with translate_driver_errors():
        return host_namespace.of(namespace, (AGENT_SOCKET, SUPERVISOR_SOCKET))
