"""Publish or unpublish ports of a container that may be running. Connections to the container's other ports are not
interrupted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from engine.agent.client import announce
from engine.containers import finalize, lookup, port_assignment, port_settings
from engine.endpoints import links, reservation, sandbox
from engine.endpoints.sandbox import JoinedEndpoint
from engine.errors import Forbidden
from engine.events import record as events
from engine.host import Host, begin_intent, end_intent, marked_repeatable, retried_after_ends, rollback_on_error
from engine.model import FORMER, ContainerRecord, PortRecord, PortSpec
from engine.ports.allocation import exposed_port, includes
from engine.store.api import IntentKind
from engine.store.locks import locked


def publish(host: Host, reference: str, specs: Sequence[PortSpec]) -> None:
    """Publish additional ports of a container, and add them to the container's configuration.

    If the container is running, the ports are reachable immediately. A port may still belong to a container whose
    process has ended, but whose end is not recorded yet. The end is then recorded, and the publication is tried once
    more (`retried_after_ends`).
    """
    container = lookup.resolve(host, reference)

    def attempt() -> None:
        with locked(host.run, "container", container.id):
            publish_locked(host, container.id, specs)
            announce(host)

    retried_after_ends(host, attempt, finalize.finalize_ended)


def required_holder(host: Host, record: ContainerRecord, members: Sequence[JoinedEndpoint]) -> JoinedEndpoint:
    """Return the endpoint that should have the container's published ports (`port_assignment.holder`).

    Raises Forbidden if no endpoint in ``members`` can have them.
    """
    member = port_assignment.holder(host, record, members)
    if member is None:
        cause = "is on no network that ports can be published from, or has its default route on another network"
        raise Forbidden(f"container {record.name} {cause}")
    return member


def publish_locked(host: Host, container_id: str, specs: Sequence[PortSpec], *, connected: str = "") -> None:
    """Publish additional ports as `publish` does; the caller holds the container lock.

    The caller notifies the agent after the call. If the driver refuses the ports, the former records are restored.

    ``connected`` is the id of the endpoint that the same command has connected, or "". The transaction that records the
    ports also ends the intent of that connection. If this command is killed after the transaction, another process
    finishes the publication (`engine.recovery`). If the driver refuses the ports, the intent is recorded again, and the
    caller undoes the connection.
    """
    former = lookup.resolve(host, container_id)
    record = _with_ports(former, specs)
    member = None
    if lookup.is_running(host, record):
        member = required_holder(host, record, reservation.memberships(host, record.id))
    added: list[PortRecord] = []
    with marked_repeatable(), host.store.write() as tx:
        if member is not None:
            added = port_assignment.allocate(tx, host, record, member, specs)
            member = member.with_ports((*member.endpoint.ports, *added))
            port_assignment.record_ports(tx, record, member.endpoint)
            begin_intent(tx, IntentKind.SANDBOX_CHANGE, record.id)
        tx.put_container(record)
        for spec in specs:
            events.container(tx, record, "publish", {"port": exposed_port(spec)})
        if connected:
            end_intent(tx, IntentKind.ENDPOINT_CHANGE, connected)
    if member is not None:
        with rollback_on_error(
            host,
            IntentKind.SANDBOX_CHANGE,
            record.id,
            lambda *_: _withdraw(host, former, member, added, specs, connected),
        ):
            sandbox.publish(host, record, member, added)
            _open_links(host, record)
            with host.store.write() as tx:
                end_intent(tx, IntentKind.SANDBOX_CHANGE, record.id)


def _with_ports(record: ContainerRecord, specs: Sequence[PortSpec]) -> ContainerRecord:
    """Return the container's record with additional published ports, which are exposed too."""
    known = record.host.port_bindings
    bindings = (*known, *(spec for spec in specs if not any(includes(binding, spec) for binding in known)))
    exposed = {*record.config.exposed_ports, *map(exposed_port, specs)}
    return replace(
        record,
        host=replace(record.host, port_bindings=bindings),
        config=replace(record.config, exposed_ports=tuple(sorted(exposed))),
    )


def _open_links(host: Host, record: ContainerRecord) -> None:
    """Allow the containers that link to this container (``--link``) to reach its exposed ports; idempotent."""
    for member in reservation.memberships(host, record.id):
        links.open_links(host, record, member)


