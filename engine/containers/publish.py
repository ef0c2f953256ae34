"""Publish or unpublish ports of a container that may be running. Connections to the container's other ports are not
interrupted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from drivers import port_ranges
from engine.agent.client import announce
from engine.containers import lookup, port_assignment
from engine.endpoints import links, reservation, sandbox
from engine.endpoints.sandbox import JoinedEndpoint
from engine.errors import Forbidden, NotFound
from engine.events import record as events
from engine.host import Host, begin_intent, end_intent, rollback_on_error
from engine.model import ContainerRecord, PortRecord, PortSpec
from engine.ports.allocation import around, exposed_port, includes, part
from engine.store.api import IntentKind
from engine.store.locks import locked

OTHER_WILDCARD = {"0.0.0.0": "::", "::": "0.0.0.0"}


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

    The caller notifies the agent after the call. If the driver refuses the ports, the records stay as they were.
    """
    former = lookup.resolve(host, container_id)
    record = _with_ports(former, specs)
    member = None
    if lookup.is_running(host, record):
        member = port_assignment.holder(host, record, reservation.memberships(host, record.id))
        if member is None:
            raise Forbidden(f"container {record.name} is on no network that ports can be published from")
    added: list[PortRecord] = []
    with host.store.write() as tx:
        if member is not None:
            added = port_assignment.allocate(tx, host, record, member, specs)
            held = replace(member.endpoint, ports=(*member.endpoint.ports, *added))
            port_assignment.record_ports(tx, record, held)
            member = replace(member, endpoint=held)
            begin_intent(tx, IntentKind.SANDBOX_CHANGE, record.id)
        tx.put_container(record)
        for spec in specs:
            events.container(tx, record, "publish", {"port": exposed_port(spec)})
    if member is not None:
        with rollback_on_error(
            host, IntentKind.SANDBOX_CHANGE, record.id, lambda *_: _withdraw(host, former, member, added, specs)
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
    """Open the container's exposed ports to the containers that link to it; idempotent."""
    for member in reservation.memberships(host, record.id):
        links.open_links(host, record, member)


def _withdraw(
    host: Host, former: ContainerRecord, member: JoinedEndpoint, added: Sequence[PortRecord], specs: Sequence[PortSpec]
) -> None:
    """Undo a publication: restore the container's record ``former``, and remove the ports ``added`` from an endpoint.

    ``member`` is the endpoint with these ports. For each of ``specs``, the port settings of the publication, an event
    "unpublish" is added.
    """
    kept = tuple(port for port in member.endpoint.ports if port not in added)
    with host.store.write() as tx:
        tx.put_endpoint(replace(member.endpoint, ports=kept))
        tx.put_container(former)
        for spec in specs:
            events.container(tx, former, "unpublish", {"port": exposed_port(spec)})
    sandbox.unpublish(host, former, member, added)
    _open_links(host, former)


def unpublish(host: Host, reference: str, requested: Sequence[PortSpec]) -> None:
    """Unpublish the container ports of ``requested``; other ports of a published port range stay published.

    An item of ``requested`` may have a host port or a host address. Then only ports with this host port or address are
    unpublished. If the address is 0.0.0.0 or ::, a port that is published at both stays published at the other. Raises
    NotFound if one of the ports is not published; no port is unpublished in this case.
    """
    container = lookup.resolve(host, reference)
    with locked(host.run, "container", container.id):
        record = lookup.resolve(host, container.id)
        members = reservation.memberships(host, record.id)
        bindings, left = record.host.port_bindings, list(members)
        gone: list[list[PortRecord]] = [[] for _ in members]
        for spec in requested:
            bindings = _without(record, bindings, spec, [port for member in left for port in member.endpoint.ports])
            for index, member in enumerate(left):
                left[index], cut = _take_back(member, spec)
                gone[index] += cut
        with host.store.write() as tx:
            for member, cut in zip(left, gone, strict=True):
                if cut:
                    tx.put_endpoint(member.endpoint)
            tx.put_container(replace(record, host=replace(record.host, port_bindings=bindings)))
            for spec in requested:
                events.container(tx, record, "unpublish", {"port": exposed_port(spec)})
            begin_intent(tx, IntentKind.SANDBOX_CHANGE, record.id)
        for member, cut in zip(members, gone, strict=True):
            sandbox.unpublish(host, record, member, cut)
        with host.store.write() as tx:
            end_intent(tx, IntentKind.SANDBOX_CHANGE, record.id)
    announce(host)


def _without(
    record: ContainerRecord, bindings: Sequence[PortSpec], requested: PortSpec, published: Sequence[PortRecord]
) -> tuple[PortSpec, ...]:
    """Return a container's port settings ``bindings`` without the ports of ``requested``.

    ``published`` has the container's published ports. Raises NotFound if one of the requested ports is not published.
    """
    meant = _meant(requested, bindings, published)
    missing = _uncovered(requested.ports, [s.ports for s in meant])
    if missing is not None:
        where = f"{requested.host_ip and requested.host_ip + ':'}{requested.host_port and requested.host_port + ':'}"
        raise NotFound(f"No public port '{where}{missing}/{requested.protocol}' published for {record.name}")
    kept = list(bindings)
    for spec in meant:
        place = kept.index(spec)  # another setting may be equal, and stays
        kept[place : place + 1] = _left(spec, requested, published)
    return tuple(kept)


def _uncovered(ports: range, held: Iterable[range]) -> int | None:
    """Return the lowest number in ``ports`` that is in none of the ranges ``held``, or None if there is none."""
    port = ports[0]
    for ports_held in sorted(held, key=lambda ports_held: ports_held.start):
        if port in ports_held:
            port = ports_held.stop
    return port if port in ports else None


def _meant(requested: PortSpec, specs: Sequence[PortSpec], published: Sequence[PortRecord]) -> list[PortSpec]:
    """Return those of a container's port settings ``specs`` from which `unpublish` takes the ports ``requested``.

    If ``requested`` has a host address, the setting must have it too. If no such setting has the ports, a setting
    without a host address counts if its ports are published at this address. ``published`` are the published ports.
    """
    specs = [s for s in specs if s.protocol == requested.protocol]
    specs = [s for s in specs if s.port <= requested.ports[-1] and requested.port <= s.ports[-1]]
    same = _at_host_port(requested, [s for s in specs if requested.host_ip in ("", s.host_ip)], published)
    if same or not any(_is_part(requested, port) for port in published):
        return same
    return _at_host_port(requested, [s for s in specs if not s.host_ip], published)


def _at_host_port(requested: PortSpec, specs: Sequence[PortSpec], published: Sequence[PortRecord]) -> list[PortSpec]:
    """Return those port settings in ``specs`` that have the host port of ``requested``; all if ``requested`` has none.

    If a setting leaves the choice to hawse, ``published`` (the container's published ports) has the chosen host port.
    In this case, only one setting is returned: a setting whose range contains the host port, or else a setting that
    allows any host port.
    """
    if not requested.host_ports:
        return list(specs)
    shift = requested.host_ports[0] - requested.port
    fixed = [s for s in specs if len(s.host_ports) == len(s.ports)]
    if same := [s for s in fixed if s.host_ports[0] - s.port == shift]:
        return same
    if not any(_is_part(requested, port) for port in published):
        return []
    chosen = [s for s in specs if s not in fixed and requested.port in s.ports]
    in_range = [s for s in chosen if requested.host_ports[0] in s.host_ports]
    return (in_range or [s for s in chosen if not s.host_ports])[:1]


def _left(spec: PortSpec, requested: PortSpec, published: Sequence[PortRecord]) -> list[PortSpec]:
    """Return the port settings that remain of a container's port setting ``spec`` without the ports ``requested``.

    A setting without a host address is published at the wildcards of both IP versions. If ``requested`` has only one of
    them, the ports stay published at the other. ``published`` are the container's published ports.
    """
    first, last = max(spec.port, requested.port), min(spec.ports[-1], requested.ports[-1])
    left, other = around(spec, first, last), OTHER_WILDCARD.get(requested.host_ip, "")
    if not spec.host_ip and other and any(_is_part(replace(requested, host_ip=other), port) for port in published):
        left.append(replace(part(spec, first, last), host_ip=other))
    return left


def _is_part(requested: PortSpec, port: PortRecord) -> bool:
    """Return whether the published range ``port`` contains at least one port of ``requested``.

    The host address and the host port must match too, if ``requested`` has them.
    """
    any_host_port = not requested.host_ports or not port.host_port
    is_there = any_host_port or port.host_port - port.port == requested.host_ports[0] - requested.port
    is_overlapping = port.port <= requested.ports[-1] and requested.port <= port.port_end
    return (
        port.protocol == requested.protocol and requested.host_ip in ("", port.host_ip) and is_there and is_overlapping
    )


def _take_back(member: JoinedEndpoint, requested: PortSpec) -> tuple[JoinedEndpoint, list[PortRecord]]:
    """Return a copy of the endpoint without the ports of ``requested``, and the records of the removed ports.

    Neither the store nor the kernel is changed.
    """
    held, first, last = member.endpoint.ports, requested.ports[0], requested.ports[-1]
    gone = [cut for p in held if _is_part(requested, p) for cut in port_ranges.part(p, first, last)]
    kept = [rest for p in held for rest in (port_ranges.around(p, first, last) if _is_part(requested, p) else [p])]
    return replace(member, endpoint=replace(member.endpoint, ports=tuple(kept))), gone
