"""Run a trace: find the source and the target, send the probe, and return the result."""

from __future__ import annotations

from shlex import quote

from msgspec.structs import replace

from drivers.firewall import standby_table
from drivers.linux.probes import PortsExhausted
from drivers.model import IPAddress
from drivers.scalars import socket_text
from engine.containers import adopted
from engine.diagnosis.trace import parent_link, probing, rules, source, source_ports, translation_rules
from engine.diagnosis.trace.destination import Destinations
from engine.diagnosis.trace.explain import Explanation
from engine.diagnosis.trace.model import Culprit, CulpritFound, Log, Trace
from engine.diagnosis.trace.names import Names
from engine.diagnosis.trace.overlay import Overlay
from engine.diagnosis.trace.overlay_side import OverlaySide
from engine.diagnosis.trace.packet_path import EXTERNAL, LOCAL, REMOTE, PacketPath
from engine.diagnosis.trace.probing import Observation
from engine.diagnosis.trace.records import OUTSIDE, Place, Records
from engine.diagnosis.trace.state import State, bridge_of, port_of
from engine.diagnosis.trace.target import Target, parse
from engine.endpoints.sandbox import JoinedEndpoint
from engine.host import Host
from engine.names import is_adoptable
from engine.store.api import Reader


def trace(host: Host, origin: str, target: str, *, dry: bool = False) -> Trace:
    """Find out whether the source ``origin`` reaches ``target``, and the cause if it does not.

    With ``dry``, sends nothing. Changes no records and repairs nothing. Raises `InvalidArgument` for a wrong argument,
    and `NotFound` for a source that does not exist.
    """
    parsed, log = parse(target), Log()
    with host.store.read() as reader:
        records = Records(reader, direct_routing=host.config.allow_direct_routing)
        try:
            place = source.place_of(reader, records, origin)
            log.add(str(place), str(place), "source")
            return _Tracer(host, reader, records, place, log, dry=dry).run(parsed)
        except CulpritFound as error:
            return log.ended(error.reachable, error.culprit)
        except PortsExhausted as error:
            return log.ended(False, source_ports.of_programs(place, error.protocol, error.target))


