"""Changing the published ports of a container that may be running, without touching its other connections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine import sandbox
from engine.containers import lookup, ports, release
from engine.errors import Forbidden, NotFound
from engine.host import Host
from engine.locks import locked
from engine.model import ContainerRecord, PortRecord, PortSpec
from engine.names_service import announce
from engine.sandbox import Membership


def publish(host: Host, reference: str, specs: Sequence[PortSpec]) -> None:
    """Publish more ports, at once when the container runs; kept in its configuration."""
    found = lookup.resolve(host, reference)
    with locked(host.run, "container", found.id):
        publish_locked(host, found.id, specs)


def publish_locked(host: Host, container_id: str, specs: Sequence[PortSpec]) -> None:
    """The same under a lock that the caller holds."""
    record = lookup.resolve(host, container_id)
    wanted = [*record.host.port_bindings, *(s for s in specs if s not in record.host.port_bindings)]
    exposed = {*record.config.exposed_ports, *(f"{s.port}/{s.protocol}" for s in specs)}
    record = replace(
        record,
        host=replace(record.host, port_bindings=wanted),
        config=replace(record.config, exposed_ports=sorted(exposed)),
    )
    member = None
    if lookup.observed(host, record).status == "running":
        member = ports.holder(host, record, release.memberships(host, record.id))
        if member is None:
            raise Forbidden(f"container {record.name} is on no network that ports can be published from")
    added: list[PortRecord] = []
    with host.store.write() as tx:
        if member is not None:
            added = ports.allocate(tx, host, record, member, specs)
            held = replace(member.endpoint, ports=[*member.endpoint.ports, *added])
            ports.record_ports(tx, record, held)
            member = replace(member, endpoint=held)
        tx.put_container(record)
    if member is not None:
        sandbox.publish(host, record, member, added)
    announce(host)


def unpublish(host: Host, reference: str, port: int, protocol: str) -> None:
    """Take one container port back; a range that holds it is split around it."""
    found = lookup.resolve(host, reference)
    with locked(host.run, "container", found.id):
        record = lookup.resolve(host, found.id)
        kept = [s for s in record.host.port_bindings if (s.port, s.protocol) != (port, protocol)]
        if len(kept) == len(record.host.port_bindings):
            raise NotFound(f"No public port '{port}/{protocol}' published for {record.name}")
        for member in release.memberships(host, record.id):
            _take_back(host, record, member, port, protocol)
        with host.store.write() as tx:
            tx.put_container(replace(record, host=replace(record.host, port_bindings=kept)))
    announce(host)


def _take_back(host: Host, record: ContainerRecord, member: Membership, port: int, protocol: str) -> None:
    hit = [p for p in member.endpoint.ports if p.protocol == protocol and p.port <= port <= p.port_end]
    if not hit:
        return
    rest = [piece for p in hit for piece in _around(p, port)]
    kept = [*(p for p in member.endpoint.ports if p not in hit), *rest]
    with host.store.write() as tx:
        tx.put_endpoint(replace(member.endpoint, ports=kept))
    sandbox.unpublish(host, record, member, hit)
    sandbox.publish(host, record, member, rest)


def _around(held: PortRecord, port: int) -> list[PortRecord]:
    """What is left of a range without one container port."""
    offset = port - held.port
    below = replace(held, port_end=port - 1, host_port_end=held.host_port + offset - 1)
    above = replace(held, port=port + 1, host_port=held.host_port + offset + 1)
    return [p for p in (below, above) if p.port <= p.port_end]


def rehome(host: Host, record: ContainerRecord, members: Sequence[Membership], kept: Sequence[PortRecord]) -> None:
    """Give ports whose endpoint has left to the endpoint they belong to now, with the same numbers."""
    target = ports.holder(host, record, members)
    if target is None:
        return
    held = replace(target.endpoint, ports=kept)
    with host.store.write() as tx:
        ports.record_ports(tx, record, held)
    sandbox.publish(host, record, replace(target, endpoint=held), kept)
