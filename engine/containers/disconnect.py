"""Disconnect a container from a network, and release endpoints of containers that no longer exist."""

from __future__ import annotations

from contextlib import suppress

from msgspec.structs import replace

from engine import names
from engine.agent.client import announce
from engine.cluster import hooks
from engine.cluster.local_networks import INGRESS_SANDBOX
from engine.containers import adopted, etc_files, finalize, gateway_bridge, lookup, port_assignment
from engine.containers.connect import finalized_record, is_attached, rollback, without_attachment
from engine.endpoints import reservation, sandbox
from engine.errors import NotFound, Unavailable, hinted
from engine.events import record as events
from engine.host import Host, begin_intent, end_intent
from engine.model import FORMER, ContainerRecord, NetworkRecord
from engine.store.api import IntentKind
from engine.store.locks import locked
from engine.validate.endpoint import check_disconnect, not_connected


def disconnect(host: Host, reference: str, container: str, *, force: bool) -> None:
    """Disconnect a container from a network; ``reference`` is the network's name or id.

    ``container`` is the container's name or id, or a network namespace (such as ``netns:NAME``). With ``force``, also
    removes the endpoint of a container that no longer exists.
    """
    with host.store.read() as reader:
        matches = lookup.matches(reader, container.removeprefix("/"))
    if force and not matches:
        network = lookup.network(host, reference)
        hooks.check_used_here(host, network)
        _force_out(host, network, container)
        return
    try:
        target = names.pick_container(matches, container)
    except NotFound as error:
        raise hinted(error, lookup.order_hint(host, reference, container, "network disconnect")) from None
    with locked(host.run, "container", target.id):
        record = finalized_record(host, target.id)
        if record.status != "running":
            _disconnect_stopped(host, record, reference)
            return
        try:
            network = lookup.network(host, reference)
        except NotFound:
            if not force and all(a.network != reference for a in record.attachments):
                raise
            _disconnect_stopped(host, record, reference)
            return
        hooks.check_used_here(host, network)
        _disconnect_running(host, record, network)


def _disconnect_stopped(host: Host, record: ContainerRecord, reference: str) -> None:
    """Remove a network from the records of a container, without a change in the kernel.

    ``reference`` is the network's name or id. The container has ended, or it runs and the network no longer exists. A
    running container may have such a network after ``swarm leave --force``.
    """
    with host.store.read() as reader:
        network = names.only_network(reader.find_networks(reference))
    if network is not None:
        check_disconnect(record, network, connected=is_attached(record, network))
        left = without_attachment(record, network)
    else:
        left = replace(record, attachments=tuple(a for a in record.attachments if a.network != reference))
        if len(left.attachments) == len(record.attachments):
            raise not_connected(record, reference, running=False)
    with host.store.write() as tx:
        tx.put_container(left)
        for endpoint in tx.endpoints(container_id=record.id):
            if tx.network(endpoint.network_id) is None:
                tx.delete_endpoint(endpoint.id)
        if network is not None:
            events.connection(tx, network, "disconnect", record.id)
    if record.kind == "adopted":
        adopted.forget_if_unused(host, record.id)


def _disconnect_running(host: Host, record: ContainerRecord, network: NetworkRecord) -> None:
    members = reservation.memberships(host, record.id)
    gone = next((m for m in members if m.network.id == network.id), None)
    check_disconnect(record, network, connected=gone is not None)
    assert gone is not None
    left = without_attachment(record, network)
    with host.store.write() as tx:
        tx.put_container(left)
        begin_intent(tx, IntentKind.ENDPOINT_CHANGE, gone.endpoint.id)
        begin_intent(tx, IntentKind.SANDBOX_CHANGE, record.id)
    rest = [m for m in members if m is not gone]
    kept = gone.endpoint.ports
    reservation.release_endpoint(host, record, gone, rest, alive=True)
    rest, numbers = gateway_bridge.sync_gateway_bridge(host, left, rest, names.interface_numbers(left))
    sandbox.route_if_moved(record, members, left, rest)
    record = left
    port_assignment.reassign_ports(host, record, rest, kept)
    etc_files.remove_network(host, record, network, rest)
    forgotten = record.kind == "adopted" and not (rest or record.attachments)
    if forgotten:
        adopted.remove_files(host, record)
    with host.store.write() as tx:
        if forgotten:
            tx.delete_container(record.id)
        else:
            tx.put_container(replace(record, next_interfaces=numbers))
        end_intent(tx, IntentKind.ENDPOINT_CHANGE, gone.endpoint.id)
        end_intent(tx, IntentKind.SANDBOX_CHANGE, record.id)
    announce(host)


def _force_out(host: Host, network: NetworkRecord, container: str) -> None:
    with host.store.read() as reader:
        endpoints = reader.endpoints(network_id=network.id)
    left = [e for e in endpoints if e.id == container or names.plain_name(container) in e.names[:1]]
    if not left:
        raise NotFound(f"endpoint {container} not found")
    for endpoint in left:
        rollback(host, endpoint.id)


def release_orphan_endpoints(host: Host, reference: str) -> None:
    """Release the endpoints that removed or ended containers have on a network.

    Without this step, the removal of the network would fail with Docker's error "has active endpoints". If another
    process is recording the end of a container, waits up to `finalize.ENDING_SECONDS` for that process.
    """
    with host.store.read() as reader:
        matches = reader.find_networks(reference)
        if len(matches) != 1:
            return
        network = matches[0]
        pairs = [(e, reader.container(e.container_id)) for e in reader.endpoints(network_id=network.id)]
        busy = {i.object_id for i in reader.intents()}
    for endpoint, container in pairs:
        if endpoint.container_id == INGRESS_SANDBOX:
            continue
        if container is None:
            is_unused = endpoint.container_id not in busy and endpoint.id not in busy
        else:
            is_unused = endpoint.phase == FORMER and container.id not in busy
        if is_unused:
            with host.store.write() as tx:
                tx.delete_endpoint(endpoint.id)
            continue
        if container is not None and container.status == "running" and not lookup.is_running(host, container):
            # The container has ended, but its record says "running". Another process may be recording the end: wait
            # for its lock. If the lock is not free in time, skip the container.
            with suppress(Unavailable), locked(host.run, "container", container.id, timeout=finalize.ENDING_SECONDS):
                finalize.finalize_exit(host, container.id)