class _Tracer:
    """Runs one trace from a known source."""

    def __init__(self, host: Host, reader: Reader, records: Records, place: Place, log: Log, *, dry: bool) -> None:
        self._host, self._reader, self._records, self._place = host, reader, records, place
        self._log, self._dry = log, dry
        self._state = State(host, records)

    def run(self, target: Target) -> Trace:
        """Trace the path to ``target``; raises `CulpritFound` if the records already prove the cause of a failure."""
        side = OverlaySide(self._host, self._records)
        side.learn_peers(self._place)
        destinations = Destinations(self._records, self._place)
        if target.published:
            path = destinations.published(target)
        else:
            path = destinations.path(target, self._addresses(target))
        self._describe(path)
        explanation = Explanation(self._reader, self._records, path, self._state)
        if path.kind == REMOTE:
            return Overlay(self._host, side, self._log, dry=self._dry).follow(path, explanation)
        result = self._without_probe(path, explanation) if self._dry else self._with_probe(path, explanation)
        devices = next(side.devices(path), None) if result.reachable is False and result.culprit is None else None
        return self._log.ended(False, devices) if devices is not None else result

    def _addresses(self, target: Target) -> list[IPAddress]:
        """Return the addresses of a target, in order of preference; raises `CulpritFound` if there is none.

        An address is returned as it is. A name is resolved as the source resolves it.
        """
        if target.address is not None:
            return [target.address]
        names = Names(self._host, self._records, self._place, self._log, dry=self._dry)
        if not is_adoptable(target.name):
            return names.resolve(target.name)
        for record in adopted.find(self._reader, target.name):
            return names.of_container(record)
        detail = f"{target.name} is on no network of hawse"
        fix = f"connect it: hawse network connect NETWORK {quote(target.name)}"
        raise CulpritFound(Culprit("no-such-endpoint", f"container {target.name}", "host", detail, fix))

    def _with_probe(self, path: PacketPath, explanation: Explanation) -> Trace:
        seen = probing.run(path)
        if seen.impossible and path.source.kind == OUTSIDE:
            self._log.add("probe", "host", f"could not be delivered: {seen.impossible}", ok=False)
            return self._without_probe(path, explanation)
        if seen.impossible:
            culprit = next(explanation.faults(), None)
            if culprit is not None:
                return self._log.ended(False, culprit)
            self._log.add("probe", str(path.source), f"could not be sent: {seen.impossible}", ok=False)
            return Trace(False, self._log.hops)
        self._mark(seen)
        if seen.result == "open" and self._reached(path, seen):
            for culprit in explanation.soft_faults(sending=True):
                return self._log.ended(False, culprit)
            self._log.add(f"{path.target_name} answers", str(path.target or path.address), path.service, seen=True)
            return Trace(True, self._log.hops)
        cause = explanation.of(seen)
        return self._log.ended(False, cause) if cause is not None else self._unexplained(path, seen)

    def _reached(self, path: PacketPath, seen: Observation) -> bool:
        """Return whether the answer came from the target, and not from another machine with the target's address.

        Returns True without a check in these cases:

        - the target has no sandbox on this host
        - the source and the target are in the same namespace
        - the path leads through the agent's proxy
        - no packet of the probe was seen anywhere
        """
        if path.target is None or path.target_member is None or not path.target.netns_path or path.kind == LOCAL:
            return True
        proxied = path.inner_address.version != path.address.version or path.address.is_loopback
        return proxied or seen.saw(path.target) or not seen.sights

    def _unexplained(self, path: PacketPath, seen: Observation) -> Trace:
        what = f"{path.target_name} {path.service}"
        if seen.result == "open":
            detail = f"another machine than {path.target_name} answers at {path.inner_address}"
            fix = f"find it by its MAC, and give it another address: ip neigh show {path.inner_address}"
            taken = Culprit("duplicate-address", f"address {path.inner_address}", str(path.target), detail, fix)
            return self._log.ended(False, taken)
        if path.kind == EXTERNAL and path.protocol == "udp":
            self._log.add(what, "outside", "the datagram left this host; no answer came, which UDP does not need")
            return Trace(None, self._log.hops)
        detail = f"the probe got lost, and no check proves why (result: {seen.result or 'no answer'})"
        self._log.add(what, str(path.target or path.address), detail, ok=False)
        return Trace(False, self._log.hops)

    def _without_probe(self, path: PacketPath, explanation: Explanation) -> Trace:
        cause = next(explanation.faults(), None) or _without_address(path)
        cause = cause or (explanation.own_damage() if path.kind != LOCAL else None)
        cause = cause or source_ports.of_sockets(path) or explanation.policy() or translation_rules.changing(path)
        cause = cause or rules.dropping(path) or source_ports.of_ranges(path) or explanation.listening()
        cause = cause or next(explanation.soft_faults(sending=False), None)
        if cause is not None:
            return self._log.ended(False, cause)
        possible = translation_rules.of_legacy(path)
        if possible is not None:
            detail = f"{possible[1].detail}, unless hawse's rules come first; a trace without --dry can tell"
            return self._log.ended(None, replace(possible[1], detail=detail))
        what, where = f"{path.target_name} {path.service}", str(path.target or path.address)
        self._log.add(what, where, "by records and kernel state")
        return Trace(None if path.kind == EXTERNAL or parent_link.is_routed(path) else True, self._log.hops)

    def _describe(self, path: PacketPath) -> None:
        """Add the hops of the path to the log, from source to target, as the records describe them."""
        if path.kind == LOCAL:
            self._log.add(f"address {path.address}", str(path.source), "in the source's own namespace")
            return
        if path.source_member is not None:
            self._describe_member(path.source, path.source_member)
        if path.source.interface:
            self._log.add(f"interface {path.source.interface}", "host", "where packets from outside arrive")
        if path.binding is not None:
            published, inner = socket_text(path.address, path.port), socket_text(path.inner_address, path.inner_port)
            self._log.add(f"published port {published}/{path.protocol}", "host", f"leads to {inner}")
        if path.target_member is not None and path.target is not None:
            same = path.source_member is not None and path.source_member.network.id == path.target_member.network.id
            self._describe_member(path.target, path.target_member, to=True, same=same)

    def _describe_member(self, place: Place, member: JoinedEndpoint, *, to: bool = False, same: bool = False) -> None:
        endpoint, network = member.endpoint, member.network
        held = " ".join(filter(None, (endpoint.ipv4, endpoint.ipv6)))
        hops = [(f"interface {endpoint.interface}", str(place), held)]
        if network.driver == "bridge":
            hops.append((f"port {port_of(member)}", "host", f"the other end of {endpoint.interface}"))
            if not same:
                hops.append((f"bridge {bridge_of(network)}", "host", f"network {network.name}"))
        for hop in reversed(hops) if to else hops:
            self._log.add(*hop)

    def _mark(self, seen: Observation) -> None:
        """Mark the hops at which the probe was seen, and add a hop for each nftables chain that it passed."""
        at = {(str(place), sight.interface) for place, sight in seen.sights if not sight.reply}
        for number, hop in enumerate(self._log.hops):
            if (hop.where, hop.what.partition(" ")[2]) in at:
                self._log.hops[number] = replace(hop, seen=True)
        passed = dict.fromkeys(
            (str(p), f"{e.table} {e.chain}")
            for p, e in seen.events
            if not e.dropped and not e.reply and e.table != standby_table.TABLE
        )
        for where, chain in passed:
            self._log.add_passed(where, f"chain {chain}")


def _without_address(path: PacketPath) -> Culprit | None:
    """Return the culprit if packets from outside arrive at an interface without an address of their IP version."""
    interface, version = path.source.interface, path.address.version
    if path.source.kind != OUTSIDE or path.avoids_host:
        return None
    if probing.neighbour_outside(interface, path.address)[0] is not None:
        return None
    fix = f"give it one: ip address add ADDRESS/LENGTH dev {interface}"
    detail = f"{interface} has no IPv{version} address, so no machine there reaches this host by IPv{version}"
    return Culprit("wrong-address", f"address of interface {interface} of host", "host", detail, fix)
