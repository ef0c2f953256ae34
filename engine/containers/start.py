"""Start a container: reserve its endpoints, create the namespaces, set up the network, then execute the container's
command.

One intent covers the whole start. If a step fails, or hawse is killed, the finished steps are undone
(`engine.containers.start_failure`). A failed start does not change what the user configured.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from drivers.linux import process, recording
from engine import names
from engine.agent.client import announce
from engine.cluster import hooks
from engine.containers import etc_files, explained, finalize, gateway_bridge, lookup, port_assignment, sandbox_links
from engine.containers.process_spec import process_spec
from engine.containers.remove import remove
from engine.containers.start_failure import record_failure, rollback, start_failure
from engine.endpoints import links, reservation, sandbox
from engine.endpoints.sandbox import JoinedEndpoint
from engine.errors import Conflict, EngineError, Forbidden, InterfaceFailure, KernelFailure, NotFound
from engine.events import record as events
from engine.golang import timestamps
from engine.host import (
    Host,
    begin_intent,
    end_intent,
    marked_repeatable,
    retried_after_ends,
    rollback_on_error,
    translate_failures,
)
from engine.model import ContainerRecord, EndpointRecord, NetworkAttachment, NetworkRecord
from engine.names import is_container_mode, is_user_defined, shared_container
from engine.networks import activate
from engine.networks.predefined import NO_BRIDGE
from engine.runtime import errors
from engine.runtime.api import CreatedProcess, RuntimeFailure
from engine.store.api import IntentKind, Reader, Transaction
from engine.store.locks import locked
from engine.validate.container import HOST_GATEWAY
from engine.validate.endpoint import check_not_config_only


class Reserved(Struct, frozen=True):
    """A container's record and endpoints, which are reserved in the store before a start changes the kernel."""

    record: ContainerRecord
    members: Sequence[JoinedEndpoint]


def reset_restart_count(host: Host, container_id: str) -> None:
    """Reset the count of automatic restarts, because a user starts the container now."""
    with host.store.write() as tx:
        record = lookup.find(tx, container_id)
        if record.restart_count:
            tx.put_container(replace(record, restart_count=0))


def start(host: Host, container_id: str) -> None:
    """Start a container; no effect if the container is running. The caller holds the container lock."""
    with host.store.read() as reader:
        record = lookup.with_actual_state(host, lookup.find(reader, container_id))
    if record.status == "running":
        return
    if record.status in ("exited", "restarting") and record.pid == 0:
        reservation.release_endpoints(host, record)
    if record.status == "restarting" and record.pid == 0:
        # Kill the processes of the last run, which may still exist. hawse treats a new network namespace of the host
        # like a boot (`boot_identity`), but processes survive this change.
        host.runtime.delete(record.id)
    try:
        with translate_failures(host.places):
            _start(host, record)
    except EngineError as error:
        record_failure(host, record, error)
        raise


def _start(host: Host, record: ContainerRecord) -> None:
    record, netns = _with_namespace(host, record)
    with marked_repeatable():
        reserved = reserve_networks(host, record)
    with rollback_on_error(host, IntentKind.CONTAINER_START, record.id, rollback):
        live = _plumb(host, reserved, netns)
        _run(host, live)
        with host.store.write() as tx:
            tx.put_container(live.record)
            events.container(tx, live.record, "start")
            end_intent(tx, IntentKind.CONTAINER_START, record.id)
            end_intent(tx, IntentKind.CONTAINER_RESTART, record.id)


def reserve_networks(host: Host, record: ContainerRecord) -> Reserved:
    """Reserve the endpoints of a container that starts, and record an intent for the start.

    Before this, each network that exists only in the store is created in the kernel.
    """
    joined = _networks_of(host, record)
    _prepare_host_gateway(host, record)
    bridge = gateway_bridge.active_bridge(host) if hooks.needs_gateway(joined) else None
    with hooks.reserve_endpoints(host, record, joined) as granted:
        for network in joined:
            activate.activate(host, network.id)
        with host.store.write() as tx:
            reserved = _reserve(tx, host, record, granted, bridge)
            begin_intent(tx, IntentKind.CONTAINER_START, record.id)
    return reserved


