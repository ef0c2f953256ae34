"""Find the target: a container, a published port, the host, an endpoint on another host, or an external machine.

The result is a `PacketPath`. This module does not compare kernel state, and sends nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from ipaddress import ip_address

from msgspec.structs import replace

from drivers.linux import listeners, path_lookup
from drivers.linux.host import interface_addresses
from drivers.model import IPAddress
from drivers.scalars import socket_text
from engine.diagnosis.trace import direct_access
from engine.diagnosis.trace.model import Culprit, CulpritFound
from engine.diagnosis.trace.packet_path import BRIDGED, EXTERNAL, LOCAL, REMOTE, ROUTED, PacketPath
from engine.diagnosis.trace.records import HOST, KNOWN_ADDRESSES, OUTSIDE, Place, Records, addresses
from engine.diagnosis.trace.source import of_container
from engine.diagnosis.trace.target import Target
from engine.endpoints.sandbox import JoinedEndpoint, gateways
from engine.host import addresses_of
from engine.model import ContainerRecord, EndpointRecord, PortRecord
from engine.ports.allocation import is_translated

Published = tuple[EndpointRecord, PortRecord]
"""A published port, and the endpoint that has it."""


class Destinations:
    """Finds the path from one source to a target."""

    def __init__(self, records: Records, source: Place) -> None:
        self._records, self._source = records, source
        self._members = records.members(source.record) if source.record is not None else []
        self._host_addresses = {address: name for name, address in interface_addresses()}

    def published(self, target: Target) -> PacketPath:
        """Return the path to the target ``published:PORT``: a published port of this host.

        Raises `CulpritFound` if the port is not published, or if the source reaches no address on which it is
        published.
        """
        published = self._publishing(target.port, target.protocol)
        if not published:
            raise CulpritFound(self._nothing_published(target))
        reachable = [(b, a) for b, a in ((b, self._host_address(b[1])) for b in published) if a is not None]
        if not reachable:
            raise CulpritFound(self._elsewhere(target.port, published))
        held = [(b, a) for b, a in reachable if self._is_of_host(a)]
        if not held:
            raise CulpritFound(_lost(target, reachable[0][1]))
        (endpoint, binding), address = held[0]
        return self._through(endpoint, binding, address, target.port)

    def path(self, target: Target, addresses: Sequence[IPAddress]) -> PacketPath:
        """Return the path to the target at the best of its ``addresses``, which the method `_best` chooses.

        Raises `CulpritFound` if the target has no usable path. Example: the target's port is published only on
        addresses that the source does not reach.
        """
        address = self._best(addresses)
        if self._source.kind == OUTSIDE:
            return self._from_outside(target, address)
        if address.is_loopback:
            return self._at_loopback(target, address)
        held = self._records.at(address)
        shared = [m for m in held for member in self._members if member.network.id == m.network.id]
        own_member = next((m for m in held if any(m.endpoint.id == o.endpoint.id for o in self._members)), None)
        if own_member is not None:
            return self._made(target, address, LOCAL, self._source, own_member)
        if shared or held:
            return self._to_member(target, address, (shared or held)[0])
        return self._without_endpoint(target, address)

    def _best(self, addresses: Sequence[IPAddress]) -> IPAddress:
        """Return the address to trace: the first of ``addresses`` that is on a network of the source.

        If no address is on such a network, return the first address of an IP version that the source has. If no address
        has such a version, return the first of ``addresses``.
        """
        shared = {m.network.id for m in self._members}
        for address in addresses:
            if any(m.network.id in shared for m in self._records.at(address)):
                return address
        versions = {address.version for address in addresses_of(member.endpoint for member in self._members)}
        return next((a for a in addresses if a.version in versions), addresses[0])

    def _to_member(self, target: Target, address: IPAddress, member: JoinedEndpoint) -> PacketPath:
        near = next((m for m in self._members if m.network.id == member.network.id), None)
        kind = BRIDGED if near is not None else ROUTED
        if "/" in member.endpoint.container_id:  # an endpoint on another host of the cluster
            kind = REMOTE
        return self._made(target, address, kind, self._place_of(member), member, near)

    def _at_loopback(self, target: Target, address: IPAddress) -> PacketPath:
        published = self._matching(target.port, target.protocol, address) if not self._source.netns_path else None
        if published is not None:
            return self._through(*published, address, target.port)
        if not self._source.netns_path and self._source.kind == "host":
            self._require_no_other_binding(target, address)
        return self._made(target, address, LOCAL, self._source)

    def _at_host(self, target: Target, address: IPAddress) -> PacketPath:
        """Return the path to one of the host's own addresses: to a published port, or to a process of the host."""
        published = self._matching(target.port, target.protocol, address)
        if published is not None:
            return self._through(*published, address, target.port)
        self._require_no_other_binding(target, address)
        kind = ROUTED if self._source.netns_path or self._source.kind == OUTSIDE else LOCAL
        return self._made(target, address, kind, HOST)

    def _require_no_other_binding(self, target: Target, address: IPAddress) -> None:
        """Check whether a container's port settings show why the target's port is not published on ``address``.

        ``address`` is one of the host's own addresses. Raises `CulpritFound` in two cases:

        - The port is published, but only on other addresses.
        - The user asked to publish the port on ``address``, but the network's gateway mode publishes no port.

        Raises nothing if a process of the host listens on the port at ``address``. Sockets with which the agent holds
        published ports do not count.
        """
        recorded = list(self._recorded(target.port, target.protocol))
        others = self._publishing(target.port, target.protocol)
        held = {ip_address(binding.host_ip) for _, binding in others}
        listening = [a for a in listeners.at(target.protocol, target.port) if a not in held] if recorded else []
        if listeners.accepts(listening, address, ipv6_only=listeners.is_ipv6_only(target.protocol, target.port)):
            return
        for endpoint, binding in recorded:
            if _covers(binding, address):
                raise CulpritFound(self._untranslated(target, endpoint, binding))
        if others and target.port:
            raise CulpritFound(self._elsewhere(target.port, others, address))

    def _is_of_host(self, address: IPAddress) -> bool:
        """Return whether this host has an address, or a local route to it (type "local" in ip-route(8))."""
        return address in self._host_addresses or address.is_loopback or path_lookup.route(address).kind == "local"

    def _without_endpoint(self, target: Target, address: IPAddress) -> PacketPath:
        """Return the path to an address that no endpoint has; raises `CulpritFound` if no machine can have it."""
        if self._is_of_host(address):
            return self._at_host(target, address)
        if self._source.kind == OUTSIDE:  # for other sources, another machine may have the address now
            published = self._publishing(target.port, target.protocol)
            if any(ip_address(binding.host_ip) == address for _, binding in published):
                raise CulpritFound(_lost(target, address))
        subnets = self._records.of_subnet(address)
        local = [n for n in subnets if n.scope == "local"]
        if local:
            names = ", ".join(n.name for n in local)
            detail = f"{address} is in the subnet of network {names}, and no container has it"
            fix = f"look at the addresses that are in use: hawse network inspect {local[0].name}"
            raise CulpritFound(Culprit("no-such-endpoint", f"address {address}", f"network {names}", detail, fix))
        if self._source.kind == OUTSIDE and path_lookup.route(address).interface == self._source.interface:
            detail = f"neither this host nor a container has {address}, so packets from outside do not come here"
            raise CulpritFound(Culprit("no-such-endpoint", f"address {address}", "outside", detail, KNOWN_ADDRESSES))
        near = next((m for m in self._members for n in subnets if n.id == m.network.id), None)
        return self._made(target, address, REMOTE if near is not None else EXTERNAL, None, None, near)

    def _from_outside(self, target: Target, address: IPAddress) -> PacketPath:
        """Return the path from an external machine to an address; raises `CulpritFound` if there is none."""
        held = self._records.at(address)
        if address.is_loopback:
            published = self._matching(target.port, target.protocol, address)
            if published is not None and ip_address(published[1].host_ip).is_loopback:
                raise CulpritFound(self._elsewhere(target.port, [published]))
            fix = "ask from host, or use an address of the host's interfaces"
            detail = f"{address} is a loopback address, which every machine has for itself"
            raise CulpritFound(Culprit("no-such-endpoint", f"address {address}", "outside", detail, fix))
        if held:
            return self._from_outside_to(held[0], target, address)
        return self._without_endpoint(target, address)

    def _from_outside_to(self, member: JoinedEndpoint, target: Target, address: IPAddress) -> PacketPath:
        """Return the path from an external machine to a container; raises `CulpritFound` if there is none.

        - If the user named an address, the path leads directly to this address, even if hawse's rules block the path.
        - If the user named the container, the path leads through a published port that the machine can reach.
        - Without such a port, the path leads directly to the container, but only if hawse's rules permit this.
        """
        container = self._records.container_of(member)
        direct = self._made(target, address, ROUTED, self._place_of(member), member)
        if target.address is not None or container is None:
            return direct
        bindings = self._bindings_to(container, target)
        for endpoint, binding, port in bindings:
            reached = self._host_address(binding)
            if reached is not None:
                return self._through(endpoint, binding, reached, port)
        received = self._source.interface
        if direct_access.is_permitted(self._records, member, target, address.version, received=received):
            return direct
        if bindings:
            raise CulpritFound(self._elsewhere(bindings[0][2], [bindings[0][:2]]))
        raise CulpritFound(_shut(container, member, target))

    def _bindings_to(self, container: ContainerRecord, target: Target) -> list[tuple[EndpointRecord, PortRecord, int]]:
        return [
            (m.endpoint, p, p.host_port + target.port - p.port)
            for m in self._records.members(container)
            for p in m.endpoint.ports
            if p.protocol == target.protocol and p.port <= target.port <= p.port_end
            if self._is_translated(m.endpoint, p)
        ]

    def _through(self, endpoint: EndpointRecord, binding: PortRecord, address: IPAddress, port: int) -> PacketPath:
        """Return the path through the published port ``binding`` of ``endpoint``.

        ``address`` and ``port`` are the host's address and port to which the source sends.
        """
        member = self._records.joined(endpoint)
        path = self._made(Target("", port, binding.protocol), address, ROUTED, self._place_of(member), member)
        return replace(path, inner_port=_inner_port(binding, port), binding=binding)

    def _place_of(self, member: JoinedEndpoint) -> Place | None:
        container = self._records.container_of(member)
        return of_container(self._records, container) if container is not None else None

    def _made(
        self,
        target: Target,
        address: IPAddress,
        kind: str,
        place: Place | None,
        member: JoinedEndpoint | None = None,
        near: JoinedEndpoint | None = None,
    ) -> PacketPath:
        return PacketPath(
            self._source,
            address,
            target.port,
            target.protocol,
            kind,
            near or self._leaving(address.version) if kind != LOCAL else None,
            place,
            member,
            target.port,
        )

    def _leaving(self, version: int) -> JoinedEndpoint | None:
        """Return the endpoint by which the source sends to other networks: the one with the default route.

        Without a default route, returns the source's first endpoint. Returns None if the source has no endpoint.
        """
        if self._source.record is None or not self._members:
            return None
        best4, best6 = gateways(self._records.owner(self._source.record), self._members)
        return (best4 if version == 4 else best6) or self._members[0]

    def _publishing(self, port: int, protocol: str) -> list[Published]:
        translated = [(e, p) for e, p in self._recorded(port, protocol) if self._is_translated(e, p)]
        return sorted(
            translated, key=lambda pair: (":" in pair[1].host_ip, not ip_address(pair[1].host_ip).is_unspecified)
        )

    def _recorded(self, port: int, protocol: str) -> Iterator[Published]:
        for endpoint in self._records.endpoints:
            for binding in (self._requested(endpoint, recorded) for recorded in endpoint.ports):
                if binding.protocol == protocol and binding.host_port <= port <= binding.host_port_end:
                    yield endpoint, binding

    def _requested(self, endpoint: EndpointRecord, binding: PortRecord) -> PortRecord:
        """Return the port record ``binding``; if it has no host port, add the host port that the user asked for.

        A record has no host port if the gateway mode of the network publishes none. If the user asked for no host port,
        ``binding`` is returned unchanged.
        """
        container = self._records.containers.get(endpoint.container_id)
        if binding.host_port or container is None:
            return binding
        for spec in container.host.port_bindings:
            if spec.protocol == binding.protocol and binding.port in spec.ports and spec.host_ports:
                first = spec.host_ports[0] + binding.port - spec.port
                return replace(binding, host_port=first, host_port_end=first + binding.port_end - binding.port)
        return binding

    def _is_translated(self, endpoint: EndpointRecord, binding: PortRecord) -> bool:
        """Return whether the host translates (DNAT) a recorded port, ``binding``, to ``endpoint``.

        The gateway mode of the endpoint's network decides this. If the port's host address is IPv4, the endpoint must
        also have an IPv4 address.
        """
        network, version = self._records.networks[endpoint.network_id], ip_address(binding.host_ip).version
        inside = endpoint.ipv4 or version == 6
        return bool(inside) and is_translated(network, version, has_ipv6=bool(endpoint.ipv6))

    def _matching(self, port: int, protocol: str, address: IPAddress) -> Published | None:
        return next((pair for pair in self._publishing(port, protocol) if _covers(pair[1], address)), None)

    def _host_address(self, binding: PortRecord) -> IPAddress | None:
        """Return a host address at which the source reaches a published port, or None if there is none."""
        host_ip = ip_address(binding.host_ip)
        on_host = not self._source.netns_path and self._source.kind != OUTSIDE
        if not host_ip.is_unspecified:
            return host_ip if on_host or not host_ip.is_loopback else None
        if on_host:
            return ip_address("127.0.0.1" if host_ip.version == 4 else "::1")
        return self._outward_address(host_ip.version)

    def _outward_address(self, version: int) -> IPAddress | None:
        """Return an address of the host that other machines and containers can reach, or None if there is none.

        The address of the external interface is preferred. Otherwise, any address is used that is not loopback or
        link-local.
        """
        usable = [
            (a, n)
            for a, n in self._host_addresses.items()
            if a.version == version and not (a.is_loopback or a.is_link_local)
        ]
        chosen = [a for a, name in usable if name == self._source.interface]
        if not self._source.interface:
            source = path_lookup.route(path_lookup.anywhere(version)).source
            chosen = [source] if source is not None else []
        return next(iter([*chosen, *(a for a, _ in usable)]), None)

    def _nothing_published(self, target: Target) -> Culprit:
        for endpoint, binding in self._recorded(target.port, target.protocol):
            return self._untranslated(target, endpoint, binding)
        what = f"port {target.port}/{target.protocol}"
        for container in self._records.containers.values():
            for spec in container.host.port_bindings:
                if spec.protocol == target.protocol and target.port in spec.host_ports:
                    of_container(self._records, container)  # raises `CulpritFound` if the container is stopped
                    return self._without_port(what, container)
        fix = f"publish it: hawse publish CONTAINER -p {target.port}:CONTAINER_PORT/{target.protocol}"
        return Culprit("not-published", what, "host", f"no container publishes the host's {what}", fix)

    def _without_port(self, what: str, container: ContainerRecord) -> Culprit:
        """Return the culprit for a requested port that no network of the running container publishes."""
        name, joined = container.name, self._records.members(container)
        there = ", ".join(sorted(m.network.name for m in joined)) or "no network"
        detail = f"{name} is on {there}, which publishes no port of it"
        fix = f"connect it to a network that publishes ports, no internal one: hawse network connect NETWORK {name}"
        return Culprit("not-published", f"{what} of {name}", "host", detail, fix)

    def _untranslated(self, target: Target, endpoint: EndpointRecord, binding: PortRecord) -> Culprit:
        """Return the culprit for a requested port that is not published, because of the network's gateway mode."""
        member = self._records.joined(endpoint)
        network, name, inner = member.network, self._records.name_of(member), _inner_port(binding, target.port)
        sockets = " or ".join(socket_text(a, inner) for a in addresses(endpoint))
        detail = f"network {network.name} of {name} has a gateway mode that publishes no port on the host"
        what, fix = f"port {target.port}/{target.protocol} of {name}", f"use the container's own address: {sockets}"
        return Culprit("not-published", what, "host", detail, fix)

    def _elsewhere(self, port: int, published: Sequence[Published], asked: IPAddress | None = None) -> Culprit:
        """Return the culprit for a host port that is published, but not on the address ``asked``.

        If ``asked`` is None, the source reaches none of the addresses on which ``port`` is published.
        """
        service = f"{port}/{published[0][1].protocol}"
        places = ", ".join(dict.fromkeys(socket_text(b.host_ip, port) for _, b in published))
        whose = "machines outside do" if self._source.kind == OUTSIDE else f"{self._source} does"
        apart = f"not on {asked}" if asked is not None else f"which {whose} not reach"
        usable = next(filter(None, (self._host_address(b) for _, b in published)), None)
        fix = f"use {socket_text(usable, port)}" if usable is not None else self._republishing(port, published)
        detail = f"port {service} is published on {places} only, {apart}"
        return Culprit("published-elsewhere", f"port {service} on {places}", "host", detail, fix)

    def _republishing(self, port: int, published: Sequence[Published]) -> str:
        """Return the remedy for a host port that is published only on addresses that the source does not reach.

        ``hawse unpublish`` closes all host ports of a container port. Therefore the remedy's commands also publish the
        container port's other host ports again.
        """
        endpoint, binding = published[0]
        name = self._records.name_of(self._records.joined(endpoint))
        inner = _inner_port(binding, port)
        service = f"{inner}/{binding.protocol}"
        if any(e.container_id != endpoint.container_id or _inner_port(b, port) != inner for e, b in published):
            return f"publish it on one more address: hawse publish {shlex.quote(name)} -p ADDRESS:{port}:{service}"
        kept = [
            f"{b.host_socket(inner)}:{service}"
            for e in self._records.endpoints
            for b in e.ports
            if e.container_id == endpoint.container_id and b.protocol == binding.protocol
            if b.port <= inner <= b.port_end and not b.host_port <= port <= b.host_port_end
        ]
        flags = " ".join(f"-p {shlex.quote(value)}" for value in (f"{port}:{service}", *kept))
        own = shlex.quote(name)
        return f"publish it on every address: hawse unpublish {own} {service} && hawse publish {own} {flags}"


