"""The ``overlay`` driver: networks across several hosts by VXLAN, with forwarding entries for every remote endpoint.

Each host has a separate namespace for each network, with a bridge and VXLAN devices (`drivers.overlay.namespace`). Each
endpoint has a veth pair between that bridge and its sandbox. The driver does not know how hosts find each other:
`program_peers` gives it the peers (the endpoints on other hosts), and the network's options give it this host's
settings.

The driver does not connect containers to the outside. If a container needs that, the engine also connects the container
to a bridge network (docker_gwbridge). Therefore, `OverlayDriver.join` offers no gateways.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TypeVar

from drivers import sandbox as sandboxes
from drivers.api import Watch
from drivers.errors import BadOption, Missing
from drivers.firewall import table, vxlan_guard
from drivers.firewall.elements import Element
from drivers.firewall.vxlan_guard import Gate
from drivers.firewall.watch import TableWatch
from drivers.linux import link
from drivers.linux.neighbor_announcement import announce
from drivers.linux.netlink import Session
from drivers.model import (
    Desired,
    Difference,
    DriverFacts,
    EndpointSpec,
    IPAddress,
    JoinInfo,
    NetworkSpec,
    Peer,
    Sandbox,
    Settings,
)
from drivers.overlay import options as overlay_options
from drivers.overlay import port, vxlan
from drivers.overlay.forwarding_tables import RowDifference, Tables
from drivers.overlay.namespace import OverlayNamespace
from drivers.overlay.options import OverlayOptions
from drivers.overlay.vxlan import BRIDGE
from drivers.plan import Step, apply, teardown

T = TypeVar("T")


class OverlayDriver:
    """The driver of networks that span several hosts, connected by VXLAN."""

    type = "overlay"
    facts = DriverFacts(
        "swarm",
        "Networks across hosts (VXLAN)",
        publishes_ports=True,
        compares_mac=True,
        owns_subnets=True,
        link_kinds=("vxlan",),
        options=overlay_options.FACTS,
    )

    settings = Settings()

    def configure(self, settings: Settings) -> None:
        """Store the settings of this host, which apply to all overlay networks."""
        self.settings = settings

    def namespace(self, network: NetworkSpec) -> OverlayNamespace:
        """Return the `OverlayNamespace` of a network on this host.

        The kernel's namespace need not exist yet.
        """
        return OverlayNamespace(network, self.settings.run)

    def check_network(self, network: NetworkSpec, others: Sequence[NetworkSpec]) -> None:
        """Check a network's options and IP versions; raises `BadOption` in three cases.

        - An option is wrong.
        - Both IPv4 and IPv6 are disabled.
        - IPv4 is disabled and the user gives no subnet. The cluster can choose IPv4 subnets only.

        Another network may have the same VNI (VXLAN id) or subnet, as in Docker.
        """
        overlay_options.parse(network)
        if not network.ipv4 and not network.ipv6:
            raise BadOption("IPv4 or IPv6 must be enabled")
        if not network.ipv4 and not network.pools:
            raise BadOption(f"network {network.name} has no IPv4 and no subnet (give an IPv6 subnet with --subnet)")

    def create_network(self, network: NetworkSpec) -> None:
        """Create the network's namespace and devices on this host; idempotent.

        A second call completes a creation that was interrupted. Raises `Unsupported` for an encrypted network that this
        host cannot encrypt.
        """
        options = overlay_options.complete(network)
        self.shut(network)
        self.namespace(network).make(options)

    def delete_network(self, network: NetworkSpec) -> None:
        """Remove the network's devices and namespace from this host; idempotent."""
        namespace = self.namespace(network)
        senders = Step("senders", lambda: table.change(remove=_senders_to_devices(namespace)))
        teardown((senders, Step("devices", namespace.remove)))

    def create_endpoint(self, network: NetworkSpec, endpoint: EndpointSpec) -> None:
        """Check the endpoint's options; raises `BadOption`."""
        sandboxes.endpoint_sysctls(endpoint.options, "IFNAME")

    def delete_endpoint(self, network: NetworkSpec, endpoint: EndpointSpec) -> None:
        """Delete the endpoint's veth pair if the pair still exists; idempotent."""
        self.leave(network, endpoint, None)

    def join(self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox, interface: str) -> JoinInfo:
        """Connect the sandbox to the network by a veth pair; return the interface's name and MAC.

        Replaces the veth pair of an earlier join. The result has no gateways.
        """
        namespace = self.namespace(network)

        def configure(opened: Session) -> None:
            sandboxes.configure(opened, endpoint, interface)
            port.route_other_subnets(opened, network, endpoint, interface)

        apply(
            (
                Step(
                    "veth pair",
                    lambda: namespace.inside(lambda there: port.plug(there, endpoint, sandbox, interface)),
                    lambda: self.leave(network, endpoint, sandbox),
                ),
                Step("interface", lambda: sandboxes.inside(sandbox, configure)),
            )
        )
        return JoinInfo(interface, endpoint.mac)

    def leave(self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox | None) -> None:
        """Delete the endpoint's veth pair; idempotent, and works if the sandbox no longer exists."""
        namespace = self.namespace(network)
        if namespace.exists():
            namespace.inside(lambda there: port.unplug(there, endpoint))

    def watched(self, network: NetworkSpec) -> tuple[str, str]:
        """Return ("", path of the network's own namespace).

        The first value is "", because no link of the network is in the host's namespace. The path is "" if the
        network's namespace does not exist.
        """
        namespace = self.namespace(network)
        return "", namespace.sandbox.path if namespace.exists() else ""

    def compare_network(self, network: NetworkSpec, publishing: Sequence[EndpointSpec]) -> Sequence[Difference]:
        """Return an empty list, because `verify` compares the network's devices together with its tables."""
        return ()

    def repair_network(self, network: NetworkSpec, endpoints: Sequence[EndpointSpec]) -> None:
        """Do nothing, because `verify` repairs the network's devices together with its tables."""

    def compare_endpoint(
        self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox, interface: str
    ) -> Sequence[Difference]:
        """Return how the endpoint's bridge port and its interface differ from the required state.

        The list is empty if the network's namespace or bridge is missing. `verify` reports and repairs that loss. The
        endpoint can be compared only after this repair.
        """
        namespace = self.namespace(network)

        def compare_port(there: Session) -> tuple[int, list[Difference]] | None:
            if not link.index(BRIDGE):
                return None
            mtu = vxlan.shared_mtu(there, network)
            return mtu, port.compare(there, endpoint, mtu)

        compared = namespace.inside(compare_port) if namespace.exists() else None
        if compared is None:
            return []
        mtu, differences = compared

        def compare(opened: Session) -> list[Difference]:
            return [*sandboxes.compare(opened, endpoint, interface), *port.too_large(opened, interface, mtu)]

        return [*differences, *sandboxes.inside(sandbox, compare)]

    def repair_endpoint(
        self,
        network: NetworkSpec,
        endpoint: EndpointSpec,
        sandbox: Sandbox,
        interface: str,
        differences: Sequence[Difference],
    ) -> None:
        """Repair the given ``differences``; joins the endpoint again if its veth pair is lost."""
        if sandboxes.is_lost(differences):
            sandboxes.discard(sandbox, endpoint)
            self.join(network, endpoint, sandbox, interface)
            sandboxes.inside(sandbox, lambda there: sandboxes.announce(there, endpoint, interface))
            return

        def attach(there: Session) -> int:
            mtu = vxlan.shared_mtu(there, network)
            port.attach(there, endpoint, mtu)
            return mtu

        mtu = self.namespace(network).inside(attach)

        def repair(opened: Session) -> None:
            sandboxes.repair(opened, endpoint, interface, differences)
            port.shrink(opened, interface, mtu)
            port.route_other_subnets(opened, network, endpoint, interface, keep_existing=True)

        sandboxes.inside(sandbox, repair)

    def program_peers(self, network: NetworkSpec, peers: Sequence[Peer]) -> None:
        """Recreate missing devices, and make the FDB and neighbour tables contain exactly these peers.

        The firewall then accepts VXLAN packets only from the peers' hosts. Raises `Missing` immediately if the
        network's namespace does not exist on this host. In an encrypted network, raises `Missing` at the end if this
        host has no tunnel to a peer's host.
        """
        options = overlay_options.complete(network)
        namespace = self.namespace(network)
        namespace.repair(options)
        _synchronise_tunnel(namespace, options)
        table.change(*_senders(network, peers))
        _with_tables(namespace, options, lambda tables: _reconcile(tables, peers))
        _require_tunnels(options, peers)

    def add_peer(self, network: NetworkSpec, peer: Peer) -> None:
        """Add the table entries of one peer, and replace earlier entries of its MAC and addresses; idempotent.

        Also accepts VXLAN packets from the peer's host, and announces the peer's MAC to this host's sandboxes. Raises
        `Missing` if the network is not up on this host, or if an encrypted network has no tunnel to the peer's host.
        """
        options = overlay_options.complete(network)
        namespace = self.namespace(network)
        _require_tunnels(options, [peer])
        _synchronise_tunnel(namespace, options)
        tables = _with_tables(namespace, options, lambda opened: opened)  # raises Missing before the firewall changes
        if gate := _gate(network):
            table.change(add=gate.admitting([peer.vtep]))
        namespace.inside(lambda _: _add(tables, peer))

    def remove_peer(self, network: NetworkSpec, peer: Peer) -> None:
        """Remove the table entries of one peer; idempotent. Does nothing if the network is not up on this host."""
        namespace = self.namespace(network)
        if namespace.exists():
            options = overlay_options.complete(network)
            unused = _with_tables(namespace, options, lambda tables: tables.remove(peer))
            if gate := _gate(network):
                table.change(remove=gate.admitting(unused))

    def verify(
        self, network: NetworkSpec, peers: Sequence[Peer], fix: bool, *, tunnels: bool = True
    ) -> list[Difference]:
        """Return how this host's kernel objects and tables differ from the network's required state.

        With ``fix``, the differences are also repaired. Without ``fix``, the tables are compared only if all kernel
        objects are correct. With ``tunnels``, an encrypted network's missing tunnel to a peer's host is also a
        difference, which ``fix`` cannot repair.
        """
        options = overlay_options.complete(network)
        namespace = self.namespace(network)
        differences = namespace.compare(options)
        if differences and fix:
            self.create_network(network)
        if fix or not differences:
            differences += _with_tables(namespace, options, lambda t: _compared(t, peers, fix))
        differences += _compared_senders(network, peers, fix)
        lost = _without_tunnel(options, peers) if tunnels else ()
        return differences + [Difference("missing", "tunnel", f"a tunnel to {vtep}") for vtep in lost]

    def shut(self, network: NetworkSpec) -> None:
        """Make the firewall drop the network's VXLAN packets, except from hosts that it already allows; idempotent.

        Does nothing for an encrypted network.
        """
        if gate := _gate(network):
            table.change(add=gate.shutting())

    def compare(self, desired: Desired) -> Sequence[Difference]:
        """Return how the allowed VXLAN senders in the firewall differ from the hosts in the forwarding tables.

        The tables are regarded as correct, so `repair` changes only the firewall.
        """
        expected: list[Element] = []
        for network, _ in desired.networks:
            if gate := _gate(network):
                expected += [*gate.shutting(), *gate.admitting(_known_hosts(self.namespace(network)))]
        gates = (_gate(network) for network, _ in desired.unsettled)
        return vxlan_guard.compare(expected, [gate for gate in gates if gate])

    def repair(self, desired: Desired, differences: Sequence[Difference]) -> None:
        """Repair the ``differences`` of the firewall that `compare` found."""
        vxlan_guard.repair(differences)

    def needs_repair(self) -> bool:
        """Return whether the nftables table with the VXLAN rules was lost or recreated since the last `repair`."""
        return not vxlan_guard.is_whole()

    def watch(self) -> Watch:
        """Start to watch the firewall for other programs' changes, and return the watch."""
        return TableWatch()

    def saved_state(self) -> Sequence[str]:
        """Return no lines, because a repair finds the state that it needs in the networks' forwarding tables."""
        return ()