def _with_namespace(host: Host, record: ContainerRecord) -> tuple[ContainerRecord, str]:
    """Return the container's record, and the network namespace for the container's process.

    - In host mode, the namespace is "host".
    - In the mode ``container:NAME``, the namespace is the path of the sandbox of NAME. The record gets the sandbox's
      inode. It also gets the host name and domain name of NAME, unless NAME is an adopted namespace.
    - In any other mode, the namespace is "", which means a new namespace.

    Raises Conflict if NAME waits for a restart, Forbidden if NAME is not running, and EngineError if a container would
    join itself.
    """
    mode = record.host.network_mode
    if mode == "host":
        return record, "host"
    if not is_container_mode(mode):
        return record, ""
    other = lookup.with_actual_state(host, lookup.resolve(host, shared_container(mode)))
    if other.id == record.id:
        raise EngineError("cannot join own network")
    lookup.check_not_restarting(other)
    if other.status != "running":
        raise Forbidden(f"cannot join network of a non running container: {other.id}")
    record = replace(record, sandbox_inode=other.sandbox_inode)
    if other.kind == "adopted":
        return record, other.sandbox_path
    config = replace(record.config, hostname=other.config.hostname, domainname=other.config.domainname)
    return replace(record, config=config), other.sandbox_path


def _networks_of(host: Host, record: ContainerRecord) -> list[NetworkRecord]:
    if is_container_mode(record.host.network_mode):
        return []
    attachments = [a for a in record.attachments if not _is_without_bridge(host, a)]
    for attachment in attachments:
        hooks.import_network(host, attachment.network_id or attachment.network)
    with host.store.read() as reader:
        networks = [_network(reader, a) for a in attachments]
        for network in networks:
            check_not_config_only(network)
        if networks:
            _check_main_network(reader, record.host.network_mode)
        return networks


def _prepare_host_gateway(host: Host, record: ContainerRecord) -> None:
    """Create the default bridge in the kernel if ``--add-host x:host-gateway`` needs the bridge's address.

    Does nothing if daemon.json names another address for ``host-gateway``. Raises EngineError if the address is needed,
    but daemon.json disables the default bridge or the store has no record of it.
    """
    named = any(entry.endswith(f":{HOST_GATEWAY}") for entry in record.host.extra_hosts or ())
    if not named or host.config.host_gateway_ip:
        return
    with host.store.read() as reader:
        bridges = reader.find_networks("bridge")
    if host.config.bridge == NO_BRIDGE or not bridges:
        raise EngineError(f"unable to derive the IP value for {HOST_GATEWAY}")
    activate.activate(host, bridges[0].id)


def _is_without_bridge(host: Host, attachment: NetworkAttachment) -> bool:
    """Return whether the attachment is to the default bridge, and daemon.json disables the default bridge."""
    return attachment.network == "bridge" and host.config.bridge == NO_BRIDGE


def _check_main_network(reader: Reader, mode: str) -> None:
    """Check that the network which the container's network mode names still exists; raises NotFound if it does not.

    As in Docker, this is an error even if the container was disconnected from the network after its creation.
    """
    if is_user_defined(mode) and not reader.find_networks(mode):
        raise NotFound(f"could not find a network matching network mode {mode}: network {mode} not found")


def _network(reader: Reader, attachment: NetworkAttachment) -> NetworkRecord:
    reference = attachment.network_id or attachment.network
    return names.pick_network(reader.find_networks(reference), reference)


