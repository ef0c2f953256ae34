"""One host's side of an overlay network: the cluster's records, and the kernel state of this host on a `PacketPath`.

The path begins on this host and ends on another host. `engine.diagnosis.trace.overlay` examines the path to the target.
On the target's host, `engine.diagnosis.trace.answering` examines the path back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from ipaddress import ip_address

from drivers.api import LinkRepairer, PeerProgrammer
from drivers.errors import DriverError
from drivers.firewall.packet_trace import Event
from drivers.linux import path_lookup
from drivers.linux.features import mtu_of
from drivers.linux.link import VXLAN_PORT
from drivers.model import ARP, KIND, MASTER, MTU, UP, Difference, IPAddress
from drivers.overlay import options as overlay_options
from drivers.overlay.vxlan import BRIDGE
from engine.cluster import encryption, membership, peers, snapshot
from engine.cluster.model import ClusterMembership, Node
from engine.cluster.snapshot import View
from engine.diagnosis.trace import chains, rules
from engine.diagnosis.trace.chains import Decision
from engine.diagnosis.trace.model import Culprit
from engine.diagnosis.trace.packet_path import PacketPath
from engine.diagnosis.trace.records import HOST, Place, Records, addresses
from engine.diagnosis.trace.state import HARMLESS, port_of
from engine.errors import EngineError, in_words
from engine.host import Host, network_spec
from engine.model import NetworkRecord


class OverlaySide:
    """The cluster's records on this host, and this host's side of a path through an overlay network."""

    def __init__(self, host: Host, records: Records) -> None:
        self._host, self._records = host, records
        self._membership: ClusterMembership | None = None
        self.view: View | None = None
        self.store_error = ""

    def learn_peers(self, place: Place) -> None:
        """Add the endpoints of other hosts on the source's overlay networks to the records of this trace.

        A source that is no container has no overlay networks.
        """
        members = self._records.members(place.record) if place.record is not None else []
        self.learn([m.network for m in members if m.network.driver == "overlay"])

    def learn(self, overlays: Sequence[NetworkRecord]) -> None:
        """Add the endpoints of other hosts on the networks ``overlays`` to the records.

        If the cluster's store does not answer, the endpoints come from this host's saved snapshot, and `store_down`
        returns a culprit.
        """
        if not overlays or not self._host.is_clustered:
            return
        try:
            with membership.connected(self._host) as (client, self._membership):
                self.view = snapshot.load(client)
        except (EngineError, OSError) as error:
            self.store_error = in_words(error)
            with suppress(EngineError):
                self._membership = membership.load(self._host.root)
            self.view = snapshot.saved(self._host.root)
        if self.view is None or self._membership is None:
            return
        for network in overlays:
            for endpoint in self.view.all_endpoints(network.id):
                if endpoint.node != self._membership.node_id and not endpoint.former:
                    record = snapshot.record_of(endpoint)
                    self._records.endpoints.append(record)
                    if endpoint.node not in self.view.alive:
                        self._records.expired_addresses.update(addresses(record))

    def store_down(self) -> Culprit | None:
        """Return the culprit if the cluster's store does not answer, else None."""
        if not self.store_error:
            return None
        detail = f"the cluster's store does not answer ({self.store_error}); new peers are not learned"
        fix = "look at the managers: hawse node ls; start the etcd that stopped (on its host: any hawse command)"
        return Culprit("store-down", "store of the cluster (etcd)", "cluster", detail, fix)

    @property
    def own_address(self) -> str:
        """The underlay address of this host, or "" if this host is in no cluster."""
        return self._membership.data_address if self._membership is not None else ""

    def node_of(self, path: PacketPath) -> Node | None:
        """Return the host of the target's endpoint, or None if the endpoint or its host is unknown."""
        if self.view is None or path.target_member is None:
            return None
        return self.view.nodes.get(path.target_member.endpoint.container_id.partition("/")[0])

    def dropped_in_network(self, path: PacketPath, client: IPAddress | None) -> Culprit | None:
        """Return the culprit if a rule drops the packets in the overlay network's namespace on this host, else None.

        The packets are those from the address ``client`` to the target, and their answers. The result is None without
        a ``client``.
        """
        place = self.namespace(path)
        return rules.dropping_in_network(path, client, place) if place is not None and client is not None else None

    def namespace(self, path: PacketPath) -> Place | None:
        """Return the namespace of the path's overlay network on this host, or None if the network has none."""
        member = path.source_member
        driver = self._host.driver(member.network.driver) if member is not None else None
        if member is None or not isinstance(driver, LinkRepairer):
            return None
        netns_path = driver.watched(network_spec(member.network))[1]
        return Place("network", member.network.name, netns_path) if netns_path else None

    def narrow_interface(self, path: PacketPath) -> Culprit | None:
        """Return the culprit if the source's interface has a smaller MTU than the overlay network, else None."""
        place, member = self.namespace(path), path.source_member
        if place is None or member is None:
            return None
        interface = member.endpoint.interface
        mtu, usual = path.source.inside(partial(mtu_of, interface)), place.inside(partial(mtu_of, BRIDGE))
        if not 0 < mtu < usual:
            return None
        detail = f"{interface} of {path.source.name} has an MTU of {mtu}, the network of {usual}"
        fix = f"raise it: {path.source.command(f'ip link set {interface} mtu {usual}')}"
        return Culprit("mtu", f"interface {interface} of {path.source.name}", str(path.source), detail, fix)

    def devices(self, path: PacketPath) -> Iterator[Culprit]:
        """Yield a culprit for each fault of the overlay network's devices and tables that concerns this path.

        This host's devices and tables are examined.
        """
        member = path.source_member
        if member is None or member.network.driver != "overlay" or self.view is None or self._membership is None:
            return
        driver = self._host.driver(member.network.driver)
        if not isinstance(driver, PeerProgrammer):
            return
        spec = encryption.spec(member.network, self._membership, self.view.nodes.values())
        try:
            differences = driver.verify(spec, peers.of(self.view, member.network.id, self._membership.node_id), False)
        except (DriverError, OSError):
            return
        small = self.small_underlay(path)
        for difference in differences:
            if difference.setting == MTU and small is not None:
                yield small  # the small MTU of the underlay interface is the cause of the difference
            else:
                yield from self._of_difference(path, member.network.name, difference)

    def _of_difference(self, path: PacketPath, network: str, difference: Difference) -> Iterator[Culprit]:
        fix = f"hawse network verify --fix {network}"
        where = f"namespace of network {network}"
        detail = f"network {network} on this host: {difference.line}"
        if difference.place == "tunnel":
            yield Culprit("encryption-down", f"encryption of network {network}", where, detail, fix)
        elif difference.place == "firewall":
            yield Culprit("own-firewall-damaged", f"table inet hawse ({difference.what})", "host", detail, fix)
        elif difference.place == "namespace":
            yield Culprit("bridge-missing", f"bridge {BRIDGE} of network {network}", where, detail, fix)
        elif difference.place in ("bridge", "interface"):
            if difference.setting in HARMLESS:
                return
            what = f"{difference.place} {difference.subject} of network {network}"
            yield Culprit(_device_kind(difference), what, where, detail, fix)
        elif self._concerns(path, difference.what):
            shown = f"tables of network {network} for {path.address}"
            yield Culprit("peer-table-stale", shown, where, detail, fix)

    def _concerns(self, path: PacketPath, line: str) -> bool:
        member = path.target_member
        node = self.node_of(path)
        words = [
            str(path.address),
            *((member.endpoint.link_mac,) if member else ()),
            *((node.data_address,) if node else ()),
        ]
        return any(word in line.split() for word in words)

    def dropped_tunnel(self, path: PacketPath) -> Culprit | None:
        """Return the culprit if a rule of this host drops the tunnel's packets to or from the target's host, else None.

        The rules are read, and nothing is sent.
        """
        node, member = self.node_of(path), path.source_member
        if node is None or member is None or not self.own_address:
            return None
        own_address, other = ip_address(self.own_address), ip_address(node.data_address)
        interface = path_lookup.route(other).interface
        drops = dict(rules.dropping_tunnels(own_address, {other: interface}, tunnel_port(member.network)))
        return of_tunnel_drop(drops[other], other, member.network) if drops else None

    def small_underlay(self, path: PacketPath) -> Culprit | None:
        """Return the culprit if the MTU of the underlay interface is too small for full-size packets, else None."""
        node, member = self.node_of(path), path.source_member
        if node is None or member is None:
            return None
        interface = path_lookup.route(ip_address(node.data_address)).interface
        inner, outer = path.source.inside(partial(mtu_of, member.endpoint.interface)), mtu_of(interface)
        options = overlay_options.parse(network_spec(member.network))
        full = inner + options.overhead
        if inner and outer and outer < full:
            added = f"{options.overhead} bytes of VXLAN" + (" and WireGuard" if options.encrypted else "")
            detail = f"{interface} has an MTU of {outer}; packets of {inner} bytes and {added} do not fit"
            fix = f"raise it: ip link set {interface} mtu {full}"
            return Culprit("mtu", f"interface {interface} of the host", "host", detail, fix)
        return None

    def moved_port(self, path: PacketPath) -> Culprit | None:
        """Return the culprit if a static forwarding entry sends frames for the source's MAC to a wrong port, else None.

        The entry is in the network's bridge on this host.
        """
        place, member = self.namespace(path), path.source_member
        if place is None or member is None:
            return None
        mac = member.endpoint.link_mac
        by, port = place.inside(lambda: (path_lookup.static_ports(BRIDGE).get(mac), port_of(member)))
        if by in (None, port):
            return None
        detail = f"{BRIDGE} has a static entry that sends {mac} ({path.source.name}) to {by}, not to {port}"
        fix = f"delete it in the {place}: bridge fdb del {mac} dev {by} master"
        what = f"forwarding entry {mac} of bridge {BRIDGE} of network {member.network.name}"
        return Culprit("stale-neighbour", what, str(place), detail, fix)


