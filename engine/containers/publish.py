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


def publish(host: Host, reference: str, specs: Sequence[PortSpec]) -> None:
    """Publish additional ports of a container, and add them to the container's configuration.

    If the container is running, the ports are reachable immediately.
    """
    container = lookup.resolve(host, reference)
    with locked(host.run, "container", container.id):
        publish_locked(host, container.id, specs)
        announce(host)


def publish_locked(host: Host, container_id: str, specs: Sequence[PortSpec]) -> None:
    """Publish additional ports as `publish` does; the caller holds the container lock.

    The caller notifies the agent after the call.
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
    if lookup.is_running(host, record):
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
            events.container(tx, record, "publish", {"port": exposed_port(spec)})
    if member is not None:
        sandbox.publish(host, record, member, added)
        with host.store.write() as tx:
            end_intent(tx, IntentKind.SANDBOX_CHANGE, record.id)


def unpublish(host: Host, reference: str, asked: PortSpec) -> None:
    """Unpublish the container ports of ``asked``.

    If a published port range is larger, the range is split, and its other ports stay published.

    If ``asked`` has a host port or a host address, ports that are published at other host ports or addresses stay
    published. Raises NotFound if one of the ports is not published.
    """
    container = lookup.resolve(host, reference)
    with locked(host.run, "container", container.id):
        record = lookup.resolve(host, container.id)
        members = reservation.memberships(host, record.id)
        specs = record.host.port_bindings
        meant = _meant(asked, specs, [port for member in members for port in member.endpoint.ports])
        missing = _uncovered(asked.ports, [s.ports for s in meant])
        if missing is not None:
            where = f"{asked.host_ip and asked.host_ip + ':'}{asked.host_port and asked.host_port + ':'}"
            raise NotFound(f"No public port '{where}{missing}/{asked.protocol}' published for {record.name}")
        first, last = asked.ports[0], asked.ports[-1]
        kept = [p for s in specs for p in (without(s, first, last) if s in meant else [s])]
        with host.store.write() as tx:
            gone = [_take_back(tx, member, asked) for member in members]
            tx.put_container(replace(record, host=replace(record.host, port_bindings=kept)))
            events.container(tx, record, "unpublish", {"port": exposed_port(asked)})
            begin_intent(tx, IntentKind.SANDBOX_CHANGE, record.id)
        for member, cut in zip(members, gone, strict=True):
            sandbox.unpublish(host, record, member, cut)
        with host.store.write() as tx:
            end_intent(tx, IntentKind.SANDBOX_CHANGE, record.id)
    announce(host)


def _uncovered(ports: range, held: Iterable[range]) -> int | None:
    """Return the lowest number in ``ports`` that is in none of the ranges ``held``, or None."""
    port = ports[0]
    for ports_held in sorted(held, key=lambda ports_held: ports_held.start):
        if port in ports_held:
            port = ports_held.stop
    return port if port in ports else None


def _meant(asked: PortSpec, specs: Sequence[PortSpec], published: Sequence[PortRecord]) -> list[PortSpec]:
    """Return the settings among ``specs`` that publish the ports of ``asked`` at its host address and port.

    If ``asked`` has no host address, any host address matches; if it has no host port, any host port matches.
    ``published`` has the host ports that hawse has chosen for settings without a host port.
    """
    specs = [s for s in specs if s.protocol == asked.protocol and asked.host_ip in ("", s.host_ip)]
    if not asked.host_ports:
        return specs
    shift = asked.host_ports[0] - asked.port
    fixed = [s for s in specs if len(s.host_ports) == len(s.ports)]
    if chosen := [s for s in fixed if s.host_ports[0] - s.port == shift]:
        return chosen
    if not any(_is_part(asked, port) for port in published):
        return []
    return [s for s in specs if s not in fixed and asked.port in s.ports][:1]


def _is_part(asked: PortSpec, port: PortRecord) -> bool:
    """Return whether ``asked`` names ports of the published range ``port``."""
    any_host_port = not asked.host_ports or not port.host_port
    is_there = any_host_port or port.host_port - port.port == asked.host_ports[0] - asked.port
    is_overlapping = port.port <= asked.ports[-1] and asked.port <= port.port_end
    return port.protocol == asked.protocol and asked.host_ip in ("", port.host_ip) and is_there and is_overlapping


def _take_back(tx: Transaction, member: JoinedEndpoint, asked: PortSpec) -> list[PortRecord]:
    """Remove the ports of ``asked`` from an endpoint's record; return the records of the removed ports."""
    held, first, last = member.endpoint.ports, asked.ports[0], asked.ports[-1]
    gone = [cut for p in held if _is_part(asked, p) for cut in part(p, first, last)]
    if gone:
        kept = [rest for p in held for rest in (around(p, first, last) if _is_part(asked, p) else [p])]
        tx.put_endpoint(replace(member.endpoint, ports=kept))
    return gone
