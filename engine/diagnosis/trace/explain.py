"""Find the culprit of the failure on one path.

There are three kinds of evidence: what happened to the probe (the test packet), differences between kernel state and
records, and checks for single causes (`Checks`, `Routes`, `Obstacles`).

The result is the first proven culprit, or else a likely one, or none. These causes are examined in this order;
`Explanation.of` has the exceptions:

- a rule of nftables or iptables-legacy that dropped the probe or its answer
- another program's rule that redirected the probe
- faults of the kernel state
- damage to hawse's own rules
- drops that hawse's own rules intend
- a port without a listener
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_network
from itertools import chain

from drivers.errors import DriverError
from drivers.firewall.foreign_drops import OURS
from drivers.firewall.legacy_tables import Translating
from drivers.firewall.packet_trace import Event
from drivers.linux import path_lookup
from drivers.linux.host import filters_bridged
from drivers.linux.obstacles import is_down
from drivers.model import ISOLATED, MAC, Difference
from engine.diagnosis.trace import chains, outside, own_rules, parent_link, rules, source_ports, translation_rules
from engine.diagnosis.trace.checks import Checks
from engine.diagnosis.trace.direct_access import has_icc, is_permitted
from engine.diagnosis.trace.model import Culprit
from engine.diagnosis.trace.names import networks_of, not_same_network
from engine.diagnosis.trace.obstacles import Obstacles
from engine.diagnosis.trace.packet_path import BRIDGED, EXTERNAL, LOCAL, REMOTE, ROUTED, PacketPath
from engine.diagnosis.trace.probing import Observation, neighbour_outside
from engine.diagnosis.trace.records import HOST, KNOWN_ADDRESSES, OUTSIDE, Place, Records, addresses
from engine.diagnosis.trace.routes import Routes
from engine.diagnosis.trace.source import connection
from engine.diagnosis.trace.state import Fault, State
from engine.diagnosis.trace.target import Target
from engine.endpoints.sandbox import JoinedEndpoint
from engine.store.api import Reader

L2_KINDS = ("bridge-missing", "bridge-down")
REDIRECTING = re.compile(r"\b(dnat|redirect|tproxy|fwd|netmap)\b", re.IGNORECASE)
HAIRPIN = "hairpin"  # a flag of bridge ports, which a container needs to reach its own published port
NEVER_SENT = ("ENETUNREACH", "EHOSTUNREACH", "EINVAL", "EACCES", "ENETDOWN", "EADDRNOTAVAIL")


class Explanation:
    """The search for the culprit on one path."""

    def __init__(self, reader: Reader, records: Records, path: PacketPath, state: State) -> None:
        self._reader, self._records, self._path, self._state = reader, records, path, state
        self._checks, self._routes = Checks(records, path), Routes(records, path)
        self._obstacles = Obstacles(records, path)
        self._differences: list[Difference] | None = None

    # -------------------------------------------------------------------------------------- without probe

    def faults(self) -> Iterator[Culprit]:
        """Yield the faults on the path according to the records and the kernel state.

        The most certain fault comes first.
        """
        outer = self._path.source.interface
        yield from self._state_faults(is_lost=False)
        yield from self._checks.reverse_path(neighbour_outside(outer, self._path.address)[0] if outer else None)
        if not (self.policy() and self._path.kind == EXTERNAL):
            yield from self._routes.routes()
        if not self.policy():
            yield from self._routes.routes_back()
        yield from self._checks.neighbours()
        yield from self._checks.forwarding()
        yield from self._routes.by_rules()
        yield from self._checks.port_states()
        yield from self._obstacles.proven()
        yield from self._checks.conntrack_full()

    def _state_faults(self, *, is_lost: bool = True) -> Iterator[Culprit]:
        """Yield the faults that a comparison of kernel objects with the records finds on the path.

        ``is_lost`` says whether the probe was lost. Two differences are a fault only under a condition:

        - A changed MAC is a fault only if the probe was lost. A machine that still uses the old MAC may have caused the
          loss.
        - An isolated bridge port is a fault only if the ports of both endpoints are isolated. The kernel drops only
          packets between two isolated ports.
        """
        path = self._path
        if path.source.kind == OUTSIDE and is_down(path.source.interface):
            name = path.source.interface
            fix = f"bring it up: ip link set {name} up, and set its addresses and routes again"
            yield Culprit("interface-down", f"interface {name} of host", "host", f"{name} is down", fix)
        of_ends = list(self._faults_of_ends())
        cut_off = path.kind == BRIDGED and [fault.setting for fault in of_ends].count(ISOLATED) == len(path.members)
        for fault in of_ends:
            tolerable = (fault.setting == MAC and not is_lost) or (fault.setting == ISOLATED and not cut_off)
            if self._concerns(fault) and not tolerable:
                yield fault.culprit
        if path.kind in (ROUTED, EXTERNAL):
            for place in (path.source, path.target):
                if place is not None and place.record is not None and place.netns_path:
                    faults = self._state.default_routes(place.record)
                    yield from (fault.culprit for fault in faults if self._concerns(fault))

    def _faults_of_ends(self) -> Iterator[Fault]:
        """Yield the faults of the path's endpoints and their networks; a network of both endpoints is compared once."""
        compared: set[str] = set()
        for member in self._path.members if self._path.kind != LOCAL else ():
            if member.network.id not in compared:
                yield from self._state.of_network(member.network)
            compared.add(member.network.id)
            yield from self._state.of_endpoint(member)

    def _concerns(self, fault: Fault) -> bool:
        """Return whether a fault of a network or endpoint can stop packets on this path.

        - A fault of hairpin mode matters only if the source and the target are in the same namespace.
        - On a path within one network, a fault of the bridge matters only if the bridge is missing or down.
        - Any other fault matters if it concerns the IP version of the path.

        The result is False for disabled forwarding, because `Checks.forwarding` examines it.
        """
        if fault.culprit.kind == "forwarding-off":
            return False
        if fault.setting == HAIRPIN:
            return self._path.target is not None and self._path.source.netns_path == self._path.target.netns_path
        if self._path.kind in (BRIDGED, REMOTE) and fault.of_bridge:
            return fault.culprit.kind in L2_KINDS
        return fault.version in (0, self._path.inner_address.version)

    def soft_faults(self, *, sending: bool) -> Iterator[Culprit]:
        """Yield faults that do not stop a small probe: a duplicate address, small MTUs, stale flows.

        Without ``sending``, no packets are sent. With ``sending``, a path from an external machine is also checked for
        faults of the host's external interface. Real packets pass this interface, but the injected probe did not.
        """
        yield from self._checks.duplicates(sending=sending)
        if sending and self._path.source.kind == OUTSIDE:
            yield from self._obstacles.proven()
            yield from outside.wrong_neighbour(self._path)
            yield from outside.silent_router_back(self._path)
        yield from self._checks.mtu()
        if sending and self._path.kind == EXTERNAL:
            yield from outside.small_mtu(self._path)
        yield from self._checks.conntrack_stale()

    def policy(self) -> Culprit | None:
        """Return the culprit if hawse's rules block this path by intention, or None if the rules allow it."""
        path, near, far = self._path, self._path.source_member, self._path.target_member
        if path.kind == BRIDGED and near is not None and far is not None:
            return self._without_icc() if near.network.driver == "bridge" else parent_link.private(near)
        if path.kind in (LOCAL, REMOTE):
            return None
        return (
            self._not_on_network()
            or self._isolated_ports()
            or parent_link.cut_off(path)
            or self._isolated()
            or self._internal()
            or self._not_published()
        )

    def _not_on_network(self) -> Culprit | None:
        """Return the culprit if a container sends to another container, and is not on the network of the address."""
        path, far = self._path, self._path.target_member
        in_sandbox = path.source_member is not None or (path.source.record is not None and path.source.netns_path)
        if not in_sandbox or far is None or path.binding is not None or self._is_permitted(far):
            return None
        mine = self._records.members(path.source.record) if path.source.record else []
        theirs = self._records.members(path.target.record) if path.target and path.target.record else [far]
        shared = {m.network.id for m in mine} & {m.network.id for m in theirs}
        if shared:
            return self._address_on_other_network(far, [m for m in theirs if m.network.id in shared])
        return not_same_network(path.source.name, path.target_name, networks_of(mine), networks_of(theirs))

    def _internal(self) -> Culprit | None:
        """Return the culprit if the path leads into or out of an internal network."""
        path = self._path
        if path.source.kind == "host" or self._at_gateway():
            return None
        member = next((m for m in (path.source_member, path.target_member) if m and m.network.internal), None)
        if member is None:
            return None
        detail = f"network {member.network.name} is internal: it has no way in or out"
        fix = f"connect {self._records.name_of(member)} to a second network that is not internal"
        return Culprit("network-internal", f"network {member.network.name}", "host", detail, fix)

    def _not_published(self) -> Culprit | None:
        """Return the culprit if an external machine sends to an unpublished port of a container, else None."""
        path, far = self._path, self._path.target_member
        if path.source.kind != OUTSIDE or far is None or path.binding is not None or self._is_permitted(far):
            return None
        name = self._records.name_of(far)
        detail = f"port {path.service} of {name} is not published, and machines outside reach no other port"
        fix = "publish the ports they need"
        if path.port:
            fix = f"publish it: hawse publish {shlex.quote(name)} -p {path.port}:{path.port}/{path.protocol}"
        return Culprit("not-published", f"port {path.service} of {name}", "host", detail, fix)

    def _at_gateway(self) -> bool:
        """Return whether the target is this host, at an address in a subnet of the source's network."""
        path = self._path
        pools = path.source_member.network.pools if path.source_member is not None and path.target is HOST else ()
        return any(path.address in ip_network(pool.subnet) for pool in pools if not pool.unused)

    def _is_permitted(self, far: JoinedEndpoint) -> bool:
        """Return whether hawse's rules let the packets reach the target's own address; ``far`` is its endpoint."""
        path = self._path
        target, received = Target("", path.port, path.protocol), path.source.interface
        version, bridge = path.address.version, path.source_bridge
        return is_permitted(self._records, far, target, version, received=received, bridge=bridge)

    def _address_on_other_network(self, far: JoinedEndpoint, shared: Sequence[JoinedEndpoint]) -> Culprit:
        """Return the culprit for a destination address on a network that the source is not on.

        ``far`` is the target's endpoint on this network. ``shared`` are the target's endpoints on networks of the
        source.
        """
        path, name = self._path, far.network.name
        detail = f"{path.address} is the address of {path.target_name} on {name}, and {path.source.name} is not on it"
        usable = ", ".join(f"{a} (on {m.network.name})" for m in shared for a in addresses(m.endpoint))
        fix = f"use an address on a common network: {usable}"
        return Culprit("not-same-network", f"container {path.target_name}", f"network {name}", detail, fix)

    def _isolated(self) -> Culprit | None:
        """Return the culprit if the path leads through the bridge of an isolated network, which has no address."""
        member = self._routes.isolated_member()
        if member is None:
            return None
        name = member.network.name
        detail = f"network {name} is isolated: its bridge has no address, so the network has no way in or out"
        fix = f"ask from a container on {name}, or create the network without the gateway mode isolated"
        return Culprit("network-internal", f"network {name}", "host", detail, fix)

    def _without_icc(self) -> Culprit | None:
        near, far = self._path.source_member, self._path.target_member
        assert near is not None
        assert far is not None
        if has_icc(near.network):
            return None
        detail = f"network {near.network.name} has enable_icc=false: its containers do not reach each other"
        commands = (connection("NETWORK", name, ()) for name in (self._path.source.name, self._path.target_name))
        fix = f"connect both to another network: hawse network create NETWORK && {' && '.join(commands)}"
        return Culprit("icc-disabled", f"network {near.network.name}", "host", detail, fix)

    def _isolated_ports(self) -> Culprit | None:
        """Return the culprit if enable_icc=false and br_netfilter block a published port between two containers.

        With br_netfilter, the kernel translates the packets within the bridge. It then sends them from one isolated
        bridge port to another, and drops them.
        """
        path, near, far = self._path, self._path.source_member, self._path.target_member
        if path.binding is None or near is None or far is None or near.endpoint.id == far.endpoint.id:
            return None
        name, version = near.network.name, path.address.version
        if near.network.id != far.network.id or has_icc(near.network) or not filters_bridged(version):
            return None
        key = chains.br_netfilter_sysctl(version)
        detail = f"network {name} has enable_icc=false, and with {key}=1 this concerns published ports too"
        return Culprit("icc-disabled", f"network {name}", "host", detail, f"sysctl -w {key}=0")

    def own_damage(self) -> Culprit | None:
        """Return the culprit if another program has damaged hawse's own firewall for this path, or None."""
        if self._differences is None:
            try:
                self._differences = self._state.firewall(self._reader)
            except (DriverError, OSError):
                self._differences = []
        return own_rules.damage(self._differences, self._path)

    def listening(self) -> Culprit | None:
        """Return the culprit if no process listens at the target's port, or if the target ignores pings; else None."""
        return next(chain(self._checks.listening(), self._checks.ignores_ping()), None)

    # ----------------------------------------------------------------------------------------- with probe

    def of(self, seen: Observation) -> Culprit | None:
        """Return the culprit for a probe that did not get the expected answer, or None if nothing proves a culprit.

        ``seen`` is the observation of the probe.
        """
        for place, event in seen.drops():
            moved = self._redirected(seen) if event.table in OURS and not event.reply else None
            return moved or self.of_drop(place, event)
        for place, rule in (pair for pair in seen.legacy if not isinstance(pair[1], Translating)):
            return chains.of_legacy(place, rule, self._path.inner_address.version, bridged=self._path.kind == BRIDGED)
        arrived = self._arrived(seen)
        redirected = None if arrived else self._redirected(seen)
        if redirected is not None:
            return redirected
        culprits: Iterable[Culprit] = chain(
            self._state_faults(),
            self._checks.reverse_path(seen.client),
            () if self.policy() else self._routes.routes(),
            self._routes.routes_back(),
            self._neighbours(),
            outside.wrong_neighbour(self._path),
            self._checks.duplicates(sending=True) if not arrived else (),
            self._checks.forwarding(),
            self._routes.by_rules(),
            self._checks.port_states(),
            self._obstacles.proven(),
        )
        culprit = next(iter(culprits), None)
        if culprit is not None and not (arrived and seen.result == "refused"):
            return culprit
        return self._later(seen, arrived=arrived) or culprit

    def _neighbours(self) -> Iterator[Culprit]:
        """Yield a culprit for each wrong neighbour entry.

        Culprits for duplicate addresses come first, because duplicate addresses cause such entries.
        """
        for culprit in self._checks.neighbours():
            yield from self._checks.duplicates(sending=True)
            yield culprit

    def _later(self, seen: Observation, *, arrived: bool) -> Culprit | None:
        cause = next(self._checks.conntrack_full(), None)
        if not arrived:
            cause = cause or source_ports.of_translation(self._path, seen)
            cause = cause or (self.own_damage() if self._path.kind in (ROUTED, EXTERNAL) else None)
            cause = cause or self.policy()
        return cause or self.listening() or self._of_remainder(seen, arrived=arrived)

    def _arrived(self, seen: Observation) -> bool:
        path = self._path
        if path.target is None or path.target_member is None:
            sent = path.target is not None and seen.result not in NEVER_SENT
            return sent and (seen.result == "refused" or not parent_link.is_end(path))
        return seen.saw(path.target, path.target_member.endpoint.interface)

    def of_drop(self, place: Place, event: Event) -> Culprit:
        """Return the culprit for a drop (``event``) that nftables reported in the namespace ``place``."""
        if event.table in OURS and not place.netns_path:
            return self._of_own_drop(event)
        detail = f"it drops the {'answer' if event.reply else 'probe'} by {chains.rule_in(place, event)}"
        by_policy = not event.table.startswith(("bridge", "netdev")) and not event.handle
        if self._path.kind == BRIDGED and by_policy and not place.netns_path:
            return chains.br_netfilter(event, detail, self._path.inner_address.version)
        return chains.culprit(place, event, detail, self._accepting(place, event))

    def _accepting(self, place: Place, event: Event) -> str:
        """Return the remedy for a chain in ``place`` that drops the probe or its answer (``event``)."""
        path = self._path
        addresses = {a for a in (path.address, path.inner_address) if a.version == path.address.version}
        ports = {path.port, path.inner_port}
        fix = chains.accepting(place, event, path.protocol, addresses, ports, reply=event.reply)
        if event.searches:
            fix = chains.letting_search(place, event, path.inner_address.version)
        if event.searches or not event.reply:
            fix += rules.also_accepting(path, requests=event.searches)
        return fix

    def _redirected(self, seen: Observation) -> Culprit | None:
        """Return the culprit if a rule of another program sent the probe to another destination, or None."""
        of_probe = ((place, event) for place, event in seen.events if not event.reply)
        for place, event, rule in chains.passed(of_probe, REDIRECTING):
            what = chains.text_of(event)
            detail = f"it sends the probe somewhere else by {rule}"
            return Culprit("foreign-firewall", what, f"{place}, {what}", detail, chains.removing(place, event))
        legacy = translation_rules.of_legacy(self._path)
        return legacy[1] if legacy is not None and (HOST, legacy[0]) in seen.legacy else None

    def _of_own_drop(self, event: Event) -> Culprit:
        """Return the culprit for a packet that hawse's own rules dropped.

        Damaged rules, a fault of the kernel state, a wrong route or a policy may be the cause. Otherwise, no container
        has the address, or no rule allows the packet because the port is not published.
        """
        forbidden = self.policy()
        cause = self.own_damage() or (forbidden if event.chain == "no_icc" else None)
        cause = cause or next(chain(self._state_faults(), self._routes.routes()), None) or forbidden
        if cause is not None:
            return cause
        path = self._path
        if path.target is None and path.source.kind == OUTSIDE:
            detail = f"no container has {path.address}, and hawse switched forwarding on for its networks only"
            where = f"host, {chains.text_of(event)}"
            return Culprit("no-such-endpoint", f"address {path.address}", where, detail, KNOWN_ADDRESSES)
        what = f"port {path.service} of {path.target_name} ({chains.text_of(event)})"
        detail = f"hawse's own rules drop this packet in {chains.text_of(event)}: nothing allows it"
        fix = "publish the port (hawse publish), or connect both to one network"
        return Culprit("not-published", what, "host", detail, fix)

    def _of_remainder(self, seen: Observation, *, arrived: bool) -> Culprit | None:
        """Return the culprit of a lost or refused probe if no earlier check has proved a cause, or None.

        nftables has reported no drop. ``arrived`` says whether the probe has reached the target.
        """
        path = self._path
        if path.kind == EXTERNAL:
            return self._of_external(seen)
        if arrived and seen.result == "refused":
            what = f"port {path.service} of {path.target_name}"
            detail = f"{path.target_name} refuses port {path.service}"
            fix = f"start the service in {path.target_name}"
            return Culprit("port-not-listening", what, str(path.target), detail, fix)
        likely = next(self._obstacles.likely(seen), None)
        if likely is not None and likely.kind == "stale-neighbour":  # a rule that drops ARP or NDP may be the cause
            return rules.dropping(path) or likely
        culprit = likely or rules.dropping(path) or next(self.soft_faults(sending=False), None)
        return culprit or (parent_link.beyond_router(path) if not arrived else None)

    def _of_external(self, seen: Observation) -> Culprit | None:
        path = self._path
        if seen.result == "refused":
            detail = f"{path.address} refuses port {path.port}/{path.protocol}"
            what = f"port {path.port}/{path.protocol} of {path.address}"
            return Culprit("port-not-listening", what, "outside", detail, f"start the service at {path.address}")
        if seen.result in NEVER_SENT and not path_lookup.route(path.address).kind:
            what, detail = f"route to {path.address} of the host", f"the host has no route to {path.address}"
            return Culprit("no-route", what, "host", detail, "add a route on the host")
        if path.protocol == "udp" and not seen.result:
            return None
        obstacle = next(chain(self._obstacles.likely(seen), self._obstacles.wrong_source(seen)), None)
        if obstacle is not None:
            return obstacle
        if seen.saw(HOST, path_lookup.route(path.address).interface, reply=True):
            lost = f"an answer of {path.address} came back, and this host did not accept it"
            fix = "see the answer: tcpdump -nei any; its MAC must be that of this host, or the machine has an old entry"
            # The answer came back to this host, which lost it.
            return rules.dropping(path) or Culprit("peer-unreachable", f"machine {path.address}", "outside", lost, fix)
        detail = f"the probe left this host, and {path.address} does not answer"
        fix = "check that machine, and the network and firewalls on the way to it"
        return Culprit("peer-unreachable", f"machine {path.address}", "outside", detail, fix)
