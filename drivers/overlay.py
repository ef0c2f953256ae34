"""The ``overlay`` driver: networks that reach over several hosts, by VXLAN, each host told of the others' endpoints.

Of a network each host has a namespace of its own with a bridge and VXLAN devices (`drivers.overlay_place`). Of an
endpoint, a veth pair between that bridge and the sandbox. The driver knows nothing of how hosts find each other: who
the peers are comes by `program_peers`, and what this host's part is by options. The way to the outside is not its
business either (the engine joins a bridge network for that), so a join offers no gateways.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeVar

from drivers import overlay_options, overlay_port, vxlan
from drivers import sandbox as sandboxes
from drivers.api import (
    Desired,
    Difference,
    EndpointSpec,
    IPAddress,
    JoinInfo,
    Missing,
    NetworkSpec,
    Peer,
    Sandbox,
    Watch,
)
from drivers.firewall import table, tunnels
from drivers.firewall.elements import Element
from drivers.firewall.tunnels import Gate
from drivers.linux import link
from drivers.linux.netlink import Session
from drivers.neighbor_announcement import announce
from drivers.overlay_options import OverlayOptions
from drivers.overlay_place import Place
from drivers.plan import Step, apply, teardown
from drivers.vxlan import BRIDGE
from drivers.vxlan_tables import Tables

T = TypeVar("T")


class OverlayDriver:
    """Networks of several hosts, switched by VXLAN."""

    type = "overlay"
    scope = "swarm"

    def check_network(self, network: NetworkSpec, others: Sequence[NetworkSpec]) -> None:
        """Refuse bad options (`BadOption`); like Docker, not a VNI or a subnet that another network has."""
        overlay_options.parse(network)

    def create_network(self, network: NetworkSpec) -> None:
        """Make the network's namespace and devices on this host; idempotent, and completes what a crash left.

        Raises `Unsupported` for an encrypted network that can't be encrypted here.
        """
        options = overlay_options.complete(network)
        self.shut(network)
        Place.of(network).make(options)

    def delete_network(self, network: NetworkSpec) -> None:
        """Remove the network's devices and namespace from this host; idempotent."""
        senders = Step("senders", lambda: table.change(remove=_senders_to_devices(network)))
        teardown((senders, Step("devices", Place.of(network).remove)))

    def create_endpoint(self, network: NetworkSpec, endpoint: EndpointSpec) -> None:
        """Refuse bad endpoint options; nothing is reserved outside the sandbox."""
        sandboxes.endpoint_sysctls(endpoint.options, "IFNAME")

    def delete_endpoint(self, network: NetworkSpec, endpoint: EndpointSpec) -> None:
        """Remove what is left of the endpoint; idempotent."""
        self.leave(network, endpoint, None)

    def join(self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox, interface: str) -> JoinInfo:
        """Plug the sandbox into the network; redone from scratch when it was plugged in before."""
        place = Place.of(network)

        def configure(opened: Session) -> None:
            sandboxes.configure_here(opened, endpoint, interface)
            overlay_port.route_other_subnets(opened, network, endpoint, interface)

        apply(
            (
                Step(
                    "veth pair",
                    lambda: place.inside(lambda there: overlay_port.plug(there, endpoint, sandbox, interface)),
                    lambda: self.leave(network, endpoint, sandbox),
                ),
                Step("interface", lambda: sandboxes.inside(sandbox, configure)),
            )
        )
        return JoinInfo(interface, endpoint.mac)

    def leave(self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox | None) -> None:
        """Delete the endpoint's veth pair; idempotent, and indifferent to the sandbox's fate."""
        place = Place.of(network)
        if place.exists():
            place.inside(lambda there: overlay_port.unplug(there, endpoint))

    def program_peers(self, network: NetworkSpec, peers: Sequence[Peer]) -> None:
        """Make the tables hold exactly these peers, and whole again what holds them.

        Raises `Missing` where the network is not up, and at the end for hosts that no tunnel leads to.
        """
        options = overlay_options.complete(network)
        Place.of(network).mend(options)
        _synchronise_tunnel(network, options)
        table.change(*_senders(network, peers))
        _with_tables(network, options, lambda tables: _reconcile(tables, peers))
        _require_tunnels(options, peers)

    def add_peer(self, network: NetworkSpec, peer: Peer) -> None:
        """Add one peer, replacing what its MAC and addresses were known for; idempotent."""
        options = overlay_options.complete(network)
        _require_tunnels(options, [peer])
        _synchronise_tunnel(network, options)
        gate = _gate(network)
        if gate and Place.of(network).exists():
            gate.admit([peer.vtep])
        _with_tables(network, options, lambda tables: _add(tables, peer))

    def remove_peer(self, network: NetworkSpec, peer: Peer) -> None:
        """Remove one peer; idempotent, and nothing to do where the network is not up."""
        if Place.of(network).exists():
            options = overlay_options.complete(network)
            unused = _with_tables(network, options, lambda tables: tables.remove(peer))
            if gate := _gate(network):
                gate.dismiss(unused)

    def verify(self, network: NetworkSpec, peers: Sequence[Peer], fix: bool) -> list[str]:
        """Tell how this host differs from what the network calls for, a line each; ``fix`` puts it right too."""
        options = overlay_options.complete(network)
        lines = Place.of(network).missing(options)
        if lines and fix:
            self.create_network(network)
        if fix or not lines:
            lines += _with_tables(network, options, lambda t: _compared(t, peers, fix))
        lines += _compared_senders(network, peers, fix)
        return lines + [f"missing: a tunnel to {vtep}" for vtep in _without_tunnel(options, peers)]

    def shut(self, network: NetworkSpec) -> None:
        """Keep everyone but peers out of the network's tunnels; idempotent."""
        if gate := _gate(network):
            gate.shut()

    def compare(self, desired: Desired) -> Sequence[Difference]:
        """Tell how the hosts that may send into these networks' tunnels differ from those the networks' tables have."""
        wanted: list[Element] = []
        for network, _ in desired.networks:
            if gate := _gate(network):
                wanted += [*gate.shutting(), *gate.admitting(_known_hosts(network))]
        gates = (_gate(network) for network, _ in desired.unsettled)
        return tunnels.compare(wanted, [gate for gate in gates if gate])

    def repair(self, desired: Desired, found: Sequence[Difference]) -> None:
        """Put right what `compare` found."""
        tunnels.repair(found)

    def needs_repair(self) -> bool:
        """Tell whether the firewall's table was lost or installed again since the last `repair`."""
        return not tunnels.is_whole()

    def watch(self) -> Watch:
        """Follow what other programs do to the firewall."""
        from drivers.firewall.watch import TableWatch

        return TableWatch()

    def keepsakes(self) -> Sequence[str]:
        """None: the networks' tables tell everything."""
        return ()


