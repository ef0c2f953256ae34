"""Connect a running or stopped container to a network, and undo an interrupted connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from drivers.linux import recording
from engine import names
from engine.agent.client import announce
from engine.cluster import hooks
from engine.containers import (
    adopted,
    etc_files,
    explained,
    finalize,
    gateway_bridge,
    lookup,
    port_assignment,
    publish,
    remove,
    sandbox_links,
)
from engine.endpoints import reservation, sandbox
from engine.endpoints.sandbox import JoinedEndpoint
from engine.errors import NotFound, PortFailure, hinted
from engine.events import record as events
from engine.host import Host, begin_intent, end_intent, marked_repeatable, retried_after_ends, rollback_on_error
from engine.model import Adoption, ContainerRecord, EndpointSettings, NetworkAttachment, NetworkRecord, PortSpec
from engine.networks import activate
from engine.store.api import IntentKind
from engine.store.locks import locked
from engine.validate.endpoint import check_connect, check_no_adoption, check_own_sandbox


def connect(
    host: Host,
    reference: str,
    container: str,
    settings: EndpointSettings,
    published: Sequence[PortSpec] = (),
    adoption: Adoption | None = None,
) -> None:
    """Connect a container to a network, and publish the ports ``published``; ``reference`` is the network's name or id.

    ``container`` may also be a network namespace that hawse did not create: ``netns:NAME``, ``netns:/path`` or
    ``pid:N``. ``adoption`` has the user's settings for this namespace. Raises Forbidden for a host's own network
    namespace, such as that of PID 1, unless ``adoption.force`` is set.

    If an ended container may still have a needed address or port, connects a second time (`retried_after_ends`).
    """
    attempt = partial(_connect, host, reference, container, settings, published, adoption)
    retried_after_ends(host, attempt, finalize.finalize_ended)


def _connect(
    host: Host,
    reference: str,
    container: str,
    settings: EndpointSettings,
    published: Sequence[PortSpec],
    adoption: Adoption | None,
) -> None:
    """Connect a container as `connect` does, without a second attempt."""
    with _locked_target(host, reference, container, adoption or Adoption()) as target:
        record = target.record
        if record.status == "running":
            check_own_sandbox(record)
            hooks.import_network(host, reference)
            network = lookup.network(host, reference)
            explain = recording.is_recording() and not explained.serves_names(record)
            members = _connect_running(host, target, network, settings, published)
            announce(host, [network])
            if explain:
                explained.resolver(record, members)
            return
        _connect_stopped(host, record, reference, settings)
        if published:
            try:
                publish.publish_locked(host, record.id, published)
            finally:
                announce(host)


class _Target(Struct, frozen=True):
    """The record of the container to connect, and the function that takes the container lock if necessary.

    If ``record`` is new, the container lock is not held yet. The caller must then call ``take_lock`` before it stores
    ``record``. If the store already has a record of the container, the lock is held, and ``take_lock`` does nothing.
    """

    record: ContainerRecord
    take_lock: Callable[[], object] = lambda: None


@contextmanager
def _locked_target(host: Host, network: str, container: str, adoption: Adoption) -> Iterator[_Target]:
    """Yield the container to connect, and hold a lock until the end of the block; ``adoption`` has the user's settings.

    ``network`` is the network's name or id, for a hint in the error for an unknown container.

    The lock is the container lock. Exception: ``container`` may be an adopted namespace without a container record. In
    this case, the result is a new record, which is not stored, and the lock is that of the namespace (`adopted.held`).
    The caller takes the container lock with `_Target.take_lock`.
    """
    existing, reference = _existing(host, network, container)
    if existing is not None:
        check_no_adoption(existing, adoption)
        with locked(host.run, "container", existing.id):
            yield _Target(finalized_record(host, existing.id))
        return
    with adopted.held(host.run, reference, force=adoption.force) as namespace, ExitStack() as locks:
        container_id = adopted.known_id(host, namespace)
        if container_id:
            locks.enter_context(locked(host.run, "container", container_id))
            known = finalize.finalize_exit(host, container_id)
            yield _Target(adopted.record_of(known, container_id, namespace, adoption))
            return
        _free_name(host, adoption.name)
        record = adopted.record_of(None, names.generate_id(), namespace, adoption)
        try:
            yield _Target(record, lambda: locks.enter_context(locked(host.run, "container", record.id)))
        except BaseException:
            adopted.forget_if_unused(host, record.id)
            raise


def _existing(host: Host, network: str, container: str) -> tuple[ContainerRecord | None, str]:
    """Return the record of a container, or None and the reference of a network namespace that the caller must open.

    The record is None in two cases:

    - ``container`` is ``netns:...`` or ``pid:N``, and hawse did not create this namespace.
    - ``container`` is the name of an adopted namespace that is not connected now.

    In all other cases, the caller needs no reference.
    """
    if names.is_adoptable(container):
        with host.store.read() as reader:
            processes = [record for record in adopted.find(reader, container) if record.kind == "process"]
        return next(iter(processes), None), container
    try:
        target = lookup.resolve(host, container)
    except NotFound as error:
        hint = adopted.hint(container) or lookup.order_hint(host, network, container, "network connect")
        raise hinted(error, hint) from None
    if target.kind == "process" or lookup.is_running(host, target):
        return target, container
    return None, adopted.reference_of(target)


def _free_name(host: Host, name: str) -> None:
    """Remove the container ``name`` if it stands for the adopted namespace of a process, and the process has ended.

    A new container can then get the name, for example after a restart of a service. If ``name`` is "", does nothing.
    """
    with host.store.read() as reader:
        holders = [record for record in reader.find_containers(name) if record.name == name] if name else []
    for holder in holders:
        if adopted.is_of_process(holder) and not lookup.is_running(host, holder):
            remove.remove(host, holder.id, force=False)


def finalized_record(host: Host, container_id: str) -> ContainerRecord:
    """Return the current record of a locked container; raises NotFound if the container has been removed.

    If the container's process has ended, the endpoints and ports of the container are released before the record is
    returned.
    """
    with host.store.read() as reader:
        record = reader.container(container_id)
    if record is not None and record.status != lookup.with_actual_state(host, record).status:
        record = finalize.finalize_exit(host, container_id)
    if record is None:
        raise NotFound(f"No such container: {container_id}")
    return record


def _connect_running(
    host: Host, target: _Target, network: NetworkRecord, settings: EndpointSettings, published: Sequence[PortSpec]
) -> Sequence[JoinedEndpoint]:
    """Connect a running container to a network, and publish the ports ``published``; return the container's endpoints.

    If a step fails, the finished steps are undone (`rollback`).
    """
    record, numbers = target.record, names.interface_numbers(target.record)
    members = reservation.memberships(host, record.id)
    check_connect(record, network, settings, [m.network for m in members])
    attachment = NetworkAttachment(network.name, settings, network.id)
    record = _with_attachment(record, attachment)
    with marked_repeatable():
        reserved = _reserve(host, target, record, network, attachment)
    with rollback_on_error(host, IntentKind.ENDPOINT_CHANGE, reserved.endpoint.id, rollback):
        later = [*members, reserved]
        if published and not hooks.concerns_gateway(m.network for m in later):
            # Check before the published ports move to another endpoint; raises Forbidden if no endpoint can have them.
            publish.required_holder(host, record, later)
        endpoint = replace(sandbox.join(host, record, reserved, numbers), phase="live")
        joined = replace(reserved, endpoint=endpoint)
        with host.store.write() as tx:
            reservation.record_joined(tx, record, joined)
        before, members = members, [*members, joined]
        sandbox.admit_siblings(host, members)
        etc_files.add_network(host, record, members)
        numbers = names.count_interfaces(numbers, network)
        if hooks.concerns_gateway(m.network for m in members):
            members, numbers = gateway_bridge.sync_gateway_bridge(host, record, members, numbers)
        sandbox.route_if_moved(record, before, record, members)
        port_assignment.move(host, record, members)
        record = replace(record, next_interfaces=numbers)
        if published:
            with host.store.write() as tx:
                tx.put_container(record)
            publish.publish_locked(host, record.id, published, connected=endpoint.id)
        else:
            with host.store.write() as tx:
                tx.put_container(record)
                end_intent(tx, IntentKind.ENDPOINT_CHANGE, endpoint.id)
    return members


def _reserve(
    host: Host, target: _Target, record: ContainerRecord, network: NetworkRecord, attachment: NetworkAttachment
) -> JoinedEndpoint:
    """Reserve the container's endpoint on a network, and record an intent to connect it.

    ``record`` is ``target.record`` with the new attachment. For an adopted namespace, also stores ``target.record``,
    because the store may have no record yet.
    """
    with hooks.reserve_endpoints(host, record, [network]) as granted:
        activate.activate(host, network.id)
        with host.store.write() as tx:
            network = names.pick_network(tx.find_networks(network.id), network.id)
            former = reservation.take_former(tx, record.id).get(network.id)
            endpoint = granted.get(network.id) or reservation.reserve(tx, network, record, attachment, former)
            if record.kind == "adopted":
                target.take_lock()
                adopted.record(tx, target.record)
            tx.put_endpoint(endpoint)
            begin_intent(tx, IntentKind.ENDPOINT_CHANGE, endpoint.id)
    return JoinedEndpoint(network, endpoint)


def _connect_stopped(host: Host, record: ContainerRecord, reference: str, settings: EndpointSettings) -> None:
    """Add a network to the configuration of a stopped container, unless the configuration already has it.

    As in Docker, a ``reference`` that matches no network or several networks is accepted too. In this case, the next
    start of the container fails. The new network replaces a removed network of the same name.
    """
    name, named = reference, False
    with host.store.read() as reader:
        network = names.only_network(reader.find_networks(reference))
        configured = [names.only_network(reader.find_networks(a.network_id or a.network)) for a in record.attachments]
    if network is not None:
        check_connect(record, network, settings, [other for other in configured if other is not None])
        if any(_is_for(a, network) and a.network_id in ("", network.id) for a in record.attachments):
            return
        name, named = network.name, True
    attachment = NetworkAttachment(name, settings, named=named)
    with host.store.write() as tx:
        tx.put_container(_with_attachment(record, attachment))
        if network is not None:
            events.connection(tx, network, "connect", record.id)


def is_attached(record: ContainerRecord, network: NetworkRecord) -> bool:
    """Return whether the container's configuration has the network; the container may be running or stopped."""
    return any(_is_for(attachment, network) for attachment in record.attachments)