def _shut(container: ContainerRecord, member: JoinedEndpoint, target: Target) -> Culprit:
    """Return the culprit for a container that does not publish the target's port to outside machines.

    ``member`` is the container's endpoint. If its network is internal, the culprit is the network.
    """
    if member.network.internal:
        detail = f"{container.name} is on network {member.network.name}, which is internal: it has no way in or out"
        fix = f"connect {container.name} to a second network that is not internal, and publish its port there"
        return Culprit("network-internal", f"network {member.network.name}", "host", detail, fix)
    service = f"port {f'{target.port}/' if target.port else ''}{target.protocol} of {container.name}"
    detail = f"{service} is not published"
    fix = f"publish it: hawse publish {shlex.quote(container.name)} -p {target.port}:{target.port}/{target.protocol}"
    if not target.port:
        detail = f"{container.name} has no address that machines outside can ping"
        fix = "publish the ports they need"
    return Culprit("not-published", service, "host", detail, fix)


def _covers(binding: PortRecord, address: IPAddress) -> bool:
    """Return whether a port is published on ``address``, or on all addresses of its IP version."""
    host_ip = ip_address(binding.host_ip)
    return host_ip == address or (host_ip.is_unspecified and host_ip.version == address.version)


def _lost(target: Target, address: IPAddress) -> Culprit:
    """Return the culprit for a host address on which the target's port is published, and which the host has lost."""
    detail = f"port {target.port}/{target.protocol} is published on {address}, and this host does not have this address"
    fix = f"add it, if no other machine has it: ip address add {address}/LENGTH dev INTERFACE"
    return Culprit("wrong-address", f"address {address} of host", "host", detail, fix)


def _inner_port(binding: PortRecord, host_port: int) -> int:
    """Return the container's port to which the host port ``host_port`` leads.

    ``binding`` is the record of the published range that includes ``host_port``.
    """
    return binding.port + host_port - binding.host_port
