"""Checks of the routes on a path: in the source's namespace, on the host, and in the target's namespace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from drivers.linux import features, path_lookup
from drivers.linux import host as linux_host
from drivers.model import IPAddress
from engine.diagnosis.trace.direct_access import is_isolated
from engine.diagnosis.trace.model import Culprit
from engine.diagnosis.trace.packet_path import BRIDGED, EXTERNAL, LOCAL, REMOTE, ROUTED, PacketPath
from engine.diagnosis.trace.probing import neighbour_outside
from engine.diagnosis.trace.records import HOST, OUTSIDE, Place, Records, address_of, addresses
from engine.diagnosis.trace.source import again, connection, reconnection, removing, without_address
from engine.diagnosis.trace.state import bridge_of
from engine.endpoints.sandbox import JoinedEndpoint


class Routes:
    """The checks of the routes on one `PacketPath`."""

    def __init__(self, records: Records, path: PacketPath) -> None:
        self._records, self._path = records, path

    def routes(self) -> Iterator[Culprit]:
        """Yield a culprit for each missing or wrong route in the source's namespace and on the host.

        On the host, these are the routes to the target and back to the source.
        """
        path = self._path
        if self.isolated_member() is not None:
            return
        if path.kind == LOCAL or path.source.kind == OUTSIDE:
            pass
        elif path.source_member is not None:
            yield from self._from_container(path.source, path.source_member, path.address)
        elif path.source.netns_path:
            yield from self._any(path.source, path.address)
        elif path.target_member is not None and path.binding is None:
            yield from self._on_host(path.target_member, path.inner_address)
        elif path.target is None:
            yield from self._any(path.source, path.address)
        if path.kind in (ROUTED, EXTERNAL):
            yield from self._through_host()

    def isolated_member(self) -> JoinedEndpoint | None:
        """Return the path's endpoint on an isolated network, or None if no isolated network interrupts the path.

        The bridge of an isolated network has no address, so the host has no route through this bridge. Only routed and
        external paths need such a route.
        """
        path = self._path
        if path.kind not in (ROUTED, EXTERNAL):
            return None
        return next((member for member in path.members if is_isolated(member, path.inner_address.version)), None)

    def _from_container(self, place: Place, member: JoinedEndpoint, target: IPAddress) -> Iterator[Culprit]:
        address_here = address_of(member.endpoint, target.version)
        route = place.inside(lambda: path_lookup.route(target, address_here))
        chosen = place.inside(lambda: path_lookup.route(target)).source
        members_here = {m.endpoint.interface: m for m in self._records.members(place.record)} if place.record else {}
        where, what = str(place), f"route to {target} of {place.name}"
        fix = removing(place, target, route)
        if not route.kind:
            detail = f"{place.name} has no route to {target}"
            yield Culprit("no-route", what, where, detail, _without_route(place, members_here.values(), member, target))
        elif route.kind != "unicast":
            yield Culprit("wrong-route", what, where, f"a {route.kind} route matches {target} in {place.name}", fix)
        elif self._path.kind in (BRIDGED, REMOTE) and (route.interface != member.endpoint.interface or route.gateway):
            next_hop = f"{route.interface}{f' via {route.gateway}' if route.gateway else ''}"
            shared = route.interface in members_here and route.gateway is None
            if target.is_link_local and route.interface == member.endpoint.interface:
                yield _without_link_local(place, member, target)
            elif not (shared and members_here[route.interface].network.id == member.network.id):
                detail = f"{target} is a neighbour on {member.endpoint.interface}, but {place.name} sends by {next_hop}"
                yield Culprit("wrong-route", what, where, detail, fix)
        elif self._path.kind == EXTERNAL and _is_adopted(place) and route.interface not in members_here:
            return  # a namespace that hawse did not create may have networks of its own
        elif (
            chosen is not None
            and members_here
            and chosen not in {a for m in members_here.values() for a in addresses(m.endpoint)}
        ):
            detail = f"{place.name} sends to {target} from {chosen}, which is not its address on a network of hawse"
            fix = f"set up its routes again: {again(place, member.network.name)}"
            yield Culprit("wrong-route", what, where, detail, fix)
        elif route.interface not in members_here:
            detail = f"{place.name} sends to {target} by {route.interface}, which is no endpoint of hawse"
            yield Culprit("wrong-route", what, where, detail, fix)
        elif route.gateway is not None and self._is_foreign(route.gateway, members_here[route.interface]):
            detail = f"{place.name} sends to {target} via {route.gateway}, which is not the network's gateway"
            fix = f"set up its routes again: {again(place, member.network.name)}"
            yield Culprit("wrong-route", what, where, detail, fix)

    @staticmethod
    def _is_foreign(gateway: IPAddress, member: JoinedEndpoint) -> bool:
        known = {text for text in (member.endpoint.gateway4, member.endpoint.gateway6) if text}
        return bool(known) and str(gateway) not in known and not gateway.is_link_local

    def _any(self, place: Place, target: IPAddress) -> Iterator[Culprit]:
        route = place.inside(lambda: path_lookup.route(target))
        what, fix = f"route to {target}", f"add a route: {place.command(f'ip route add {target} via ROUTER')}"
        if place.record is not None:  # a container that is on no network
            fix = _without_network(place, (), target.version)
        down = place.inside(lambda: linux_host.down_towards(target)) if not route.kind else ""
        if down:
            detail = f"{place} has no route to {target}, and {down} is down"
            yield Culprit("interface-down", f"interface {down} of {place.name}", str(place), detail, _up(place, down))
        elif not route.kind:
            yield Culprit("no-route", what, str(place), f"{place} has no route to {target}", fix)
        elif route.kind not in ("unicast", "local"):
            detail = f"a {route.kind} route matches {target}"
            yield Culprit("wrong-route", what, str(place), detail, removing(place, target, route))

    def _on_host(self, member: JoinedEndpoint, target: IPAddress) -> Iterator[Culprit]:
        """Yield a culprit if the host's route to an endpoint's address does not use the bridge of its network."""
        if member.network.driver != "bridge":
            return
        bridge, route = bridge_of(member.network), path_lookup.route(target)
        if route.source is not None and self._path.source == HOST:
            # Like the kernel, look up the route again with the source address that the first look-up has chosen.
            route = path_lookup.route(target, route.source)
        what, name = f"route to {target} of the host", self._records.name_of(member)
        if not route.kind:
            detail = f"the host has no route to {target} ({name})"
            yield Culprit("no-route", what, "host", detail, f"ip route add {target} dev {bridge}")
        elif target.is_link_local and route.gateway is not None:
            detail = f"the host has no link-local address on {bridge}, and sends to {target} ({name}) by its gateway"
            yield Culprit("no-route", what, "host", detail, f"ip route add {target} dev {bridge}")
        elif route.kind == "local":
            detail = f"{target} belongs to {name}, and the host has it too, so the host keeps the packets"
            fix = without_address(HOST, features.holders(target))
            yield Culprit("duplicate-address", f"address {target} of {name}", "host", detail, fix)
        elif route.kind != "unicast" or route.interface != bridge:
            by = route.interface if route.kind == "unicast" else f"a {route.kind} route"
            detail = f"the host sends to {target} ({name}) by {by} and not by {bridge}"
            yield Culprit("wrong-route", what, "host", detail, removing(HOST, target, route))

    def _through_host(self) -> Iterator[Culprit]:
        path = self._path
        if path.target_member is not None:
            yield from self._on_host(path.target_member, path.inner_address)
        near, source_address = path.source_member, path.source_address
        if near is not None and source_address is not None:
            yield from self._on_host(near, source_address)
        if near is not None and path.target_member is None and path.kind == EXTERNAL and not path.avoids_host:
            yield from self._any(HOST, path.address)

    def by_rules(self) -> Iterator[Culprit]:
        """Yield a culprit if routing rules (ip rule) send the forwarded packet or its answer to a wrong interface."""
        path, near, far = self._path, self._path.source_bridge, self._path.target_bridge
        client, received = self._client(), near or path.source.interface
        if client is None or not received or path.kind not in (ROUTED, EXTERNAL):
            return
        if self.isolated_member() is not None or (path.target is not None and path.target_member is None):
            return
        if path.avoids_host:
            return
        if client.version == path.inner_address.version:
            yield from self._forwarded(client, received, path.inner_address, far)
            if far:
                yield from self._forwarded(path.inner_address, far, client, near)

    def _client(self) -> IPAddress | None:
        """Return the probe's source address before any masquerade, or None if it is unknown."""
        path = self._path
        if path.source.kind == OUTSIDE:
            return neighbour_outside(path.source.interface, path.address)[0]
        return path.source_address or (path_lookup.route(path.inner_address).source if path.source == HOST else None)

    @staticmethod
    def _forwarded(sender: IPAddress, received: str, target: IPAddress, expected: str) -> Iterator[Culprit]:
        """Yield a culprit if the host does not forward a packet to the interface ``expected``.

        ``received`` is the interface at which the packet arrives. If ``expected`` is "", every interface except
        ``received`` is right.
        """
        route = path_lookup.route(target, sender, received)
        right = route.interface == expected if expected else route.interface != received
        if route.kind == "unicast" and right:
            return
        actual = f"by {route.interface}" if route.interface else f"nowhere ({route.kind or 'no route'})"
        detail = f"packets of {sender} to {target} come in by {received}, and the host sends them {actual}"
        fix = f"correct the rules and routes: ip rule; ip route get {target} from {sender} iif {received}"
        yield Culprit("wrong-route", f"route to {target} of the host", "host", detail, fix)

    def routes_back(self) -> Iterator[Culprit]:
        """Yield a culprit if the route from the target's namespace back to the source is missing or wrong."""
        path = self._path
        if path.target is None or not path.target.netns_path or path.target_member is None or path.kind == LOCAL:
            return
        if self.isolated_member() is not None:
            return
        if path.source.netns_path == path.target.netns_path:
            return  # a container calls its own published port: the host masquerades the packets and gets the answers
        source = self._client()
        if source is not None and source.version == path.inner_address.version:
            route = path.target.inside(lambda: path_lookup.route(source, path.inner_address))
            expected, bridged = path.target_member.endpoint.interface, path.kind == BRIDGED
            if route.kind != "unicast" or (bridged and (route.interface != expected or route.gateway)):
                by = f"{route.interface}{f' via {route.gateway}' if route.gateway else ''}" if route.interface else ""
                kind = "wrong-route" if route.kind else "no-route"
                detail = f"{path.target.name} answers {source} by {by or route.kind or 'no route'}, not by {expected}"
                command = again(path.target, path.target_member.network.name)
                fix = f"correct the routes in {path.target.name}, or set them up again: {command}"
                yield Culprit(kind, f"route to {source} of {path.target.name}", str(path.target), detail, fix)


