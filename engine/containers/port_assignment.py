"""Choose the endpoint that gets a container's published ports.

When the default route moves to another endpoint, the published ports move to that endpoint too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from msgspec import Struct

from drivers.linux import host as linux_host
from drivers.port_ranges import range_text
from drivers.registry import facts
from engine.agent import client
from engine.cluster import hooks
from engine.endpoints import sandbox
from engine.endpoints.sandbox import JoinedEndpoint
from engine.errors import KernelFailure, PortFailure, hinted
from engine.host import Host
from engine.model import ContainerRecord, EndpointRecord, PortRecord, PortSpec
from engine.ports import allocation
from engine.ports.allocation import exposed_ranges, is_translated
from engine.ports.probe import HostProbe, free_ports, listens_on_ipv6
from engine.store.api import Reader, Taken, Transaction
from engine.store.codec import decode, encode

HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4"
CURSORS = "port-cursors"
"""The store's key for a mapping from ranges of host ports (`_key`) to the last port chosen from each range.

A reboot deletes the mapping (`forget_cursors`), as a restart of dockerd does.
"""
CURSOR_LIMIT = 256
"""The number of ranges whose last port is stored; the ranges that were used last are kept."""


class StoredCursor(Struct, frozen=True):
    """Keeps in the store which port was chosen last from each port range (`engine.ports.allocation.RangeCursor`)."""

    tx: Transaction

    def last(self, protocol: str, address: str, ports: range) -> int:
        """Return the host port that was chosen last from the port range ``ports``, or 0 if none is stored."""
        return self._read().get(_key(protocol, address, ports), 0)

    def move(self, protocol: str, address: str, ports: range, port: int) -> None:
        """Store ``port`` as the host port that was chosen last from the port range ``ports``.

        The store keeps the last ports of at most `CURSOR_LIMIT` combinations of protocol, host address and range.
        """
        cursors = self._read()
        # Remove the entry first, so that it is added at the end. The entries at the beginning are deleted first.
        cursors.pop(_key(protocol, address, ports), None)
        cursors[_key(protocol, address, ports)] = port
        self.tx.set_meta(CURSORS, encode(dict(list(cursors.items())[-CURSOR_LIMIT:])))

    def _read(self) -> dict[str, int]:
        return decode(dict[str, int], self.tx.meta(CURSORS) or "{}")


def _key(protocol: str, address: str, ports: range) -> str:
    return f"{protocol} {address} {range_text(ports[0], ports[-1])}"


def forget_cursors(tx: Transaction) -> None:
    """Delete the stored last ports of all port ranges, after a reboot.

    The next container then gets the first free port of its range.
    """
    if tx.meta(CURSORS):
        tx.set_meta(CURSORS, "{}")


def requested_ports(record: ContainerRecord) -> list[PortSpec]:
    """Return all ports that the container's configuration publishes.

    The result has the container's port bindings and, with ``-P``, also the ports that the configuration exposes.
    """
    specs = list(record.host.port_bindings)
    if record.host.publish_all_ports:
        bound = {(port, s.protocol) for s in specs for port in s.ports}
        for protocol, first, last in exposed_ranges(record.config.exposed_ports):
            specs += [PortSpec(protocol, p) for p in range(first, last + 1) if (p, protocol) not in bound]
    return specs


def holder(host: Host, record: ContainerRecord, members: Sequence[JoinedEndpoint]) -> JoinedEndpoint | None:
    """Return the endpoint that should have the container's published ports, or None if no endpoint can have them.

    The result is the first endpoint, in the order of ``JoinedEndpoint.priority``, whose network can publish ports.
    Exception: the result is None if an earlier endpoint in this order may have the default route (macvlan, ipvlan). The
    container would send its answers through that endpoint. Docker does the same.
    """
    able = [m for m in members if sandbox.can_publish(host, m.network)]
    first = min(able, key=lambda m: m.priority(record), default=None)
    if first is None or any(m.priority(record) < first.priority(record) for m in members if _may_answer_for(m, first)):
        return None
    return first


def _may_answer_for(member: JoinedEndpoint, publisher: JoinedEndpoint) -> bool:
    """Return whether ``member`` may have the default route for the container's answers to clients.

    ``publisher`` is the endpoint whose published ports the clients use.
    """
    leads_out = not member.network.internal and facts(member.network.driver).offers_gateway
    shares_version = member.endpoint.ipv4 if publisher.endpoint.ipv4 else member.endpoint.ipv6
    return leads_out and bool(shares_version) and member.endpoint.default_route != "no"


def allocate(
    tx: Transaction,
    host: Host,
    record: ContainerRecord,
    member: JoinedEndpoint,
    specs: Sequence[PortSpec],
    avoided: Sequence[PortRecord] = (),
) -> list[PortRecord]:
    """Choose host ports for ``specs``, which will be published on the endpoint ``member``.

    Ports in ``avoided`` are not chosen. Raises `PortFailure` with Docker's error text if a host port is already in use.
    """
    if not specs:
        return []  # there is no port to choose, so the ports of all other endpoints need not be read
    with _docker_error_text(tx, record, member.endpoint):
        taken = [*tx.ports(), *avoided]
        return allocation.allocate_ports(specs, taken, _host_side(host, member), StoredCursor(tx))


def _allocate_again(
    tx: Transaction, host: Host, record: ContainerRecord, member: JoinedEndpoint, former: Sequence[PortRecord]
) -> list[PortRecord]:
    """Choose host ports again when a container's published ports move to the endpoint ``member``.

    As in Docker, a host port that the user chose stays the same. Any other host port changes: the new port is none of
    ``former``, the ports before the move.
    """
    specs = requested_ports(record)
    fixed = [spec for spec in specs if spec.is_fixed]
    kept = allocate(tx, host, record, member, fixed)
    free = [spec for spec in specs if spec not in fixed]
    return [*kept, *allocate(tx, host, record, member, free, [*kept, *former])]


def record_ports(tx: Transaction, record: ContainerRecord, endpoint: EndpointRecord) -> None:
    """Store the record of a container's endpoint, including the endpoint's published ports.

    Raises PortFailure with the same error text as `allocate` if one of the host ports belongs to another endpoint in
    the store.
    """
    with _docker_error_text(tx, record, endpoint):
        try:
            tx.put_endpoint(endpoint)
        except Taken as error:
            raise allocation.PortConflict(f"Bind for {error.value} failed: port is already allocated") from error


def move(
    host: Host, record: ContainerRecord, members: Sequence[JoinedEndpoint], former: Sequence[PortRecord] = ()
) -> list[JoinedEndpoint]:
    """Move a container's published ports to the endpoint that `holder` returns; return the container's endpoints.

    ``members`` are the container's endpoints before the move. The host ports are allocated again from the container's
    configuration. Only the host ports that the user chose stay the same (`_allocate_again`). If `holder` returns None,
    the ports are no longer published.

    If no endpoint in ``members`` has ports, the ports are published now. In this case, ``former`` are the ports of a
    removed endpoint, which must not be chosen again.
    """
    target = holder(host, record, members)
    current = next((m for m in members if m.endpoint.ports), None)
    if current is None and (target is None or not requested_ports(record)):
        return list(members)  # most containers publish no port: save a transaction
    if current is not None and target is not None and current.endpoint.id == target.endpoint.id:
        return list(members)
    moved = None
    with host.store.write() as tx:
        if current is not None:
            tx.put_endpoint(current.with_ports(()).endpoint)
        if target is not None:
            former = current.endpoint.ports if current is not None else former
            moved = target.with_ports(_allocate_again(tx, host, record, target, former))
            record_ports(tx, record, moved.endpoint)
    if current is not None:
        sandbox.unpublish(host, record, current, current.endpoint.ports)
    if moved is not None:
        sandbox.publish(host, record, moved, moved.endpoint.ports)
    return [moved if moved is not None and m is target else m.with_ports(()) for m in members]


def _host_side(host: Host, member: JoinedEndpoint) -> allocation.HostAddressing:
    network, has_ipv4, has_ipv6 = member.network, bool(member.endpoint.ipv4), bool(member.endpoint.ipv6)
    default = (network.options or {}).get(HOST_BINDING, "")
    if default in ("", "0.0.0.0"):
        default = host.config.ip if host.config.ip != "0.0.0.0" else ""

    probe = HostProbe(
        lambda: free_ports(linux_host.ephemeral_ports(), linux_host.reserved_ports()),
        read_own=lambda: client.sockets(host.run),
    )
    untranslated = frozenset(v for v in (4, 6) if not is_translated(network, v, has_ipv6=has_ipv6))
    usable6 = listens_on_ipv6() and (has_ipv6 or (has_ipv4 and 6 not in untranslated))
    return allocation.HostAddressing(probe, default, ipv4=has_ipv4, ipv6=usable6, untranslated=untranslated)


@contextmanager
def _docker_error_text(reader: Reader, record: ContainerRecord, endpoint: EndpointRecord) -> Iterator[None]:
    try:
        yield
    except allocation.PortConflict as error:
        network = reader.network(endpoint.network_id)
        kind: type[KernelFailure] = PortFailure
        prefix, name = "", record.name
        if network is not None and hooks.is_gateway(network):
            kind = KernelFailure
            prefix = f"container {record.id}: endpoint join on GW Network failed: "
            name = hooks.shown_name(network, record)
        where = f"endpoint {name} ({endpoint.id})"
        failure = kind(f"{prefix}driver failed programming external connectivity on {where}: {error}")
        raise hinted(failure, _port_holder(reader, error) or error.hint) from error


def _port_holder(reader: Reader, conflict: allocation.PortConflict) -> str:
    """Return a hint that names the container which has the conflicting host port, or "" if no container has it."""
    for endpoint in reader.publishing_endpoints() if conflict.port else ():
        held = (p for p in endpoint.ports if (p.protocol, p.host_ip) == (conflict.protocol, conflict.address))
        if any(p.host_port <= conflict.port <= p.host_port_end for p in held):
            container = reader.container(endpoint.container_id)
            if container is not None:
                return f"The container {container.name} has port {conflict.port}/{conflict.protocol} of the host"
    return ""


def reassign_ports(
    host: Host, record: ContainerRecord, members: Sequence[JoinedEndpoint], former: Sequence[PortRecord]
) -> None:
    """Give the published ports to the endpoint that `holder` returns after the removal of another endpoint.

    ``members`` are the endpoints that the container still has. ``former`` are the ports of the removed endpoint. Only
    the host ports that the user chose stay the same (`_allocate_again`).

    As in Docker, no port is published if another container or another program has one of the host ports by now. In this
    case, no error is raised, except KernelFailure for the gateway bridge.

    ``former`` may be empty even if the container publishes ports. The default route of the removed endpoint may have
    prevented the publication (`holder`). The ports are then published now.
    """
    with suppress(PortFailure):
        move(host, record, members, former)