def without_attachment(record: ContainerRecord, network: NetworkRecord) -> ContainerRecord:
    """Return the container's record without the configuration for the network."""
    return replace(record, attachments=tuple(a for a in record.attachments if not _is_for(a, network)))


def _with_attachment(record: ContainerRecord, attachment: NetworkAttachment) -> ContainerRecord:
    """Return the record with ``attachment`` added; an attachment with the same network name is replaced."""
    others = (a for a in record.attachments if a.network != attachment.network)
    return replace(record, attachments=(*others, attachment))


def _is_for(attachment: NetworkAttachment, network: NetworkRecord) -> bool:
    return attachment.network_id == network.id or attachment.network == network.name


def rollback(host: Host, endpoint_id: str) -> None:
    """Remove the endpoint ``endpoint_id`` after an interrupted connect, and restore the container; idempotent.

    The network is removed from the container's configuration. If the container runs, its published ports, default
    routes and files in /etc become as they were before the connection.
    """
    with host.store.read() as reader:
        endpoint = reader.endpoint(endpoint_id)
        if endpoint is None:
            return
        network, container = reader.network(endpoint.network_id), reader.container(endpoint.container_id)
    if network is None or container is None:
        with host.store.write() as tx:
            tx.delete_endpoint(endpoint_id)
        adopted.forget_if_unused(host, endpoint.container_id)
        return
    alive = lookup.is_running(host, container)
    members = [m for m in reservation.memberships(host, container.id) if m.endpoint.id != endpoint_id]
    reservation.release_endpoint(host, container, JoinedEndpoint(network, endpoint), members, alive=alive)
    left = without_attachment(container, network)
    if len(left.attachments) != len(container.attachments):
        with host.store.write() as tx:
            tx.put_container(left)
    if alive:
        members = _sync_gateways(host, left, members)
        port_assignment.reassign_ports(host, left, members, endpoint.ports)
        etc_files.undo_network(host, left, members)
    adopted.forget_if_unused(host, container.id)
    announce(host)