def _is_adopted(place: Place) -> bool:
    return place.record is not None and place.record.kind == "adopted"


def _without_link_local(place: Place, member: JoinedEndpoint, target: IPAddress) -> Culprit:
    interface = member.endpoint.interface
    detail = f"{place.name} has no link-local address on {interface}, and sends to {target} by its gateway"
    command = place.command(f"ip route add {target} dev {interface}")
    fix = f"use another address of the target, or add a route: {command}"
    return Culprit("no-route", f"route to {target} of {place.name}", str(place), detail, fix)


def _up(place: Place, interface: str) -> str:
    return f"bring it up, and set its addresses and routes again: {place.command(f'ip link set {interface} up')}"


def _without_route(place: Place, members: Iterable[JoinedEndpoint], member: JoinedEndpoint, target: IPAddress) -> str:
    """Return the remedy for a container without a route to ``target``; ``members`` are its endpoints.

    ``member`` is the endpoint on the path. If no endpoint has an address of the target's IP version, a restart would
    give no route. The remedy is then a connection to another network.
    """
    if not any(address_of(each.endpoint, target.version) for each in members):
        return _without_network(place, members, target.version)
    if member.endpoint.default_route == "no":
        commands = reconnection(place, member.network.name)
        return f"add a route in {place.name}, or connect it without --default-route=no: {commands}"
    return f"set up its routes again: {again(place, member.network.name)}"


def _without_network(place: Place, members: Iterable[JoinedEndpoint], version: int) -> str:
    """Return the remedy for a container that has no address of an IP version; ``members`` are its endpoints."""
    create = f"hawse network create{' --ipv6' if version == 6 else ''} NETWORK"
    connect = connection("NETWORK", place.name, (m.network for m in members))
    return f"connect it to a network with IPv{version}: {create} && {connect}"
