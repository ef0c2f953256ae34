"""Publish or unpublish ports of a container that may be running. Connections to the container's other ports are not
interrupted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from drivers.port_ranges import around, part
from engine.agent.client import announce
from engine.containers import lookup, port_assignment
from engine.endpoints import reservation, sandbox
from engine.endpoints.sandbox import JoinedEndpoint
from engine.errors import Forbidden, NotFound
from engine.events import record as events
from engine.host import Host, begin_intent, end_intent
from engine.model import PortRecord, PortSpec
from engine.ports.allocation import exposed_port, includes, without
from engine.store.api import IntentKind, Transaction
from engine.store.locks import locked

"""Work on the ports or routes of a running container."""


def publish(host: Host, reference: str, specs: Sequence[PortSpec]) -> None:
    """Publish additional ports of a container, and add them to the container's configuration.

    If the container is running, the ports are reachable immediately.
    """
    container = lookup.resolve(host, reference)
    with locked(host.run, "container", container.id):
        publish_locked(host, container.id, specs)
        announce(host)


def publish_locked(host: Host, container_id: str, specs: Sequence[PortSpec]) -> None:
    """Publish additional ports as `publish` does. The caller holds the container lock, and notifies the agent after the
    call.
    """
    record = lookup.resolve(host, container_id)
    known = record.host.port_bindings
    bindings = [*known, *(spec for spec in specs if not any(includes(one, spec) for one in known))]
    exposed = {*record.config.exposed_ports, *map(exposed_port, specs)}
    record = replace(
        record,
        host=replace(record.host, port_bindings=bindings),
        config=replace(record.config, exposed_ports=sorted(exposed)),
    )
    member = None
    if lookup.with_actual_state(host, record).status == "running":
        member = port_assignment.holder(host, record, reservation.memberships(host, record.id))
        if member is None:
            raise Forbidden(f"container {record.name} is on no network that ports can be published from")
    added: list[PortRecord] = []
    with host.store.write() as tx:
        if member is not None:
            added = port_assignment.allocate(tx, host, record, member, specs)
            held = replace(member.endpoint, ports=[*member.endpoint.ports, *added])
            port_assignment.record_ports(tx, record, held)
            member = replace(member, endpoint=held)
            begin_intent(tx, IntentKind.SANDBOX_CHANGE, record.id)
        tx.put_container(record)
        for spec in specs:
            events.container(tx, record, "publish", {"port": f"{_range(spec.ports)}/{spec.protocol}"})
    if member is not None:
        sandbox.publish(host, record, member, added)
        with host.store.write() as tx:
            end_intent(tx, IntentKind.SANDBOX_CHANGE, record.id)


def unpublish(host: Host, reference: str, first: int, last: int, protocol: str) -> None:
    """Unpublish the container ports ``first`` to ``last``. If a published port range is larger, the range is split, and
    the other ports of the range stay published.

    Raises NotFound if one of the ports ``first`` to ``last`` is not published.
    """
    container = lookup.resolve(host, reference)
    with locked(host.run, "container", container.id):
        record = lookup.resolve(host, container.id)
        specs = record.host.port_bindings
        missing = _uncovered(range(first, last + 1), [s.ports for s in specs if s.protocol == protocol])
        if missing is not None:
            raise NotFound(f"No public port '{missing}/{protocol}' published for {record.name}")
        kept = [p for s in specs for p in (without(s, first, last) if s.protocol == protocol else [s])]
        members = reservation.memberships(host, record.id)
        with host.store.write() as tx:
            gone = [_take_back(tx, member, first, last, protocol) for member in members]
            tx.put_container(replace(record, host=replace(record.host, port_bindings=kept)))
            events.container(tx, record, "unpublish", {"port": f"{_range(range(first, last + 1))}/{protocol}"})
            begin_intent(tx, IntentKind.SANDBOX_CHANGE, record.id)
        for member, cut in zip(members, gone, strict=True):
            sandbox.unpublish(host, record, member, cut)
        with host.store.write() as tx:
            end_intent(tx, IntentKind.SANDBOX_CHANGE, record.id)
    announce(host)


def _range(ports: range) -> str:
    return f"{ports[0]}-{ports[-1]}" if len(ports) > 1 else str(ports[0])


def _uncovered(ports: range, held: Iterable[range]) -> int | None:
    """Return the lowest number in ``ports`` that is in none of the ranges ``held``, or None if there is no
    such number.
    """
    port = ports[0]
    for ports_held in sorted(held, key=lambda ports_held: ports_held.start):
        if port in ports_held:
            port = ports_held.stop
    return port if port in ports else None


def _take_back(tx: Transaction, member: JoinedEndpoint, first: int, last: int, protocol: str) -> list[PortRecord]:
    """Remove the container ports ``first`` to ``last`` from an endpoint's record; return the records of the removed
    ports.
    """
    held = member.endpoint.ports
    gone = [cut for p in held if p.protocol == protocol for cut in part(p, first, last)]
    if gone:
        kept = [rest for p in held for rest in (around(p, first, last) if p.protocol == protocol else [p])]
        tx.put_endpoint(replace(member.endpoint, ports=kept))
    return gone
