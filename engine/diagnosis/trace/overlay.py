"""Overlay networks: the endpoints of other hosts, and the path to them.

The agent of the other host examines its side of the path (`engine.diagnosis.trace.other_host`). If the agent does not
answer, the result depends on this host's state alone, and a hop of the result says this.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from functools import partial
from ipaddress import ip_address

from msgspec.structs import replace

from drivers.errors import DriverError
from drivers.firewall.packet_trace import PacketTrace
from drivers.linux import echo, path_lookup
from drivers.linux.probes import Probe, TunnelFlow
from drivers.model import IPAddress
from engine.cluster import encryption
from engine.cluster.model import Node, Question
from engine.diagnosis.trace import outside, probing, rules
from engine.diagnosis.trace.explain import Explanation
from engine.diagnosis.trace.model import Culprit, CulpritFound, Log, Trace
from engine.diagnosis.trace.other_host import Inquiry, Report, place_of
from engine.diagnosis.trace.overlay_side import OverlaySide, of_tunnel_drop, tunnel_port
from engine.diagnosis.trace.packet_path import PacketPath
from engine.diagnosis.trace.probing import Observation
from engine.host import Host

PING_SECONDS, TUNNEL_SECONDS = 0.7, 0.5
HANDSHAKE_SECONDS = 5.5
"""Seconds to watch the packets of a WireGuard tunnel: without a session, it sends one only every 5 to 5.4 seconds."""
BEYOND = "beyond this host"
SERVICE = ("listening-on-loopback-only", "port-not-listening")
REFUSING = (*SERVICE, "container-firewall", "foreign-firewall", "duplicate-address")
"""The kinds of culprits on the other host that can explain a refused connection.

No other kind can, because a refusal proves that packets pass in both directions.
"""
PASSING = ("peer-table-stale", "own-firewall-damaged")
"""The kinds of culprits on the other host that the trace reports as warnings if the probe is answered."""
SOFT = ("mtu", "duplicate-address")
"""The kinds of culprits with which a probe may still be answered.

