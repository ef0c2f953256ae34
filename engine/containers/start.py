"""Starting a container: reserve everything, make the namespaces, plumb, then let the command run.

One intent spans the whole of it. Whatever fails, or whoever is killed in between, `undo` takes back what there is; the
container's configuration is never touched by a failed start.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from engine import endpoints, intents, links, names, networks, sandbox, sandbox_files, timestamps
from engine.cluster import gateway_bridge, overlay
from engine.containers import lookup, ports, release
from engine.containers.process import process_spec
from engine.errors import EngineError, Forbidden, InterfaceFailure, KernelFailure, NotFound, StartFailure
from engine.host import Host
from engine.model import ContainerRecord, EndpointRecord, NetworkAttachment, NetworkRecord
from engine.names_service import announce
from engine.runtime import failure, process
from engine.runtime.api import Created as CreatedProcess
from engine.runtime.api import RuntimeFailure
from engine.sandbox import Membership
from engine.store.api import Reader, Transaction
from engine.validate.connection import check_not_config_only
from engine.validate.modes import is_container_mode, is_user_defined, shared_container

START = "container-start"
EXIT_CODES = {"not-found": 127, "permission": 126}
UNKNOWN_EXIT = 128


@dataclass(frozen=True, slots=True)
class Reserved:
    """What a start holds before the kernel is touched."""

    record: ContainerRecord
    members: Sequence[Membership]


def begin_anew(host: Host, container_id: str) -> None:
    """Forget how often the policy has restarted it: a person starts it now."""
    with host.store.write() as tx:
        record = lookup.find(tx, container_id)
        if record.restart_count:
            tx.put_container(replace(record, restart_count=0))


def start(host: Host, container_id: str) -> None:
    """Start a container whose lock the caller holds; no effect on one that runs."""
    with host.store.read() as reader:
        record = lookup.observed(host, lookup.find(reader, container_id))
    if record.status == "running":
        return
    if record.status in ("exited", "restarting") and record.pid == 0:
        release.release_endpoints(host, record, alive=False)
    try:
        _start(host, record)
    except EngineError as error:
        _remember_failure(host, record, error)
        raise


def _start(host: Host, record: ContainerRecord) -> None:
    record, netns = _with_namespace(host, record)
    joined = _networks_of(host, record)
    bridge = gateway_bridge.prepared(host, joined)
    with overlay.reserving(host, record, joined) as granted:
        for network in joined:
            networks.ensure(host, network.id)
        with host.store.write() as tx:
            reserved = _reserve(tx, host, record, granted, bridge)
            intents.begin(tx, START, record.id)
    with intents.undone(host, START, record.id, undo):
        live = _plumb(host, reserved, netns)
        _run(host, live)
    with host.store.write() as tx:
        tx.put_container(live.record)
        intents.end(tx, START, record.id)


def _with_namespace(host: Host, record: ContainerRecord) -> tuple[ContainerRecord, str]:
    """Say which network namespace to use, as ProcessSpec has it; who joins another's gets that one's host name too."""
    mode = record.host.network_mode
    if mode == "host":
        return record, "host"
    if not is_container_mode(mode):
        return record, ""
    other = lookup.observed(host, lookup.resolve(host, shared_container(mode)))
    lookup.check_not_restarting(other)
    if other.status != "running":
        raise Forbidden(f"cannot join network of a non running container: {other.id}")
    config = replace(record.config, hostname=other.config.hostname, domainname=other.config.domainname)
    return replace(record, config=config), other.sandbox_path


def _networks_of(host: Host, record: ContainerRecord) -> list[NetworkRecord]:
    if is_container_mode(record.host.network_mode):
        return []
    for attachment in record.attachments:
        overlay.learn(host, attachment.network_id or attachment.network)
    with host.store.read() as reader:
        found = [_network(reader, a) for a in record.attachments]
        for network in found:
            check_not_config_only(network)
        if found:
            _check_main_network(reader, record.host.network_mode)
        return found


def _check_main_network(reader: Reader, mode: str) -> None:
    """Refuse where the network that the container was created for has gone, even if it has been disconnected since."""
    if is_user_defined(mode) and not reader.find_networks(mode):
        raise NotFound(f"could not find a network matching network mode {mode}: network {mode} not found")


def _network(reader: Reader, attachment: NetworkAttachment) -> NetworkRecord:
    try:
        return networks.find(reader, attachment.network_id or attachment.network)
    except NotFound:
        wanted = attachment.network_id or attachment.network
        raise NotFound(f"network {wanted} not found") from None


def _reserve(
    tx: Transaction,
    host: Host,
    record: ContainerRecord,
    granted: Mapping[str, EndpointRecord],
    bridge: NetworkRecord | None,
) -> Reserved:
    """Record endpoints on all networks: ``granted`` by the cluster for some, ``bridge`` for the way out of overlays."""
    attachments = _resolved(tx, record)
    record = replace(
        record,
        attachments=attachments,
        host=replace(record.host, network_mode=_whole_mode(tx, record)),
        sandbox_id=names.generate_id(),
        next_interface=0,
        error="",
        stopped_by_user=False,
    )
    by_id = {a.network_id: a for a in attachments if a.network_id}
    found = {i: n for i in by_id if (n := tx.network(i)) is not None}
    members = [
        Membership(n, granted.get(n.id) or endpoints.reserve(tx, n, record, by_id[n.id]))
        for n in sandbox.joining_order(found.values())
    ]
    if bridge is not None:
        members.append(gateway_bridge.reserve(tx, record, bridge))
    publisher = ports.holder(host, record, members)
    for index, member in enumerate(members):
        if member is publisher:
            chosen = ports.allocate(tx, host, record, member, ports.wanted(record))
            members[index] = replace(member, endpoint=replace(member.endpoint, ports=chosen))
        ports.record_ports(tx, record, members[index].endpoint)
    tx.put_container(record)
    return Reserved(record, members)


def _resolved(tx: Transaction, record: ContainerRecord) -> list[NetworkAttachment]:
    """The attachments with their networks' present names and ids."""
    if is_container_mode(record.host.network_mode):
        return list(record.attachments)
    pairs = [(a, _network(tx, a)) for a in record.attachments]
    return [replace(a, network=n.name, network_id=n.id) for a, n in pairs]