def _gate(network: NetworkSpec) -> Gate | None:
    """The way into the network's tunnels; None where only authenticated packets come in."""
    return None if overlay_options.is_encrypted(network) else Gate(vxlan.PORT, overlay_options.vnis(network))


def _senders(network: NetworkSpec, peers: Iterable[Peer]) -> tuple[Sequence[Element], Sequence[Element]]:
    """What is missing and what is unexpected of the hosts that may send into the network's tunnels."""
    gate = _gate(network)
    return gate.difference({peer.vtep for peer in peers}) if gate else ((), ())


def _senders_to_devices(network: NetworkSpec) -> Sequence[Element]:
    """The hosts that may send to the network's VXLAN devices on this host.

    Where another network has taken one of the VXLAN ids, the hosts that send with it are that network's.
    """
    gate, place = _gate(network), Place.of(network)
    if gate is None or not place.exists():
        return ()
    devices = zip(vxlan.devices(network), gate.vnis, strict=False)
    own = place.inside(lambda _: tuple(vni for name, vni in devices if link.index(name)))
    return Gate(gate.port, own).difference(())[1]


def _compared_senders(network: NetworkSpec, peers: Iterable[Peer], fix: bool) -> list[str]:
    missing, unexpected = _senders(network, peers)
    if fix:
        table.change(missing, unexpected)
    return [
        f"{what}: the firewall's element {element.set} {{ {element.key} }}"
        for what, elements in (("missing", missing), ("unexpected", unexpected))
        for element in elements
    ]


def _known_hosts(network: NetworkSpec) -> Collection[IPAddress]:
    if not Place.of(network).exists():
        return ()
    return _with_tables(network, overlay_options.parse(network), lambda tables: tables.hosts())


def _with_tables(network: NetworkSpec, options: OverlayOptions, action: Callable[[Tables], T]) -> T:
    return Place.of(network).inside(lambda _: action(Tables(network, options)))


def _add(tables: Tables, peer: Peer) -> None:
    tables.add(peer)
    announce(BRIDGE, [peer])


def _reconcile(tables: Tables, peers: Sequence[Peer]) -> None:
    """Make the tables hold these peers; sandboxes are told of addresses that have moved."""
    difference = tables.difference(peers)
    difference.apply()
    moved = difference.replaced()
    announce(BRIDGE, [p for p in peers if str(p.ipv4) in moved or str(p.ipv6) in moved])


def _compared(tables: Tables, peers: Iterable[Peer], fix: bool) -> list[str]:
    difference = tables.difference(peers)
    if fix:
        difference.apply()
    return difference.lines(tables.names)


def _synchronise_tunnel(network: NetworkSpec, options: OverlayOptions) -> None:
    if options.wireguard is not None:
        Place.of(network).tunnel.synchronise(options.wireguard)


def _require_tunnels(options: OverlayOptions, peers: Iterable[Peer]) -> None:
    lost = _without_tunnel(options, peers)
    if lost:
        raise Missing(f"no tunnel leads to {', '.join(map(str, lost))}; nothing is sent there in clear")


def _without_tunnel(options: OverlayOptions, peers: Iterable[Peer]) -> list[IPAddress]:
    vteps = dict.fromkeys(peer.vtep for peer in peers)
    return [vtep for vtep in vteps if options.remote(vtep) is None]