def _device_kind(difference: Difference) -> str:
    """Return the kind of culprit for a difference of the network's bridge or of a VXLAN device."""
    kinds = {UP: f"{difference.place}-down", MASTER: "not-in-bridge", MTU: "mtu", ARP: "stale-neighbour"}
    kinds |= dict.fromkeys(("", KIND), f"{difference.place}-missing")
    return kinds.get(difference.setting, "not-in-bridge")  # the other settings are flags of a bridge port


def tunnel_port(network: NetworkRecord) -> int:
    """Return the UDP port of the network's packets between hosts: WireGuard's if it is encrypted, else VXLAN's."""
    return encryption.port(network) if encryption.is_encrypted(network) else VXLAN_PORT


def of_tunnel_drop(decision: Decision | Event, other: IPAddress, network: NetworkRecord) -> Culprit:
    """Return the culprit for a decision of this host to drop the network's packets to or from the host ``other``."""
    encrypted, port = encryption.is_encrypted(network), tunnel_port(network)
    kind, what = ("encryption-down", "WireGuard") if encrypted else ("vxlan-blocked", "VXLAN")
    chain = chains.text_of(decision)
    detail = f"{chain} drops the {what} packets (UDP {port}) to or from {other} by {chains.rule_in(HOST, decision)}"
    fix = f"let UDP {port} from and to {other} pass in {chain}"
    return Culprit(kind, f"UDP {port} to {other} ({chain})", f"host, {chain}", detail, fix)