def resync_routes_and_ports(host: Host, container_id: str) -> None:
    """Set the default routes and the published ports of a running sandbox as its endpoints require; idempotent.

    Also repairs the symbolic links to the sandbox's network namespace, and removes former addresses from /etc/hosts of
    the container. For an adopted namespace that is on no network, only deletes the record and hawse's files.
    """
    with host.store.read() as reader:
        container = reader.container(container_id)
    if container is None or not lookup.is_running(host, container):
        return
    members = reservation.memberships(host, container_id)
    if container.kind == "adopted" and not members:
        adopted.forget_if_unused(host, container_id)
        return
    if container.kind == "process":
        sandbox_links.repair(host, container)
    members = _sync_gateways(host, container, members)
    with suppress(PortFailure):  # as in Docker, no port is published if another program has a host port
        members = port_assignment.move(host, container, members)
    for member in members:
        # Publish the ports again, because a killed command may have recorded them without publishing them.
        sandbox.publish(host, container, member, member.endpoint.ports)
    etc_files.remove_left_addresses(host, container, members)
    announce(host)


def _sync_gateways(host: Host, container: ContainerRecord, members: Sequence[JoinedEndpoint]) -> list[JoinedEndpoint]:
    """Connect a container to the gateway bridge or disconnect it, as its networks require; set its default routes.

    ``members`` are the container's endpoints before this change. Returns the container's endpoints after it.
    """
    joined, numbers = gateway_bridge.sync_gateway_bridge(host, container, members, names.interface_numbers(container))
    with host.store.write() as tx:
        tx.put_container(replace(container, next_interfaces=numbers))
    sandbox.route(container, joined)
    return joined
