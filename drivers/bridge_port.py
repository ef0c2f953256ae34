"""An endpoint's bridge port (the host end of a veth pair), and the port's spoof guard.

The spoof guard is the set of firewall rules that drop packets with a forged MAC or source address.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from drivers import bridge_options, link_comparison, port_flags, veth_pair
from drivers.bridge_options import BridgeOptions
from drivers.firewall import spoof_guard
from drivers.linux import link, marked_links, names, router_advertisements
from drivers.linux.netlink import Session
from drivers.model import Difference, EndpointSpec, Members
from drivers.sandbox import LOST


class Port:
    """One endpoint's bridge port: the host end of the endpoint's veth pair, identified by its alias."""

    def __init__(self, opened: Session, endpoint: EndpointSpec, options: BridgeOptions) -> None:
        self.session, self.endpoint, self.options = opened, endpoint, options
        self.mark = names.endpoint_mark(endpoint.id)
        self.name = names.host_end_names(endpoint.id)[0]

    def create(self, namespace: int, interface: str) -> None:
        """Create the veth pair: one end on the host, the other in the sandbox with the name ``interface``.

        ``namespace`` is a file descriptor of the sandbox's network namespace. The new pair replaces the veth pair of an
        earlier join.
        """
        self.delete()
        bridge, mtu = link.index(self.options.bridge), self.options.mtu
        full = f"{self.options.bridge} has {link.MAX_BRIDGE_PORTS} ports"
        self.name = veth_pair.create(self.session, self.endpoint, bridge, namespace, interface, mtu=mtu, full=full)

    def set_up(self) -> None:
        """Set the port's bridge flags and the alias that marks the port as hawse's, and bring the port up."""
        index = link.index(self.name)
        link.set_bridge_port(self.session, index, **self._flags())
        link.change(self.session, index, state="up", ifalias=self.mark)

    def attach(self) -> None:
        """Put the port back on the bridge, and set it up again; idempotent. A missing port is ignored."""
        port = marked_links.host_end(self.session, self.endpoint.id)
        if port is None:
            return
        self.name, bridge = port.name, link.index(self.options.bridge)
        if port.master != bridge:
            # A new bridge port is not isolated. Keep the port down until `set_up` has set the port's flags.
            link.change(self.session, port.index, state="down")
            link.change(self.session, port.index, master=bridge)
        self.guard()
        self.set_up()
        port_flags.restore(self.session, self.name, self.options.bridge, self._flags())

    def compare(self) -> list[Difference]:
        """Return how the bridge port in the kernel differs from the port that `create` and `set_up` make."""
        port = marked_links.host_end(self.session, self.endpoint.id)
        if port is None:
            return [Difference("missing", "port", self.name, detail=LOST)]
        differences = [] if port.up else [link_comparison.down("port", port.name)]
        return [*differences, *port_flags.compare(self.session, port, self.options.bridge, self._flags())]

    def _flags(self) -> dict[str, int]:
        # A container that sends a message of the spanning tree protocol could become the root of the tree. The kernel
        # would then block the bridge's port to the LAN. With "guard", the kernel disables the container's port instead.
        return {"hairpin": 1, "isolated": int(not self.options.icc), "learning": 1, "guard": 1}

    def delete(self) -> None:
        """Delete the port's link, which also deletes the other end of the veth pair; idempotent."""
        for name in self.links():
            link.delete(self.session, name)

    def links(self) -> Iterator[str]:
        """Yield the names of the links in the kernel that belong to the port; normally there is one."""
        for candidate in marked_links.host_end_candidates(self.session, self.endpoint.id):
            if self._is_ours(candidate):
                yield candidate.name

    def _is_ours(self, interface: link.Link) -> bool:
        # Also accept a link without a mark if it is on the bridge, because an interrupted creation leaves a port
        # without a mark. hawse creates each port on the bridge.
        unmarked = interface.alias == "" and interface.master == link.index(self.options.bridge) > 0
        return interface.alias == self.mark or unmarked

    def guard(self) -> None:
        """Make the firewall drop packets that the container must not send; idempotent.

        - With the spoof guard: packets with a forged MAC or source address, router advertisements and redirects.
        - Without the spoof guard: router advertisements and redirects, if the host accepts router advertisements on the
          bridge.
        """
        if self.options.spoof_guard:
            self._mark()
            spoof_guard.guard(self.name, self.endpoint)
        elif router_advertisements.are_accepted(self.options.bridge):
            self._mark()
            spoof_guard.mute(self.name)

    def _mark(self) -> None:
        # Mark the port before the firewall has its elements, because the agent removes elements of unmarked ports.
        link.change(self.session, link.index(self.name), ifalias=self.mark)

    def release(self) -> None:
        """Remove the firewall elements that `guard` added for the port; idempotent."""
        if self.options.spoof_guard:
            spoof_guard.release(self.name, self.endpoint)
        elif router_advertisements.are_accepted(self.options.bridge):
            spoof_guard.unmute(self.name)


def attach_all(opened: Session, endpoints: Iterable[EndpointSpec], options: BridgeOptions) -> None:
    """Put the existing ports of these endpoints back on the bridge that ``options`` names.

    The bridge may have been created again, without its earlier ports.
    """
    bridge = link.index(options.bridge)
    marks = {names.endpoint_mark(endpoint.id): endpoint for endpoint in endpoints}
    for candidate in link.all_links(opened) if marks else ():
        if candidate.alias in marks and candidate.master != bridge:
            Port(opened, marks[candidate.alias], options).attach()


def guarded(networks: Members) -> list[tuple[str, EndpointSpec]]:
    """Return (port name, endpoint) for each existing bridge port of a network with the spoof guard."""
    return _existing(e for options, endpoints in _parsed(networks) if options.spoof_guard for e in endpoints)


def muted(networks: Members) -> list[str]:
    """Return the names of the bridge ports that must be muted.

    The firewall drops the router advertisements and redirects that a container sends through a muted port. A port is
    muted if it has no spoof guard, and the host accepts router advertisements on the port's bridge. A port with the
    spoof guard need not be muted, because the guard drops such packets too.
    """
    unguarded = ((o.bridge, endpoints) for o, endpoints in _parsed(networks) if endpoints and not o.spoof_guard)
    accepting = (endpoints for bridge, endpoints in unguarded if router_advertisements.are_accepted(bridge))
    return [name for name, _ in _existing(chain.from_iterable(accepting))]


def _parsed(networks: Members) -> list[tuple[BridgeOptions, Sequence[EndpointSpec]]]:
    return [(bridge_options.parse(network), endpoints) for network, endpoints in networks]


def _existing(requested: Iterable[EndpointSpec]) -> list[tuple[str, EndpointSpec]]:
    """Return (port name, endpoint) for each requested endpoint that has a bridge port."""
    endpoints = list(requested)
    if not endpoints:
        return []
    with Session() as opened:
        ports = ((marked_links.host_end(opened, endpoint.id), endpoint) for endpoint in endpoints)
        return [(port.name, endpoint) for port, endpoint in ports if port is not None]