A small MTU stops only large packets. A duplicate address stops only the packets that reach the wrong machine.
"""


class Overlay:
    """Traces the path through an overlay network to another host.

    These names have one meaning in all methods:

    - ``node``: the target's host, or None if it is unknown
    - ``where``: the text that names the target's host
    - ``report``: the report of the target's host, or None if the host gave no answer
    """

    def __init__(self, host: Host, side: OverlaySide, log: Log, *, dry: bool) -> None:
        self._host, self._side, self._log, self._dry = host, side, log, dry

    def follow(self, path: PacketPath, explanation: Explanation) -> Trace:
        """Return the result of a trace to an endpoint on another host.

        Raises `CulpritFound` if no container of the cluster has the target's address.
        """
        node = self._side.node_of(path)
        where = place_of(node) if node is not None else BEYOND
        if path.target_member is None and not self._side.store_error:
            network = path.source_member.network.name if path.source_member else ""
            what = f"address {path.address}"
            detail = f"no container of the cluster has {path.address} on network {network}"
            fix = f"look at the addresses in use: hawse network inspect -v {network}"
            raise CulpritFound(Culprit("no-such-endpoint", what, f"network {network}", detail, fix))
        inquiry = self._inquiry(path, node)
        seen = probing.run(path) if not self._dry else Observation()
        narrow = next(outside.small_mtu(path, "network between the hosts"), None) if seen.result == "open" else None
        report = inquiry.report() if inquiry is not None else None
        self._log.hops += report.hops if report is not None else []
        if report is None:
            self._log.add("agent of hawse", where, "gives no answer, so its side is judged from this host only")
        if seen.result == "open":
            return self._soft(path, report, narrow) or self._reached(path, where, report)
        culprit = self._culprit(path, explanation, seen, node, report)
        if culprit is not None:
            return self._log.ended(False, culprit)
        if self._dry:
            return self._soft(path, report, None) or self._by_records(path, where, report)
        if path.protocol == "udp":
            return self._silent_service(path, where, node, report)
        return self._unanswered(path, where)

    def _by_records(self, path: PacketPath, where: str, report: Report | None) -> Trace:
        known = "by the records of both hosts" if report else "by the records"
        self._log.add(f"address {path.address}", where, known)
        return Trace(True, self._log.hops, self._side.store_down())

    def _soft(self, path: PacketPath, report: Report | None, narrow: Culprit | None) -> Trace | None:
        """Return the result if the path loses large packets or two machines have the target's address, else None.

        ``narrow`` is the culprit if large pings to the target are lost, else None.
        """
        there = report.first(*SOFT) if report is not None else None
        culprit = self._side.small_underlay(path) or there or narrow
        if culprit is None:
            return None
        # TCP adapts the size of its segments to the MTU of the target's own interface. Therefore the target is
        # reachable by TCP, and only other protocols lose packets.
        negotiated = culprit is there and culprit.where.startswith("container") and path.protocol == "tcp"
        return self._log.ended(culprit.kind == "mtu" and negotiated, culprit)

    def _unanswered(self, path: PacketPath, where: str) -> Trace:
        self._log.add(f"address {path.address}", where, "no answer; the rest must be looked at on that host", ok=False)
        return Trace(False, self._log.hops)

    def _inquiry(self, path: PacketPath, node: Node | None) -> Inquiry | None:
        """Send the target's host a question about its side of the path; return the inquiry, and do not wait.

        Returns None if nothing can be asked: the host is unknown or not alive, an end of the path is no endpoint, or
        the cluster's store does not answer.
        """
        near, far = path.source_member, path.target_member
        if near is None or far is None or node is None or self._side.view is None or self._side.store_error:
            return None
        if node.id not in self._side.view.alive:
            return None
        ids = (node.id, near.network.id, near.endpoint.id, far.endpoint.id)
        return Inquiry(self._host, Question(*ids, path.protocol, path.port, path.address.version), node)

    def _reached(self, path: PacketPath, where: str, report: Report | None) -> Trace:
        """Return the result for a probe that was answered."""
        only = "" if report else "; seen from this host only"
        self._log.add(f"address {path.address}", where, f"answers {path.service}{only}", seen=True)
        warning = next(self._side.devices(path), None) or (report.first(*PASSING) if report else None)
        return Trace(True, self._log.hops, warning or self._side.store_down())

    def _silent_service(self, path: PacketPath, where: str, node: Node | None, report: Report | None) -> Trace:
        """Return the result for a UDP probe without an answer; because UDP needs no answer, a ping tests the path."""
        ping = replace(path, protocol="icmp", port=0, inner_port=0)
        if probing.run(ping).result != "open":
            culprit = self._beyond(ping, node)
            return self._log.ended(False, culprit) if culprit is not None else self._unanswered(path, where)
        listens = "and a process listens there" if report else "but only that host knows whether a process listens"
        detail = f"the address answers a ping, {listens}; a UDP service needs not answer"
        self._log.add(f"address {path.address}", where, detail)
        return Trace(True if report else None, self._log.hops, self._side.store_down())

    def _culprit(
        self, path: PacketPath, explanation: Explanation, seen: Observation, node: Node | None, report: Report | None
    ) -> Culprit | None:
        if seen.result == "refused":
            return _refusing(path, place_of(node) if node else BEYOND, report)
        for place, event in seen.drops():
            return explanation.of_drop(place, event)
        cause = next(explanation.faults(), None) or next(self._side.devices(path), None) or self._dropping(path)
        if cause is not None:
            return cause
        for culprit in report.culprits if report is not None else ():
            # A port without a process refuses connections, so it cannot be the cause of a lost connection attempt.
            lost = path.protocol == "tcp" and not self._dry
            if culprit.kind not in (*SOFT, *(SERVICE if lost else ())):
                return culprit
        if path.protocol == "udp" and not self._dry:
            return None
        return self._beyond(path, node)

    def _dropping(self, path: PacketPath) -> Culprit | None:
        """Return the culprit if a rule or a forwarding entry on this host loses the packets, or None; sends nothing."""
        with suppress(DriverError, OSError):
            lost = self._side.moved_port(path) or rules.dropping_at_source(path)
            lost = lost or self._side.dropped_in_network(path, path.source_address)
            return lost or self._side.dropped_tunnel(path)
        return None

    def _beyond(self, path: PacketPath, node: Node | None) -> Culprit | None:
        """Return the culprit if the target's host does not receive the packets, or does not answer them; else None."""
        if node is None or self._side.view is None:
            return self._side.store_down()
        other = ip_address(node.data_address)
        shown, where = f"host {node.hostname} ({other})", "network between the hosts"
        fix = f"look at {node.hostname}, its interface and the network between the hosts"
        route = path_lookup.route(other)
        if route.kind != "unicast":
            detail = f"this host has no usable route to {shown}"
            return Culprit("no-route", f"route to {other} of the host", "host", detail, f"add a route to {other}")
        if node.id not in self._side.view.alive:
            detail = f"{shown} has left or lost its lease in the cluster's store"
            return Culprit("peer-unreachable", shown, where, detail, fix)
        if self._dry:
            return None
        small = self._side.small_underlay(path)
        if not echo.answering([other], PING_SECONDS):
            dropped = self._tunnel_drop(path, other)
            return dropped or Culprit("peer-unreachable", shown, where, f"{shown} does not answer a ping", fix)
        if small is not None:
            return small
        return self._tunnel_drop(path, other) or self._side.dropped_tunnel(path) or self._tunnel_silent(path, shown)

    def _tunnel_silent(self, path: PacketPath, shown: str) -> Culprit | None:
        member = path.source_member
        if path.protocol == "udp" or member is None:
            return None
        network = member.network.name
        if path.protocol == "tcp" and path.source.inside(partial(echo.answering, [path.address], PING_SECONDS)):
            detail = f"{path.address} answers a ping and not port {path.service}: a firewall there drops the packets"
            fix = f"look at the firewall in the target's network namespace on {shown}"
            return Culprit("container-firewall", f"firewall of {path.address}", shown, detail, fix)
        if encryption.is_encrypted(member.network):
            detail = f"{shown} answers a ping, but nothing comes back through the WireGuard tunnel of network {network}"
            fix = f"hawse network verify {network} on both hosts; let UDP port {encryption.port(member.network)} pass"
            what = f"tunnel of network {network} to {shown}"
            return Culprit("encryption-down", what, "between the hosts", detail, fix)
        detail = f"{shown} answers a ping, but nothing comes back through VXLAN (UDP 4789)"
        detail += "; nothing on this host drops it"
        fix = f"let UDP 4789 pass between the hosts, and run hawse trace and hawse network verify {network} on {shown}"
        return Culprit("vxlan-blocked", f"UDP 4789 to {shown}", "between the hosts", detail, fix)

    def _tunnel_drop(self, path: PacketPath, other: IPAddress) -> Culprit | None:
        """Send the probe again; return the culprit if this host drops the network's packets to or from ``other``.

        ``other`` is the underlay address of the target's host. Returns None if this host drops no packet.
        """
        if path.source_member is None:
            return None
        network = path.source_member.network
        seconds = HANDSHAKE_SECONDS if encryption.is_encrypted(network) else TUNNEL_SECONDS
        with ExitStack() as stack:
            try:
                trace = PacketTrace(TunnelFlow(other, tunnel_port(network)))
                stack.callback(trace.close)
                probe = path.source.inside(lambda: Probe(path.protocol, path.address, path.port))
                stack.callback(probe.close)
            except (DriverError, OSError):
                return None
            path.source.inside(probe.send)
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                time.sleep(0.05)
                for event in trace.read():
                    if event.dropped:
                        return of_tunnel_drop(event, other, network)
        return None


def _refusing(path: PacketPath, where: str, report: Report | None) -> Culprit:
    """Return the culprit for a refused connection to an endpoint on the host that ``where`` names."""
    detail = f"{path.address} on {where} refuses port {path.port}/{path.protocol}"
    if report is None:
        what = f"port {path.port}/{path.protocol} of {path.address}"
        fix = "start the service there, or let it listen at its address"
        return Culprit("port-not-listening", what, where, detail, fix)
    detail += ", although a process listens: a rule in the target's network namespace rejects packets"
    rejecting = Culprit("container-firewall", f"firewall of {path.address}", where, detail, "look at its rules there")
    return report.first(*REFUSING) or rejecting