def _gate(network: NetworkSpec) -> Gate | None:
    """Return the `Gate` of a network, or None for an encrypted network.

    The `Gate` tells the firewall which hosts may send VXLAN packets of the network. An encrypted network needs no gate,
    because it accepts authenticated packets only.
    """
    return None if overlay_options.is_encrypted(network) else Gate(overlay_options.vnis(network))


def _senders(network: NetworkSpec, peers: Iterable[Peer]) -> tuple[Sequence[Element], Sequence[Element]]:
    """Return the firewall elements to add and to remove, so that only hosts of ``peers`` can send VXLAN packets.

    Both are empty for an encrypted network.
    """
    gate = _gate(network)
    return gate.difference({peer.vtep for peer in peers}) if gate else ((), ())


def _senders_to_devices(namespace: OverlayNamespace) -> Sequence[Element]:
    """Return the firewall elements that allow other hosts to send to the network's VXLAN devices on this host.

    `OverlayDriver.delete_network` removes these elements. If this host has no device of the network for a VXLAN id, the
    elements for this id are left out. They may belong to another network, which must keep them. The result is empty for
    an encrypted network, or if the network's namespace does not exist.
    """
    gate = _gate(namespace.network)
    if gate is None or not namespace.exists():
        return ()
    devices = zip(vxlan.devices(namespace.network), gate.vnis, strict=False)
    vnis = namespace.inside(lambda _: tuple(vni for name, vni in devices if link.index(name)))
    return Gate(vnis).difference(())[1]


