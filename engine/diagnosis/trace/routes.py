"""Checks of the routes on a path: in the source's namespace, on the host, and in the target's namespace.

Each fault is reported as a culprit (`Culprit`): the cause, its place and the remedy.
"""

from __future__ import annotations

from collections.abc import Iterator

from drivers.api import IPAddress
from drivers.linux import host as linux_host
from drivers.linux import path_lookup
from engine.diagnosis.trace.destination import BRIDGED, EXTERNAL, LOCAL, REMOTE, ROUTED, Way
from engine.diagnosis.trace.direct_access import is_isolated
from engine.diagnosis.trace.model import Culprit
from engine.diagnosis.trace.probing import neighbour_outside
from engine.diagnosis.trace.records import HOST, Place, Records, address_of, addresses
from engine.diagnosis.trace.source import OUTSIDE, again, reconnection
from engine.diagnosis.trace.state import bridge_of
from engine.endpoints.sandbox import JoinedEndpoint


class Routes:
    """The checks of the routes on one path (``way``); each method yields one culprit for each wrong route."""

    def __init__(self, records: Records, way: Way) -> None:
        self._records, self._way = records, way

    def routes(self) -> Iterator[Culprit]:
        """Yield missing and wrong routes in the source's namespace and on the host.

        On the host, these are the routes to the target and back to the source.
        """
        way = self._way
        if self.isolated_member() is not None:
            return
        if way.kind == LOCAL or way.source.kind == OUTSIDE:
            pass
        elif way.source_member is not None:
            yield from self._from_container(way.source, way.source_member, way.address)
        elif way.source.path:
            yield from self._any(way.source, way.address)
        elif way.target_member is not None and way.binding is None:
            yield from self._on_host(way.target_member, way.inner_address)
        elif way.target is None:
            yield from self._any(way.source, way.address)
        if way.kind in (ROUTED, EXTERNAL):
            yield from self._through_host()

    def isolated_member(self) -> JoinedEndpoint | None:
        """Return an endpoint on an isolated network if the path leads through the network's bridge, or None.

        Because that bridge has no address, there is no route to it.
        """
        way = self._way
        if way.kind not in (ROUTED, EXTERNAL):
            return None
        return next((member for member in way.members if is_isolated(member, way.inner_address.version)), None)

    def _from_container(self, place: Place, member: JoinedEndpoint, target: IPAddress) -> Iterator[Culprit]:
        address_here = address_of(member.endpoint, target.version)
        found = place.inside(lambda: path_lookup.route(target, address_here))
        chosen = place.inside(lambda: path_lookup.route(target)).source
        own = {m.endpoint.interface: m for m in self._records.members(place.record)} if place.record else {}
        where, what = str(place), f"route to {target} of {place.name}"
        fix = f"remove the route or rule that is wrong: nsenter into {place.name}, then ip route; ip rule"
        if not found.kind:
            detail = f"{place.name} has no route to {target}"
            yield Culprit("no-route", what, where, detail, _without_route(place, member))
        elif found.kind != "unicast":
            yield Culprit("wrong-route", what, where, f"a {found.kind} route matches {target} in {place.name}", fix)
        elif self._way.kind in (BRIDGED, REMOTE) and (found.interface != member.endpoint.interface or found.gateway):
            way_out = f"{found.interface}{f' via {found.gateway}' if found.gateway else ''}"
            shared = found.interface in own and found.gateway is None
            if target.is_link_local and found.interface == member.endpoint.interface:
                yield _without_link_local(place, member, target)
            elif not (shared and own[found.interface].network.id == member.network.id):
                detail = f"{target} is a neighbour on {member.endpoint.interface}, but {place.name} sends by {way_out}"
                yield Culprit("wrong-route", what, where, detail, fix)
        elif chosen is not None and own and chosen not in {a for m in own.values() for a in addresses(m.endpoint)}:
            detail = f"{place.name} sends to {target} from {chosen}, which is not its address on a network of hawse"
            yield Culprit("wrong-route", what, where, detail, fix)
        elif found.interface not in own:
            detail = f"{place.name} sends to {target} by {found.interface}, which is no endpoint of hawse"
            yield Culprit("wrong-route", what, where, detail, fix)
        elif found.gateway is not None and self._is_foreign(found.gateway, own[found.interface]):
            detail = f"{place.name} sends to {target} via {found.gateway}, which is not the network's gateway"
            yield Culprit("wrong-route", what, where, detail, fix)

    @staticmethod
    def _is_foreign(gateway: IPAddress, member: JoinedEndpoint) -> bool:
        known = {text for text in (member.endpoint.gateway4, member.endpoint.gateway6) if text}
        return bool(known) and str(gateway) not in known and not gateway.is_link_local

    def _any(self, place: Place, target: IPAddress) -> Iterator[Culprit]:
        found = place.inside(lambda: path_lookup.route(target))
        what, fix = f"route to {target}", f"add a route to {target} in {place}"
        down = place.inside(lambda: linux_host.down_towards(target)) if not found.kind else ""
        if down:
            detail = f"{place} has no route to {target}, and {down} is down"
            yield Culprit("interface-down", f"interface {down} of {place.name}", str(place), detail, _up(down))
        elif not found.kind:
            yield Culprit("no-route", what, str(place), f"{place} has no route to {target}", fix)
        elif found.kind not in ("unicast", "local"):
            yield Culprit(
                "wrong-route", what, str(place), f"a {found.kind} route matches {target}", "remove that route"
            )

    def _on_host(self, member: JoinedEndpoint, target: IPAddress) -> Iterator[Culprit]:
        """Yield a culprit if the host's route to an endpoint's address does not use the bridge of its network."""
        if member.network.driver != "bridge":
            return
        bridge, found = bridge_of(member.network), path_lookup.route(target)
        if found.source is not None and self._way.source == HOST:
            # Like the kernel, look up the route again with the source address that the first look-up has chosen.
            found = path_lookup.route(target, found.source)
        what, name = f"route to {target} of the host", self._records.name_of(member)
        if not found.kind:
            detail = f"the host has no route to {target} ({name})"
            yield Culprit("no-route", what, "host", detail, f"ip route add {target} dev {bridge}")
        elif target.is_link_local and found.gateway is not None:
            detail = f"the host has no link-local address on {bridge}, and sends to {target} ({name}) by its gateway"
            yield Culprit("no-route", what, "host", detail, f"ip route add {target} dev {bridge}")
        elif found.kind == "local":
            detail = f"{target} belongs to {name}, and the host has it too, so the host keeps the packets"
            fix = f"remove {target} from the host: ip address"
            yield Culprit("duplicate-address", f"address {target} of {name}", "host", detail, fix)
        elif found.kind != "unicast" or found.interface != bridge:
            by = found.interface if found.kind == "unicast" else f"a {found.kind} route"
            detail = f"the host sends to {target} ({name}) by {by} and not by {bridge}"
            yield Culprit("wrong-route", what, "host", detail, f"remove the other route: ip route get {target}")

    def _through_host(self) -> Iterator[Culprit]:
        way = self._way
        if way.target_member is not None:
            yield from self._on_host(way.target_member, way.inner_address)
        own = way.source_address
        if way.source_member is not None and way.source_member.network.driver == "bridge" and own is not None:
            yield from self._on_host(way.source_member, own)
        if way.source_member is not None and way.target_member is None and way.kind == EXTERNAL:
            yield from self._any(HOST, way.address)

    def by_rules(self) -> Iterator[Culprit]:
        """Yield a culprit if routing rules (ip rule) send the forwarded packet or its answer to a wrong interface."""
        way, near, far = self._way, self._bridge(self._way.source_member), self._bridge(self._way.target_member)
        client, received = self._client(), near or way.source.interface
        if client is None or not received or way.kind not in (ROUTED, EXTERNAL):
            return
        if self.isolated_member() is not None or (way.target is not None and way.target_member is None):
            return
        if client.version == way.inner_address.version:
            yield from self._forwarded(client, received, way.inner_address, far)
            if far:
                yield from self._forwarded(way.inner_address, far, client, near)

    def _client(self) -> IPAddress | None:
        """Return the probe's source address before any masquerade, or None if it is unknown."""
        way = self._way
        if way.source.kind == OUTSIDE:
            return neighbour_outside(way.source.interface, way.address)[0]
        return way.source_address or (path_lookup.route(way.inner_address).source if way.source == HOST else None)

    @staticmethod
    def _forwarded(sender: IPAddress, received: str, target: IPAddress, expected: str) -> Iterator[Culprit]:
        """Yield a culprit if the host does not forward a packet to the interface ``expected``.

        ``received`` is the interface at which the packet arrives. If ``expected`` is "", every interface except
        ``received`` is right.
        """
        found = path_lookup.route(target, sender, received)
        right = found.interface == expected if expected else found.interface != received
        if found.kind == "unicast" and right:
            return
        way = f"by {found.interface}" if found.interface else f"nowhere ({found.kind or 'no route'})"
        detail = f"the host sends packets of {sender} to {target}, which come in by {received}, {way}: see ip rule"
        fix = f"correct the rules and routes: ip rule; ip route get {target} from {sender} iif {received}"
        yield Culprit("wrong-route", f"route to {target} of the host", "host", detail, fix)

    @staticmethod
    def _bridge(member: JoinedEndpoint | None) -> str:
        return bridge_of(member.network) if member is not None and member.network.driver == "bridge" else ""

    def routes_back(self) -> Iterator[Culprit]:
        """Yield a missing or wrong route from the target's namespace back to the source."""
        way = self._way
        if way.target is None or not way.target.path or way.target_member is None or way.kind == LOCAL:
            return
        if self.isolated_member() is not None:
            return
        if way.source.path == way.target.path:
            return  # a container calls its own published port: the host masquerades this, so answers go to the host
        source = self._client()
        if source is not None and source.version == way.inner_address.version:
            found = way.target.inside(lambda: path_lookup.route(source, way.inner_address))
            expected, bridged = way.target_member.endpoint.interface, way.kind == BRIDGED
            if found.kind != "unicast" or (bridged and (found.interface != expected or found.gateway)):
                by = f"{found.interface}{f' via {found.gateway}' if found.gateway else ''}" if found.interface else ""
                kind = "wrong-route" if found.kind else "no-route"
                detail = f"{way.target.name} answers {source} by {by or found.kind or 'no route'}, not by {expected}"
                command = again(way.target, way.target_member.network.name)
                fix = f"correct the routes in {way.target.name}, or set them up again: {command}"
                yield Culprit(kind, f"route to {source} of {way.target.name}", str(way.target), detail, fix)


def _without_link_local(place: Place, member: JoinedEndpoint, target: IPAddress) -> Culprit:
    interface = member.endpoint.interface
    detail = f"{place.name} has no link-local address on {interface}, and sends to {target} by its gateway"
    fix = f"use another address of the target, or add a route in {place.name}: ip route add {target} dev {interface}"
    return Culprit("no-route", f"route to {target} of {place.name}", str(place), detail, fix)


def _up(interface: str) -> str:
    return f"bring it up: ip link set {interface} up, and set its addresses and routes again"


def _without_route(place: Place, member: JoinedEndpoint) -> str:
    """Return the remedy for a container without a route."""
    if member.endpoint.default_route == "no":
        commands = reconnection(place, member.network.name)
        return f"add a route in {place.name}, or connect it without --default-route=no: {commands}"
    return f"set up its routes again: {again(place, member.network.name)}"