def _reserve(
    tx: Transaction,
    host: Host,
    record: ContainerRecord,
    granted: Mapping[str, EndpointRecord],
    bridge: NetworkRecord | None,
) -> Reserved:
    """Record the container's endpoints on all networks, and choose the container's host ports.

    ``granted`` has the endpoints for which the cluster has already reserved addresses, by network id. ``bridge`` is the
    gateway bridge, or None if the container does not need the gateway bridge.
    """
    record = _prepared(tx, host, record)
    by_id = {a.network_id: a for a in record.attachments if a.network_id}
    networks = {i: n for i in by_id if (n := tx.network(i)) is not None}
    former = reservation.take_former(tx, record.id)
    members = [
        JoinedEndpoint(n, granted.get(n.id) or reservation.reserve(tx, n, record, by_id[n.id], former.get(n.id)))
        for n in sandbox.joining_order(networks.values())
    ]
    if bridge is not None:
        members.append(gateway_bridge.reserve(tx, record, bridge, former.get(bridge.id)))
    publisher = port_assignment.holder(host, record, members)
    for index, member in enumerate(members):
        if member is publisher:
            chosen = port_assignment.allocate(tx, host, record, member, port_assignment.requested_ports(record))
            members[index] = member.with_ports(chosen)
        port_assignment.record_ports(tx, record, members[index].endpoint)
    tx.put_container(record)
    return Reserved(record, members)


def _prepared(tx: Transaction, host: Host, record: ContainerRecord) -> ContainerRecord:
    """Return the container's record for a new run, with current networks and a new sandbox id.

    Error, OOM flag and interface numbers of the last run are reset. So are the marks that the user stopped the
    container, and that a privileged command was run in it.
    """
    return replace(
        record,
        attachments=tuple(_resolved(tx, host, record)),
        host=replace(record.host, network_mode=_whole_mode(tx, record), links=lookup.find(tx, record.id).host.links),
        sandbox_id=names.generate_id(),
        next_interfaces={},
        next_interface=0,
        error="",
        oom_killed=False,
        stopped_by_user=False,
        administered=False,
    )


def _resolved(tx: Transaction, host: Host, record: ContainerRecord) -> list[NetworkAttachment]:
    """Return the container's configuration for each network, with the current names and ids of the networks.

    If a network does not exist, its configuration has the network id "".
    """
    if is_container_mode(record.host.network_mode):
        return list(record.attachments)
    pairs = [(a, None if _is_without_bridge(host, a) else _network(tx, a)) for a in record.attachments]
    return [replace(a, network=n.name, network_id=n.id) if n else replace(a, network_id="") for a, n in pairs]


def _whole_mode(reader: Reader, record: ContainerRecord) -> str:
    """Return the container's network mode. If the mode is a prefix of a network's id, return the full id."""
    mode = record.host.network_mode
    if not (is_user_defined(mode) and record.attachments):
        return mode
    network = names.only_network(reader.find_networks(mode))
    return network.id if network and mode not in (network.id, network.name) else mode


def _plumb(host: Host, reserved: Reserved, netns: str) -> Reserved:
    record = reserved.record
    etc_files.write(host, record, reserved.members)
    created = _create_process(host, record, netns)
    record = _with_created(host, reserved, created)
    if not netns and recording.is_recording():
        explained.new_namespace(record)
    try:
        members = join_all(host, record, reserved.members)
    except EngineError:
        if not process.is_running(created.pid, created.pid_start) or not os.path.exists(created.netns):
            _with_process(host, record)  # raises the error of the container's process, which caused this failure
        raise
    record = _with_process(host, record)
    if members and netns != "host":
        sandbox.route(record, members)
    elif not netns:
        sandbox.raise_loopback(record)
    for member in members:
        sandbox.publish(host, record, member, member.endpoint.ports)
        links.open_links(host, record, member)
    etc_files.follow_links(host, record)
    with host.store.write() as tx:
        for member in members:
            reservation.record_joined(tx, record, member)
        tx.put_container(_not_yet_running(record, reserved.record))
    sandbox_links.add(host, record)
    return Reserved(record, members)


def _with_created(host: Host, reserved: Reserved, created: CreatedProcess) -> ContainerRecord:
    """Return the container's record with its new process and sandbox, and make the link to the sandbox's namespace."""
    return replace(
        reserved.record,
        pid=created.pid,
        pid_start=created.pid_start,
        sandbox_path=sandbox_links.open_path(host.run, reserved.record.sandbox_id, created.netns),
        sandbox_inode=sandbox_links.inode_of(created.netns),
        next_interfaces=names.count_interfaces({}, *(m.network for m in reserved.members)),
        status="running",
        exit_code=0,
        started_at=timestamps.now(),
    )