def _compared_senders(network: NetworkSpec, peers: Iterable[Peer], fix: bool) -> list[Difference]:
    missing, unexpected = _senders(network, peers)
    if fix:
        table.change(missing, unexpected)
    return [
        Difference(what, "firewall", f"the firewall's element {element.set} {{ {element.key} }}")
        for what, elements in (("missing", missing), ("unexpected", unexpected))
        for element in elements
    ]


def _known_hosts(namespace: OverlayNamespace) -> Collection[IPAddress]:
    if not namespace.exists():
        return ()
    return _with_tables(namespace, overlay_options.parse(namespace.network), lambda tables: tables.hosts())


def _with_tables(namespace: OverlayNamespace, options: OverlayOptions, action: Callable[[Tables], T]) -> T:
    return namespace.inside(lambda _: action(Tables(namespace.network, options)))


def _add(tables: Tables, peer: Peer) -> None:
    tables.add(peer)
    announce(BRIDGE, _holders([peer]))


def _reconcile(tables: Tables, peers: Sequence[Peer]) -> RowDifference:
    """Program exactly these peers into the tables; return how the tables differed before.

    Also announces new MACs to this host's sandboxes. For a new peer's address, a sandbox's own neighbour table may
    still have the MAC of an earlier peer.
    """
    difference = tables.difference(peers)
    difference.apply()
    announced = difference.announced()
    announce(BRIDGE, _holders(p for p in peers if str(p.ipv4) in announced or str(p.ipv6) in announced))
    return difference


def _holders(peers: Iterable[Peer]) -> Iterator[tuple[str, IPAddress]]:
    """Yield (MAC, address) for each address of the peers, for announcements to this host's sandboxes.

    A peer's own ARP announcements do not arrive, because VXLAN devices with ``proxy`` do not forward ARP packets.
    """
    return ((peer.mac, address) for peer in peers for address in peer.addresses)


def _compared(tables: Tables, peers: Sequence[Peer], fix: bool) -> list[Difference]:
    difference = _reconcile(tables, peers) if fix else tables.difference(peers)
    return difference.differences(tables.names)


def _synchronise_tunnel(namespace: OverlayNamespace, options: OverlayOptions) -> None:
    if options.wireguard is not None:
        namespace.tunnel.synchronise(options.wireguard)


def _require_tunnels(options: OverlayOptions, peers: Iterable[Peer]) -> None:
    lost = _without_tunnel(options, peers)
    if lost:
        raise Missing(f"no WireGuard tunnel to {', '.join(map(str, lost))}; refusing to send unencrypted traffic")


def _without_tunnel(options: OverlayOptions, peers: Iterable[Peer]) -> list[IPAddress]:
    return list(dict.fromkeys(peer.vtep for peer in peers if options.remote(peer) is None))
