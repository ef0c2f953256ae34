"""Checks of the routes on a path: in the source's namespace, on the host, and in the target's namespace."""

from __future__ import annotations

from collections.abc import Iterator

from drivers.api import IPAddress
from drivers.linux import path_lookup
from engine.diagnosis.trace.destination import BRIDGED, EXTERNAL, LOCAL, REMOTE, ROUTED, Way
from engine.diagnosis.trace.model import Culprit
from engine.diagnosis.trace.records import HOST, Place, Records, address_of
from engine.diagnosis.trace.source import OUTSIDE
from engine.diagnosis.trace.state import bridge_of
from engine.endpoints.sandbox import JoinedEndpoint


class Routes:
    """The routes of one path."""

    def __init__(self, records: Records, way: Way) -> None:
        self._records, self._way = records, way

    def routes(self) -> Iterator[Culprit]:
        """Yield missing and wrong routes: in the source's namespace, on the host, and on the path back."""
        way = self._way
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

    def _from_container(self, place: Place, member: JoinedEndpoint, target: IPAddress) -> Iterator[Culprit]:
        address_here = address_of(member.endpoint, target.version)
        found = place.inside(lambda: path_lookup.route(target, address_here))
        own = {m.endpoint.interface: m for m in self._records.members(place.record)} if place.record else {}
        where, what = str(place), f"route to {target} of {place.name}"
        fix = f"remove the route that is wrong: nsenter into {place.name}, then ip route (or restart the container)"
        if not found.kind:
            detail = f"{place.name} has no route to {target}"
            yield Culprit("no-route", what, where, detail, f"restart the container: hawse restart {place.name}")
        elif found.kind != "unicast":
            yield Culprit("wrong-route", what, where, f"a {found.kind} route matches {target} in {place.name}", fix)
        elif self._way.kind in (BRIDGED, REMOTE) and (found.interface != member.endpoint.interface or found.gateway):
            way_out = f"{found.interface}{f' via {found.gateway}' if found.gateway else ''}"
            shared = found.interface in own and found.gateway is None
            if not (shared and own[found.interface].network.id == member.network.id):
                detail = f"{target} is a neighbour on {member.endpoint.interface}, but {place.name} sends by {way_out}"
                yield Culprit("wrong-route", what, where, detail, fix)
        elif found.interface not in own:
            detail = f"{place.name} sends to {target} by {found.interface}, which is no endpoint of hawse"
            yield Culprit("wrong-route", what, where, detail, fix)
        elif found.gateway is not None and self._is_strange(found.gateway, own[found.interface]):
            detail = f"{place.name} sends to {target} via {found.gateway}, which is not the network's gateway"
            yield Culprit("wrong-route", what, where, detail, fix)

    @staticmethod
    def _is_strange(gateway: IPAddress, member: JoinedEndpoint) -> bool:
        known = {text for text in (member.endpoint.gateway4, member.endpoint.gateway6) if text}
        return bool(known) and str(gateway) not in known and not gateway.is_link_local

    def _any(self, place: Place, target: IPAddress) -> Iterator[Culprit]:
        found = place.inside(lambda: path_lookup.route(target))
        what, fix = f"route to {target}", f"add a route to {target} in {place}"
        if not found.kind:
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
        what, name = f"route to {target} of the host", self._records.name_of(member)
        if not found.kind:
            detail = f"the host has no route to {target} ({name})"
            yield Culprit("no-route", what, "host", detail, f"ip route add {target} dev {bridge}")
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

    def routes_back(self) -> Iterator[Culprit]:
        """Yield missing and wrong routes of the target's namespace back to the source."""
        way = self._way
        if way.target is None or not way.target.path or way.target_member is None or way.kind == LOCAL:
            return
        source = way.source_address
        if source is not None and way.kind == BRIDGED:
            found = way.target.inside(lambda: path_lookup.route(source))
            expected = way.target_member.endpoint.interface
            if found.kind != "unicast" or found.interface != expected or found.gateway:
                by = f"{found.interface}{f' via {found.gateway}' if found.gateway else ''}" if found.interface else ""
                kind = "wrong-route" if found.kind else "no-route"
                detail = f"{way.target.name} answers {source} by {by or found.kind or 'no route'}, not by {expected}"
                fix = f"correct the routes in {way.target.name}, or restart it: hawse restart {way.target.name}"
                yield Culprit(kind, f"route to {source} of {way.target.name}", str(way.target), detail, fix)