def _whole_mode(reader: Reader, record: ContainerRecord) -> str:
    """The network mode; where it is a part of a network's id, the whole of it."""
    mode = record.host.network_mode
    if not (is_user_defined(mode) and record.attachments):
        return mode
    found = next(iter(reader.find_networks(mode)), None)
    return found.id if found and mode not in (found.id, found.name) else mode


def _plumb(host: Host, reserved: Reserved, netns: str) -> Reserved:
    record = reserved.record
    sandbox_files.write(host, record, reserved.members)
    created = _create_process(host, record, netns)
    record = replace(
        record,
        pid=created.pid,
        pid_start=created.pid_start,
        sandbox_path=sandbox.open_path(host.run, record.sandbox_id, created.netns),
        sandbox_inode=sandbox.inode_of(created.netns),
        next_interface=sum(m.network.driver != "null" for m in reserved.members),
        status="running",
        exit_code=0,
        started_at=timestamps.now(),
    )
    try:
        members = [replace(m, endpoint=_join(host, record, m, n)) for n, m in enumerate(reserved.members)]
        sandbox.admit_siblings(host, members)
    except EngineError:
        if not process.is_alive(created.pid, created.pid_start) or not os.path.exists(created.netns):
            _with_process(host, record)  # because its failure, which took the namespace away, is the cause to report
        raise
    record = _with_process(host, record)
    if members and netns != "host":
        sandbox.route(record, members)
    elif not netns:
        sandbox.raise_loopback(record)
    for member in members:
        sandbox.publish(host, record, member, member.endpoint.ports)
        links.open_links(host, record, member)
    sandbox_files.follow_links(host, record)
    with host.store.write() as tx:
        for member in members:
            tx.put_endpoint(member.endpoint)
        tx.put_container(_not_yet_running(record, reserved.record))
    return Reserved(record, members)


def _with_process(host: Host, record: ContainerRecord) -> ContainerRecord:
    """The record with the process that will execute the command, whose namespace the sandbox is from now on."""
    try:
        prepared = host.runtime.prepared(record.id)
    except RuntimeFailure as error:
        raise _start_failure(error) from error
    path = sandbox.open_path(host.run, record.sandbox_id, prepared.netns)
    return replace(record, pid=prepared.pid, pid_start=prepared.pid_start, sandbox_path=path)


def _join(host: Host, record: ContainerRecord, member: Membership, index: int) -> EndpointRecord:
    """Plumb one endpoint; an interface that cannot be is told as the failed start of a process, as Docker does."""
    try:
        return replace(sandbox.join(host, record, member, index), phase="live")
    except InterfaceFailure as error:
        raise KernelFailure(failure.in_hook(str(error))) from error


def _not_yet_running(plumbed: ContainerRecord, before: ContainerRecord) -> ContainerRecord:
    """The record while the command has not been executed: its process is known, its state is still what it was."""
    return replace(
        plumbed,
        status=before.status,
        exit_code=before.exit_code,
        started_at=before.started_at,
    )


def _create_process(host: Host, record: ContainerRecord, netns: str) -> CreatedProcess:
    try:
        return host.runtime.create(process_spec(host, record, netns))
    except RuntimeFailure as error:
        raise _start_failure(error) from error


def _run(host: Host, live: Reserved) -> None:
    announce(host, [m.network for m in live.members])
    try:
        host.runtime.start(live.record.id)
    except RuntimeFailure as error:
        raise _start_failure(error) from error


def _start_failure(error: RuntimeFailure) -> EngineError:
    code = EXIT_CODES.get(error.kind)
    return StartFailure(str(error), code) if code else KernelFailure(str(error))


def _past_path(host: Host, record: ContainerRecord) -> str:
    """Where the sandbox was, or would have been: Docker keeps telling it after a failure."""
    return sandbox.path_of(host.run, record.sandbox_id) if record.sandbox_id else ""


def undo(host: Host, container_id: str) -> None:
    """Take back whatever a start has done so far; idempotent, and needs neither process nor namespace alive."""
    with host.store.read() as reader:
        record = reader.container(container_id)
    if record is None:
        return
    try:
        release.release_endpoints(host, record, alive=False)
    finally:
        host.runtime.delete(container_id)
        release.close_sandbox(record)
        with host.store.write() as tx:
            tx.put_container(replace(record, pid=0, pid_start=0, sandbox_path=_past_path(host, record)))
    announce(host)


def _remember_failure(host: Host, before: ContainerRecord, error: EngineError) -> None:
    """Note why it did not start; the last run's exit code stays where the command itself was not at fault."""
    code = error.exit_code if isinstance(error, StartFailure) else before.exit_code or UNKNOWN_EXIT
    with host.store.write() as tx:
        record = tx.container(before.id)
        if record is not None:
            status = "exited" if record.status == "restarting" else record.status  # a policy tries no second time
            tx.put_container(replace(record, status=status, exit_code=code, error=str(error)))
