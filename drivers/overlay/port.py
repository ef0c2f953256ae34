"""The veth pair that connects a sandbox (a container's network namespace) to the bridge of an overlay network.

A parameter ``there`` is a netlink session in the network's namespace, and ``opened`` is a session in the sandbox. The
calling thread is in the session's namespace. A parameter ``mtu`` is the MTU of the network's devices, or 0 if it is
unknown. An unknown MTU is neither compared nor restored.
"""

from __future__ import annotations

import errno

from drivers import link_comparison, port_flags, veth_pair
from drivers.errors import KernelError
from drivers.linux import link, marked_links, names, neighbor, netns, route
from drivers.linux.neighbor import Row
from drivers.linux.netlink import Session
from drivers.model import Difference, EndpointSpec, NetworkSpec, Sandbox
from drivers.overlay.vxlan import BRIDGE
from drivers.sandbox import LOST

FLAGS = {"hairpin": 0, "isolated": 0, "learning": 0}
"""The flags of a container's bridge port. The driver programs the bridge's entry for the container's MAC."""


def plug(there: Session, endpoint: EndpointSpec, sandbox: Sandbox, interface: str) -> None:
    """Create the veth pair from the sandbox to the network's bridge, replacing the veth pair of an earlier join."""
    unplug(there, endpoint)
    bridge = link.find(there, BRIDGE)
    if bridge is None:
        raise KernelError("find bridge", BRIDGE, errno.ENODEV)
    full = f"the network has {link.MAX_BRIDGE_PORTS} ports on this host"
    with netns.netns_fd(sandbox.path, sandbox.inode) as namespace:
        name = veth_pair.create(there, endpoint, bridge.index, namespace, interface, mtu=bridge.mtu, full=full)
    _set_up(there, endpoint, link.index(name))


def _set_up(there: Session, endpoint: EndpointSpec, index: int) -> None:
    link.set_bridge_port(there, index, **FLAGS)
    neighbor.change([Row("port", index, endpoint.mac)])
    link.change(there, index, state="up", ifalias=names.endpoint_mark(endpoint.id))


def attach(there: Session, endpoint: EndpointSpec, mtu: int) -> None:
    """Put the endpoint's port back on the bridge, and set it up again; idempotent.

    Does nothing if the port or the bridge is missing.
    """
    port_link, bridge = marked_links.host_end(there, endpoint.id), link.index(BRIDGE)
    if port_link is not None and bridge:
        if port_link.master != bridge:
            link.change(there, port_link.index, master=bridge)
        if mtu not in (0, port_link.mtu):
            link.change(there, port_link.index, mtu=mtu)
        _set_up(there, endpoint, port_link.index)
        port_flags.restore(there, port_link.name, BRIDGE, FLAGS)


def compare(there: Session, endpoint: EndpointSpec, mtu: int) -> list[Difference]:
    """Return how the endpoint's bridge port differs from the port that `plug` makes."""
    port_link = marked_links.host_end(there, endpoint.id)
    if port_link is None:
        return [Difference("missing", "port", names.host_end_names(endpoint.id)[0], detail=LOST)]
    name = port_link.name
    differences = [] if port_link.up else [link_comparison.down("port", name)]
    if mtu not in (0, port_link.mtu):
        differences.append(link_comparison.wrong_mtu("port", name, port_link.mtu, mtu))
    if port_link.master == link.index(BRIDGE) and not neighbor.is_forwarded(there, port_link.index, endpoint.mac):
        differences.append(Difference("missing", "forwarding entry", f"{endpoint.mac} of {name}"))
    return [*differences, *port_flags.compare(there, port_link, BRIDGE, FLAGS)]


def too_large(opened: Session, interface: str, mtu: int) -> list[Difference]:
    """Return a difference if the sandbox's interface has a larger MTU than the bridge; an empty list otherwise.

    The bridge drops packets that are larger than its MTU. A smaller MTU of the interface is correct, because a user may
    have chosen it.
    """
    present = link.find(opened, interface)
    if present is None or not mtu or present.mtu <= mtu:
        return []
    return [link_comparison.wrong_mtu("interface", interface, present.mtu, mtu)]


def shrink(opened: Session, interface: str, mtu: int) -> None:
    """Give the sandbox's interface the bridge's MTU if the interface's own MTU is larger."""
    if too_large(opened, interface, mtu):
        link.change(opened, link.index(interface), mtu=mtu)


def unplug(there: Session, endpoint: EndpointSpec) -> None:
    """Delete the endpoint's veth pair; idempotent."""
    for candidate in marked_links.host_end_candidates(there, endpoint.id):
        if candidate.alias in (names.endpoint_mark(endpoint.id), ""):
            link.delete(there, candidate.name)


def route_other_subnets(
    opened: Session, network: NetworkSpec, endpoint: EndpointSpec, interface: str, *, keep_existing: bool = False
) -> None:
    """Add a route through ``interface`` to each subnet of the network in which the endpoint has no address.

    These subnets are on the same bridge. Subnets of an address family that the endpoint does not have are left out.
    With ``keep_existing``, routes that exist already are kept. Without ``keep_existing``, an existing route raises
    `KernelError`.
    """
    own = [address.network for address in endpoint.addresses]
    versions = {subnet.version for subnet in own}
    for subnet in (pool.subnet for pool in network.pools):
        if subnet not in own and subnet.version in versions:
            route.add_direct(opened, subnet, link.index(interface), keep_existing=keep_existing)
