"""network connect and disconnect: one endpoint into, or out of, a container that runs or doesn't."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from engine import intents, names
from engine.agent.notify import announce
from engine.cluster import hooks
from engine.containers import adopted, etc_files, gateway_bridge, lookup, port_assignment, publish, stop
from engine.containers.publish import SANDBOX
from engine.dispatch import specs
from engine.endpoints import release, sandbox
from engine.endpoints.sandbox import Membership
from engine.errors import NotFound
from engine.host import Host
from engine.model import ContainerRecord, EndpointSettings, NetworkAttachment, NetworkRecord, PortSpec
from engine.networks import activate
from engine.store.locks import forget, locked
from engine.validate import connection as check

ENDPOINT = "endpoint"


def connect(
    host: Host,
    reference: str,
    container: str,
    settings: EndpointSettings,
    published: Sequence[PortSpec] = (),
    *,
    force: bool = False,
) -> None:
    """Connect a container, or a namespace that hawse did not make (``netns:NAME``, ``netns:/path``, ``pid:N``).

    A namespace that is a host's own is connected only by ``force``.
    """
    with _held(host, container, force=force) as held:
        record = held.record
        if record.status == "running":
            check.check_own_sandbox(record)
            hooks.learn(host, reference)
            network = _find(host, reference)
            _connect_running(host, held, network, settings, published)
            announce(host, [network])
            return
        _connect_stopped(host, record, reference, settings)
        if published:
            try:
                publish.publish_locked(host, record.id, published)
            finally:
                announce(host)


@dataclass(frozen=True, slots=True)
class _Held:
    """A container under its lock, which a foreign namespace without a record has only once `hold` is called."""

    record: ContainerRecord
    hold: Callable[[], object] = lambda: None


@contextmanager
def _held(host: Host, container: str, *, force: bool) -> Iterator[_Held]:
    """Hold a container for a connect; of a foreign namespace that has no record yet, the one that it is to get."""
    if not adopted.is_adoptable(container):
        found = lookup.resolve(host, container)
        with locked(host.run, "container", found.id):
            yield _Held(_settled(host, found.id))
        return
    with adopted.held(container, force=force) as place, ExitStack() as held:
        container_id = adopted.known_id(host, place)
        if container_id:
            held.enter_context(locked(host.run, "container", container_id))
            yield _Held(adopted.record_of(stop.settle(host, container_id), container_id, place))
            return
        record = adopted.record_of(None, names.generate_id(), place)
        try:
            yield _Held(record, lambda: held.enter_context(locked(host.run, "container", record.id)))
        except BaseException:
            adopted.let_go_if_unused(host, record.id)
            raise


def _settled(host: Host, container_id: str) -> ContainerRecord:
    """The container under its lock; one that has just ended gives up what it held before anything is changed."""
    record = stop.settle(host, container_id)
    if record is None:
        raise NotFound(f"No such container: {container_id}")
    return lookup.observed(host, record)


def _find(host: Host, reference: str) -> NetworkRecord:
    with host.store.read() as reader:
        return activate.find(reader, reference)


def _connect_running(
    host: Host, held: _Held, network: NetworkRecord, settings: EndpointSettings, published: Sequence[PortSpec]
) -> None:
    record = held.record
    members = release.memberships(host, record.id)
    check.check_connect(record, network, settings, [m.network for m in members])
    attachment = NetworkAttachment(network.name, settings, network.id)
    index = record.next_interface
    record = replace(record, attachments=_with(record, attachment))
    with hooks.reserving(host, record, [network]) as granted:
        activate.ensure(host, network.id)
        with host.store.write() as tx:
            network = activate.find(tx, network.id)
            endpoint = granted.get(network.id) or specs.reserve(tx, network, record, attachment)
            if record.kind == "adopted":
                held.hold()
                tx.put_container(held.record)
            tx.put_endpoint(endpoint)
            intents.begin(tx, ENDPOINT, endpoint.id)
    with intents.undone(host, ENDPOINT, endpoint.id, undo):
        endpoint = replace(sandbox.join(host, record, Membership(network, endpoint), index), phase="live")
        with host.store.write() as tx:
            tx.put_endpoint(endpoint)
        before, members = members, [*members, Membership(network, endpoint)]
        sandbox.admit_siblings(host, members)
        etc_files.add_network(host, record, members)
        members, index = gateway_bridge.settle(host, record, members, index + 1)
        _reroute(record, before, record, members)
        port_assignment.move(host, record, members)
        record = replace(record, next_interface=index)
        if published:
            with host.store.write() as tx:
                tx.put_container(record)
            publish.publish_locked(host, record.id, published)
    with host.store.write() as tx:
        if not published:
            tx.put_container(record)
        intents.end(tx, ENDPOINT, endpoint.id)


def _reroute(
    old: ContainerRecord, before: Sequence[Membership], record: ContainerRecord, members: Sequence[Membership]
) -> None:
    """Set the default routes after a change, if other endpoints hold them than before."""
    held = [m and m.endpoint.id for m in sandbox.gateways(old, before)]
    if held != [m and m.endpoint.id for m in sandbox.gateways(record, members)]:
        sandbox.route(record, members)


def _connect_stopped(host: Host, record: ContainerRecord, reference: str, settings: EndpointSettings) -> None:
    """Only the configuration changes, and only where the network is new to it.

    A network that isn't there is refused at the start, as Docker does.
    """
    name, named = reference, False
    with contextlib.suppress(NotFound):
        network = _find(host, reference)
        check.check_connect(record, network, settings, [])
        if _is_configured(record, network):
            return
        name, named = network.name, True
    attachment = NetworkAttachment(name, settings, named=named)
    with host.store.write() as tx:
        tx.put_container(replace(record, attachments=_with(record, attachment)))


def _with(record: ContainerRecord, attachment: NetworkAttachment) -> list[NetworkAttachment]:
    return [*(a for a in record.attachments if a.network != attachment.network), attachment]


def _without(record: ContainerRecord, network: NetworkRecord) -> list[NetworkAttachment]:
    return [a for a in record.attachments if network.id != a.network_id and network.name != a.network]


def undo(host: Host, endpoint_id: str) -> None:
    """Take a half-made endpoint out again; idempotent."""
    with host.store.read() as reader:
        endpoint = reader.endpoint(endpoint_id)
        if endpoint is None:
            return
        network, container = reader.network(endpoint.network_id), reader.container(endpoint.container_id)
    if network is None or container is None:
        with host.store.write() as tx:
            tx.delete_endpoint(endpoint_id)
        adopted.let_go_if_unused(host, endpoint.container_id)
        return
    alive = lookup.observed(host, container).status == "running"
    members = [m for m in release.memberships(host, container.id) if m.endpoint.id != endpoint_id]
    release.release_endpoint(host, container, Membership(network, endpoint), members, alive=alive)
    left = replace(container, attachments=_without(container, network))
    if len(left.attachments) != len(container.attachments):
        with host.store.write() as tx:
            tx.put_container(left)
    if alive:
        members = _rerouted(host, left, members)
        publish.rehome(host, left, members, endpoint.ports)
    adopted.let_go_if_unused(host, container.id)
    announce(host)


def refit(host: Host, container_id: str) -> None:
    """Give a running sandbox the routes and ports that its endpoints call for; idempotent."""
    with host.store.read() as reader:
        container = reader.container(container_id)
    if container is None:
        forget(host.run, "container", container_id)  # its remover's lock was another file
        return
    if lookup.observed(host, container).status != "running":
        return
    members = release.memberships(host, container_id)
    if container.kind == "adopted" and not members:
        adopted.let_go_if_unused(host, container_id)
        return
    members = _rerouted(host, container, members)
    for member in port_assignment.move(host, container, members):
        sandbox.publish(host, container, member, member.endpoint.ports)  # recorded there, but perhaps not yet done
    etc_files.remove_network(host, container, None)
    announce(host)


def _rerouted(host: Host, container: ContainerRecord, members: Sequence[Membership]) -> list[Membership]:
    """Set the default routes whatever they were, and the gateway bridge where it is needed; the memberships then."""
    found, index = gateway_bridge.settle(host, container, members, container.next_interface)
    with host.store.write() as tx:
        tx.put_container(replace(container, next_interface=index))
    sandbox.route(container, found)
    return found


def disconnect(host: Host, reference: str, container: str, *, force: bool) -> None:
    """Disconnect a container; ``force`` also takes out what a vanished container left on the network."""
    with host.store.read() as reader:
        matches = reader.find_containers(container.removeprefix("/"))
    if force and not matches:
        network = _find(host, reference)
        hooks.check_used_here(host, network)
        _force_out(host, network, container)
        return
    found = names.pick_container(matches, container)
    if lookup.observed(host, found).status != "running":
        _disconnect_stopped(host, found.id, reference)
        return
    try:
        network = _find(host, reference)
    except NotFound as error:
        raise check.not_connected(found, reference, running=False) if force else error from None
    hooks.check_used_here(host, network)
    with locked(host.run, "container", found.id):
        record = _settled(host, found.id)
        if record.status == "running":
            _disconnect_running(host, record, network)
            return
    _disconnect_stopped(host, found.id, reference)


def _disconnect_stopped(host: Host, container_id: str, reference: str) -> None:
    with locked(host.run, "container", container_id):
        record = _settled(host, container_id)
        with host.store.read() as reader:
            found = next(iter(reader.find_networks(reference)), None)
        if found is not None:
            check.check_disconnect(record, found, connected=_is_configured(record, found))
            rest = _without(record, found)
        else:
            rest = [a for a in record.attachments if a.network != reference]
            if len(rest) == len(record.attachments):
                raise check.not_connected(record, reference, running=False)
        with host.store.write() as tx:
            tx.put_container(replace(record, attachments=rest))
            forgotten = record.kind == "adopted" and adopted.forget_if_unused(tx, container_id)
        if forgotten:
            forget(host.run, "container", container_id)


def _is_configured(record: ContainerRecord, network: NetworkRecord) -> bool:
    return len(_without(record, network)) != len(record.attachments)


def _disconnect_running(host: Host, record: ContainerRecord, network: NetworkRecord) -> None:
    members = release.memberships(host, record.id)
    gone = next((m for m in members if m.network.id == network.id), None)
    check.check_disconnect(record, network, connected=gone is not None)
    assert gone is not None
    left = replace(record, attachments=_without(record, network))
    with host.store.write() as tx:
        tx.put_container(left)
        intents.begin(tx, ENDPOINT, gone.endpoint.id)
        intents.begin(tx, SANDBOX, record.id)
    rest = [m for m in members if m is not gone]
    kept = gone.endpoint.ports
    release.release_endpoint(host, record, gone, rest, alive=True)
    rest, index = gateway_bridge.settle(host, left, rest, left.next_interface)
    _reroute(record, members, left, rest)
    record = left
    if kept:
        publish.rehome(host, record, rest, kept)
    etc_files.remove_network(host, record, network)
    with host.store.write() as tx:
        tx.put_container(replace(record, next_interface=index))
        intents.end(tx, ENDPOINT, gone.endpoint.id)
        intents.end(tx, SANDBOX, record.id)
        forgotten = record.kind == "adopted" and adopted.forget_if_unused(tx, record.id)
    if forgotten:
        forget(host.run, "container", record.id)
    announce(host)


def _force_out(host: Host, network: NetworkRecord, container: str) -> None:
    with host.store.read() as reader:
        left = [e for e in reader.endpoints(network_id=network.id) if container in (e.id, *e.names[:1])]
    if not left:
        raise NotFound(f"endpoint {container} not found")
    for endpoint in left:
        undo(host, endpoint.id)