def _with_process(host: Host, record: ContainerRecord) -> ContainerRecord:
    """Wait until the container's process is ready to execute the command; return the record with pid and namespace."""
    try:
        prepared = host.runtime.prepared(record.id)
    except RuntimeFailure as error:
        raise start_failure(error) from error
    path = sandbox_links.open_path(host.run, record.sandbox_id, prepared.netns)
    if record.host.network_mode == "host":
        sandbox_links.open_host_path(host.run, prepared.netns)
    return replace(record, pid=prepared.pid, pid_start=prepared.pid_start, sandbox_path=path)


def join_all(host: Host, record: ContainerRecord, reserved: Sequence[JoinedEndpoint]) -> list[JoinedEndpoint]:
    """Create all reserved endpoints in the sandbox; return them with their new records."""
    networks = [m.network for m in reserved]
    members = [
        replace(m, endpoint=_join(host, record, m, names.count_interfaces({}, *networks[:n])))
        for n, m in enumerate(reserved)
    ]
    sandbox.admit_siblings(host, members)
    return members


def _join(host: Host, record: ContainerRecord, member: JoinedEndpoint, numbers: Mapping[str, int]) -> EndpointRecord:
    """Create one endpoint in the sandbox and return its record, with phase "live".

    ``numbers`` has the form of `names.interface_numbers`. If the interface cannot be created, raises KernelFailure with
    Docker's error text for a failed process start.
    """
    try:
        return replace(sandbox.join(host, record, member, numbers), phase="live")
    except InterfaceFailure as error:
        raise KernelFailure(errors.hook_error(str(error))) from error


def _not_yet_running(plumbed: ContainerRecord, before: ContainerRecord) -> ContainerRecord:
    """Return the record that is stored before the container's command is executed.

    The result is ``plumbed``, which has the new process. But status, exit code and start time are those of ``before``,
    because they must still describe the last run.
    """
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
        raise start_failure(error) from error


def _run(host: Host, live: Reserved) -> None:
    announce(host, [m.network for m in live.members])
    if recording.is_recording():
        explained.resolver(live.record, live.members)
        explained.start(live.record)
    try:
        host.runtime.start(live.record.id)
    except RuntimeFailure as error:
        raise start_failure(error) from error


def start_by_user(host: Host, container_id: str) -> bool:
    """Start a container because the user requests the start; return False if it is already running or restarting.

    If an ended container may still have a needed address or port, tries the start a second time (`retried_after_ends`).
    If the start fails, a container that was created with --rm is removed.
    """
    failures: list[EngineError] = []
    attempt = partial(_attempt, host, container_id, failures)
    try:
        return retried_after_ends(host, attempt, finalize.finalize_ended, container_id)
    except EngineError as error:
        with host.store.read() as reader:
            failed = reader.container(container_id)
        if error in failures and failed is not None and failed.host.auto_remove:
            with suppress(NotFound, Conflict):  # another command has already removed or started the container
                remove(host, container_id, force=False)
        raise


def _attempt(host: Host, container_id: str, failures: list[EngineError]) -> bool:
    """Start a container; return False, without effect, if it is already running or restarting.

    If the end of the last run is not recorded yet, this function records it first. After the loss of HAWSE_RUN, no
    other process records it. An error of the start itself is added to ``failures``. An error before the start, such as
    a timeout for the container's lock, is not added.
    """
    with locked(host.run, "container", container_id):
        stored = lookup.resolve(host, container_id)
        record = lookup.with_actual_state(host, stored)
        if record.status == "running" or (record.status == stored.status == "restarting"):
            return False
        if stored.status == "running":
            finalize.finalize_exit(host, container_id)
        reset_restart_count(host, container_id)
        try:
            start(host, container_id)
        except EngineError as error:
            failures.append(error)
            raise
    return True