def _withdraw(
    host: Host,
    former: ContainerRecord,
    member: JoinedEndpoint,
    added: Sequence[PortRecord],
    specs: Sequence[PortSpec],
    connected: str,
) -> None:
    """Undo a publication: store the container's earlier record ``former``, and unpublish the ports ``added``.

    ``member`` is the endpoint that has the ports ``added``. ``specs`` are the port settings of the publication. An
    event "unpublish" is added for each of them. ``connected`` is as in `publish_locked`: if it is not "", the intent of
    that connection is recorded again, so that the caller can undo the connection.
    """
    kept = member.with_ports(port for port in member.endpoint.ports if port not in added)
    with host.store.write() as tx:
        tx.put_endpoint(kept.endpoint)
        tx.put_container(former)
        for spec in specs:
            events.container(tx, former, "unpublish", {"port": exposed_port(spec)})
        if connected:
            begin_intent(tx, IntentKind.ENDPOINT_CHANGE, connected)
    sandbox.unpublish(host, former, member, added)
    _open_links(host, former)


def unpublish(host: Host, reference: str, requested: Sequence[PortSpec]) -> None:
    """Unpublish the container ports of ``requested``; other ports of a published port range stay published.

    An item of ``requested`` may limit which ports are unpublished:

    - A host port: only this host port.
    - A range of host ports for one container port: the port that hawse chose from the range.
    - A host address: only ports at this address. 0.0.0.0 does not include ::, and :: does not include 0.0.0.0.

    ``-P`` would publish the unpublished ports again at the next start. Therefore all remaining ports of ``-P`` become
    ports of ``-p``. Ports that are kept for the next run count as published. Raises NotFound if one of the ports is not
    published; no port is unpublished in this case.
    """
    container = lookup.resolve(host, reference)
    with locked(host.run, "container", container.id):
        record = lookup.resolve(host, container.id)
        members = reservation.memberships(host, record.id, former=True)
        bindings, left, gone = _take_all_back(record, members, requested)
        with host.store.write() as tx:
            for member, cut in zip(left, gone, strict=True):
                if cut:
                    tx.put_endpoint(member.endpoint)
            settings = replace(record.host, port_bindings=tuple(bindings), publish_all_ports=False)
            tx.put_container(replace(record, host=settings))
            for spec in requested:
                events.container(tx, record, "unpublish", {"port": exposed_port(spec)})
            begin_intent(tx, IntentKind.SANDBOX_CHANGE, record.id)
        for member, cut in zip(members, gone, strict=True):
            if member.endpoint.phase != FORMER:
                sandbox.unpublish(host, record, member, cut)
        with host.store.write() as tx:
            end_intent(tx, IntentKind.SANDBOX_CHANGE, record.id)
    announce(host)


def _take_all_back(
    record: ContainerRecord, members: Sequence[JoinedEndpoint], requested: Sequence[PortSpec]
) -> tuple[Sequence[PortSpec], list[JoinedEndpoint], list[list[PortRecord]]]:
    """Return the port settings and endpoints without the ports of ``requested``, and each endpoint's removed ports.

    ``members`` are all endpoints of the container. The results have the same order. Neither the store nor the kernel is
    changed. Raises NotFound if one of the ports is not published.
    """
    bindings: Sequence[PortSpec] = port_assignment.requested_ports(record)
    left = list(members)
    gone: list[list[PortRecord]] = [[] for _ in members]
    for item in requested:
        for spec in port_settings.with_chosen_ports(bindings, item, _ports(left)):
            bindings = port_settings.without(record.name, bindings, spec, _ports(left))
            for index, member in enumerate(left):
                left[index], cut = _take_back(member, spec, bindings)
                gone[index] += cut
    return bindings, left, gone


def _ports(members: Iterable[JoinedEndpoint]) -> list[PortRecord]:
    return [port for member in members for port in member.endpoint.ports]


def _take_back(
    member: JoinedEndpoint, requested: PortSpec, bindings: Sequence[PortSpec]
) -> tuple[JoinedEndpoint, list[PortRecord]]:
    """Return a copy of the endpoint without the ports of ``requested``, and the records of the removed ports.

    ``bindings`` are the port settings that remain. Neither the store nor the kernel is changed.
    """
    gone, kept = port_settings.closed(member.endpoint.ports, requested, bindings)
    return member.with_ports(kept), gone
