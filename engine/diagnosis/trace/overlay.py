"""Overlay networks: the endpoints of other hosts, and the path to them.

The agent of the other host examines its side of the path (`engine.diagnosis.trace.other_host`). Without its answer, the
trace judges from this host alone, and says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from ipaddress import ip_address

from drivers.api import DriverError, IPAddress, PeerProgrammer
from drivers.firewall.packet_trace import PacketTrace
from drivers.linux import echo, path_lookup
from drivers.linux.features import mtu_of
from drivers.linux.probes import VXLAN_PORT, Probe, TunnelFlow
from drivers.overlay.options import is_encrypted
from engine.cluster import encryption, membership, peers, snapshot
from engine.cluster.model import ClusterMembership, Node, Question
from engine.cluster.snapshot import View
from engine.diagnosis.trace import outside, probing, rules
from engine.diagnosis.trace.destination import Way
from engine.diagnosis.trace.explain import Explanation
from engine.diagnosis.trace.model import Culprit, Found, Log, Trace
from engine.diagnosis.trace.other_host import Inquiry, Report, place_of
from engine.diagnosis.trace.probing import Observation
from engine.diagnosis.trace.records import HOST, Place, Records, addresses
from engine.diagnosis.trace.rules import rule_in
from engine.errors import EngineError
from engine.host import Host, network_spec
from engine.model import NetworkRecord

PING_SECONDS, TUNNEL_SECONDS = 0.7, 0.5
BEYOND = "beyond this host"
SERVICE = ("listening-on-loopback-only", "port-not-listening")
REFUSING = (*SERVICE, "container-firewall", "foreign-firewall", "duplicate-address")
"""The kinds of culprits on the other host that explain a refusal, which proves that packets pass both ways."""
PASSING = ("peer-table-stale", "own-firewall-damaged", "duplicate-address")
"""The kinds of culprits on the other host with which a small probe may pass."""


class Overlay:
    """The part of a trace that follows an overlay network to another host."""

    def __init__(self, host: Host, records: Records, log: Log, *, dry: bool) -> None:
        self._host, self._records, self._log, self._dry = host, records, log, dry
        self._view: View | None = None
        self._membership: ClusterMembership | None = None
        self._store_error = ""

    def learn_peers(self, place: Place) -> None:
        """Add the endpoints of other hosts on the source's overlay networks to the records."""
        members = self._records.members(place.record) if place.record is not None else []
        self.learn([m.network for m in members if m.network.driver == "overlay"])

    def learn(self, overlays: Sequence[NetworkRecord]) -> None:
        """Add the endpoints of other hosts on some overlay networks to the records."""
        if not overlays or not self._host.is_clustered:
            return
        try:
            with membership.connected(self._host) as (client, self._membership):
                self._view = snapshot.load(client)
        except (EngineError, OSError) as error:
            self._store_error = str(error)
            with suppress(EngineError):
                self._membership = membership.load(self._host.root)
            self._view = snapshot.saved(self._host.root)
        if self._view is None or self._membership is None:
            return
        for network in overlays:
            for endpoint in self._view.all_endpoints(network.id):
                if endpoint.node != self._membership.node_id:
                    record = snapshot.record_of(endpoint)
                    self._records.endpoints.append(record)
                    if endpoint.node not in self._view.alive:
                        self._records.lost.update(addresses(record))

    def store_down(self) -> Culprit | None:
        """Return the culprit of a cluster store that does not answer, or None."""
        if not self._store_error:
            return None
        detail = f"the cluster's store does not answer ({self._store_error}); new peers are not learned"
        fix = "look at the managers: hawse node ls; start the etcd that stopped (on its host: any hawse command)"
        return Culprit("store-down", "store of the cluster (etcd)", "cluster", detail, fix)

    def follow(self, way: Way, explanation: Explanation) -> Trace:
        """Return the result of a trace to an endpoint on another host."""
        node = self.node_of(way)
        where = place_of(node) if node is not None else BEYOND
        if way.target_member is None and not self._store_error:
            network = way.source_member.network.name if way.source_member else ""
            fix = f"look at the addresses in use: hawse network inspect -v {network}"
            detail = f"no container of the cluster has {way.address} on network {network}"
            raise Found(Culprit("no-such-endpoint", f"address {way.address}", f"network {network}", detail, fix))
        inquiry = self._inquiry(way, node)
        seen = probing.run(way) if not self._dry else Observation()
        narrow = next(outside.small_mtu(way, "network between the hosts"), None) if seen.result == "open" else None
        report = inquiry.report() if inquiry is not None else None
        self._log.hops += report.hops if report is not None else []
        if report is None:
            self._log.add("agent of hawse", where, "gives no answer, so its side is judged from this host only")
        small = self.small_underlay(way) or (report.first("mtu") if report else None) or narrow
        if small is not None and (seen.result == "open" or self._dry):
            return self._ended(False, small)
        if seen.result == "open":
            return self._reached(way, where, report)
        culprit = self._culprit(way, explanation, seen, node, report)
        if culprit is not None:
            return self._ended(False, culprit)
        if self._dry:
            known = "by the records of both hosts" if report else "by the records"
            self._log.add(f"address {way.address}", where, known)
            return Trace(True, self._log.hops, self.store_down())
        if way.protocol == "udp":
            return self._silent_service(way, where, node, report)
        return self._unanswered(way, where)

    def _unanswered(self, way: Way, where: str) -> Trace:
        self._log.add(f"address {way.address}", where, "no answer; the rest must be looked at on that host", ok=False)
        return Trace(False, self._log.hops)

    def _ended(self, reachable: bool | None, culprit: Culprit) -> Trace:
        self._log.add(culprit.object, culprit.where, culprit.detail, ok=False)
        return Trace(reachable, self._log.hops, culprit)

    def _inquiry(self, way: Way, node: Node | None) -> Inquiry | None:
        """Ask the other host about its side, or return None if this host cannot ask."""
        near, far = way.source_member, way.target_member
        if near is None or far is None or node is None or self._view is None or self._store_error:
            return None
        if node.id not in self._view.alive:
            return None
        ids = (node.id, near.network.id, near.endpoint.id, far.endpoint.id)
        return Inquiry(self._host, Question(*ids, way.protocol, way.port, way.address.version), node)

    def _reached(self, way: Way, where: str, report: Report | None) -> Trace:
        """Return the result for a probe that was answered."""
        only = "" if report else "; seen from this host only"
        self._log.add(f"address {way.address}", where, f"answers {way.service}{only}", seen=True)
        warning = next(self.devices(way), None) or (report.first(*PASSING) if report else None)
        return Trace(True, self._log.hops, warning or self.store_down())

    def _silent_service(self, way: Way, where: str, node: Node | None, report: Report | None) -> Trace:
        """Return the result for a datagram without an answer, which UDP does not need: a ping tests the path."""
        ping = replace(way, protocol="icmp", port=0, inner_port=0)
        if probing.run(ping).result != "open":
            culprit = self._beyond(ping, node)
            return self._ended(False, culprit) if culprit is not None else self._unanswered(way, where)
        listens = "and a process listens there" if report else "but only that host knows whether a process listens"
        detail = f"the address answers a ping, {listens}; a UDP service needs not answer"
        self._log.add(f"address {way.address}", where, detail)
        return Trace(True if report else None, self._log.hops, self.store_down())

    def _culprit(
        self, way: Way, explanation: Explanation, seen: Observation, node: Node | None, report: Report | None
    ) -> Culprit | None:
        if seen.result == "refused":
            where = place_of(node) if node else BEYOND
            detail = f"{way.address} on {where} refuses port {way.port}/{way.protocol}"
            what = f"port {way.port}/{way.protocol} of {way.address}"
            fix = "start the service there, or let it listen at its address"
            if report is None:
                return Culprit("port-not-listening", what, where, detail, fix)
            rule = f"{detail}, although a process listens: a rule in the target's network namespace rejects packets"
            whose = f"firewall of {way.address}"
            rejecting = Culprit("container-firewall", whose, where, rule, "look at its rules there")
            return report.first(*REFUSING) or rejecting
        for place, event in seen.drops():
            return explanation.of_drop(place, event)
        for culprit in explanation.faults():
            return culprit
        for culprit in self.devices(way):
            return culprit
        dropping = self._dropping(way) if self._dry else None
        if dropping is not None:
            return dropping
        for culprit in report.culprits if report is not None else ():
            # A port without a process refuses a connection, so it does not explain a lost one.
            lost = way.protocol == "tcp" and not self._dry
            if culprit.kind not in ("mtu", "duplicate-address", *(SERVICE if lost else ())):
                return culprit
        if way.protocol == "udp" and not self._dry:
            return None
        return self._beyond(way, node)

    def _dropping(self, way: Way) -> Culprit | None:
        with suppress(DriverError, OSError):
            return rules.dropping_at_source(way) or self.dropped_tunnel(way)
        return None

    def devices(self, way: Way) -> Iterator[Culprit]:
        """Yield the faults of the network's devices and tables on this host that concern this path."""
        member = way.source_member
        if member is None or member.network.driver != "overlay" or self._view is None or self._membership is None:
            return
        driver = self._host.driver(member.network.driver)
        if not isinstance(driver, PeerProgrammer):
            return
        spec = encryption.spec(member.network, self._membership, self._view.nodes.values())
        try:
            lines = driver.verify(spec, peers.of(self._view, member.network.id, self._membership.node_id), False)
        except (DriverError, OSError) as error:
            lines = [f"missing: {error}"]
        for line in lines:
            yield from self._of_line(way, member.network.name, line)

    def _of_line(self, way: Way, network: str, line: str) -> Iterator[Culprit]:
        fix = f"hawse network verify --fix {network}"
        where = f"namespace of network {network}"
        kind, _, what = line.partition(": ")
        detail = f"network {network} on this host: {line}"
        if ("tunnel" in what and "firewall" not in what) or "encrypting" in what or "in clear" in what:
            yield Culprit("encryption-down", f"encryption of network {network}", where, detail, fix)
        elif "the firewall's element" in what:
            yield Culprit("own-firewall-damaged", f"table inet hawse ({what})", "host", detail, fix)
        elif what in ("br0", "the network's namespace") and kind == "missing":
            yield Culprit("bridge-missing", f"bridge br0 of network {network}", where, detail, fix)
        elif kind == "missing" and what.startswith("vxlan") and ":" not in what:
            yield Culprit("interface-missing", f"interface {what} of network {network}", where, detail, fix)
        elif what.endswith("is down"):
            name = what.split()[0]
            sort = "bridge-down" if name == "br0" else "interface-down"
            yield Culprit(
                sort, f"{'bridge' if name == 'br0' else 'interface'} {name} of network {network}", where, detail, fix
            )
        elif "is not on br0" in what:
            yield Culprit("not-in-bridge", f"interface {what.split()[0]} of network {network}", where, detail, fix)
        elif self._concerns(way, what):
            shown = f"tables of network {network} for {way.address}"
            yield Culprit("peer-table-stale", shown, where, detail, fix)

    def _concerns(self, way: Way, line: str) -> bool:
        member = way.target_member
        node = self.node_of(way)
        words = [str(way.address), *((member.endpoint.mac,) if member else ()), *((node.data_address,) if node else ())]
        return any(word in line.split() for word in words)

    def _beyond(self, way: Way, node: Node | None) -> Culprit | None:
        """Return the reason why the other host does not receive the packets, or does not answer them."""
        if node is None or self._view is None:
            return self.store_down()
        other = ip_address(node.data_address)
        shown, where = f"host {node.hostname} ({other})", "network between the hosts"
        fix = f"look at {node.hostname}, its interface and the network between the hosts"
        found = path_lookup.route(other)
        if found.kind != "unicast":
            detail = f"this host has no usable route to {shown}"
            return Culprit("no-route", f"route to {other} of the host", "host", detail, f"add a route to {other}")
        if node.id not in self._view.alive:
            detail = f"{shown} has left or lost its lease in the cluster's store"
            return Culprit("peer-unreachable", shown, where, detail, fix)
        if self._dry:
            return None
        small = self._small_underlay(way, found.interface)
        if not echo.answering([other], PING_SECONDS):
            dropped = self._tunnel_drop(way, other)
            return dropped or Culprit("peer-unreachable", shown, where, f"{shown} does not answer a ping", fix)
        if small is not None:
            return small
        return self._tunnel_drop(way, other) or self.dropped_tunnel(way) or self._tunnel_silent(way, shown)

    def _tunnel_silent(self, way: Way, shown: str) -> Culprit | None:
        member = way.source_member
        if way.protocol == "udp" or member is None:
            return None
        network = member.network.name
        if is_encrypted(network_spec(member.network)):
            detail = f"{shown} answers a ping, but nothing comes back through the WireGuard tunnel of network {network}"
            fix = f"hawse network verify {network} on both hosts; let UDP port {encryption.port(member.network)} pass"
            return Culprit(
                "encryption-down", f"tunnel of network {network} to {shown}", "between the hosts", detail, fix
            )
        detail = (
            f"{shown} answers a ping, but nothing comes back through VXLAN (UDP 4789); nothing on this host drops it"
        )
        fix = f"let UDP 4789 pass between the hosts, and run hawse trace and hawse network verify {network} on {shown}"
        return Culprit("vxlan-blocked", f"UDP 4789 to {shown}", "between the hosts", detail, fix)

    def dropped_tunnel(self, way: Way) -> Culprit | None:
        """Return the rule of this host that drops the tunnel's packets to or from the other host, or None.

        The rules are read, and nothing is sent.
        """
        node, member = self.node_of(way), way.source_member
        if node is None or member is None or not self.own_address:
            return None
        own, other = ip_address(self.own_address), ip_address(node.data_address)
        encrypted = encryption.is_encrypted(member.network)
        port, what = (encryption.port(member.network), "WireGuard") if encrypted else (VXLAN_PORT, "VXLAN")
        drop = rules.dropping_tunnel(own, other, port, path_lookup.route(other).interface)
        if drop is None:
            return None
        chain = f"table {drop.table} chain {drop.chain}"
        detail = f"{chain} drops the {what} packets (UDP {port}) to or from {other} by {rule_in(HOST, drop)}"
        kind = "encryption-down" if encrypted else "vxlan-blocked"
        fix = f"let UDP {port} from and to {other} pass in {chain}"
        return Culprit(kind, f"UDP {port} to {other} ({chain})", f"host, {chain}", detail, fix)

    def _tunnel_drop(self, way: Way, other: IPAddress) -> Culprit | None:
        """Send the probe again, and return the rule of this host that drops its VXLAN packets, or None."""
        with ExitStack() as stack:
            try:
                trace = PacketTrace(TunnelFlow(other))
                stack.callback(trace.close)
                probe = way.source.inside(lambda: Probe(way.protocol, way.address, way.port))
                stack.callback(probe.close)
            except (DriverError, OSError):
                return None
            way.source.inside(probe.send)
            deadline = time.monotonic() + TUNNEL_SECONDS
            while time.monotonic() < deadline:
                time.sleep(0.05)
                for event in trace.read():
                    if event.dropped:
                        rule = rule_in(HOST, event)
                        what = f"table {event.table} chain {event.chain}"
                        detail = f"{what} drops the VXLAN packets (UDP 4789) to or from {other} by {rule}"
                        fix = f"let UDP 4789 from and to {other} pass in {what}"
                        return Culprit("vxlan-blocked", f"UDP 4789 to {other} ({what})", f"host, {what}", detail, fix)
        return None

    def _small_underlay(self, way: Way, interface: str) -> Culprit | None:
        member = way.source_member
        if member is None:
            return None
        inner = way.source.inside(partial(mtu_of, member.endpoint.interface))
        outer = mtu_of(interface)
        if inner and outer and outer < inner + 50:
            detail = f"{interface} has an MTU of {outer}; packets of {inner} bytes and 50 bytes of VXLAN do not fit"
            fix = f"raise it: ip link set {interface} mtu {inner + 50}"
            return Culprit("mtu", f"interface {interface} of the host", "host", detail, fix)
        return None

    def small_underlay(self, way: Way) -> Culprit | None:
        """Return the underlay interface whose MTU is too small for full-size packets, or None."""
        node = self.node_of(way)
        return self._small_underlay(way, path_lookup.route(ip_address(node.data_address)).interface) if node else None

    @property
    def own_address(self) -> str:
        """The underlay address of this host, or "" if this host is in no cluster."""
        return self._membership.data_address if self._membership is not None else ""

    def node_of(self, way: Way) -> Node | None:
        """Return the host that has the target's endpoint, or None if it is unknown."""
        if self._view is None or way.target_member is None:
            return None
        return self._view.nodes.get(way.target_member.endpoint.container_id.partition("/")[0])
