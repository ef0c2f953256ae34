"""The veth pair that connects a sandbox (a container's network namespace) to the bridge of an overlay network."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from drivers import link_comparison
from drivers.api import Busy, Difference, EndpointSpec, Exists, IPNetwork, KernelError, NetworkSpec, Sandbox
from drivers.linux import link, marked_links, names, neighbor, netns, route, sysctl
from drivers.linux.neighbor import Row
from drivers.linux.netlink import Session
from drivers.overlay.vxlan import BRIDGE
from drivers.sandbox import LOST


def plug(there: Session, endpoint: EndpointSpec, sandbox: Sandbox, interface: str) -> None:
    """Create the veth pair from the sandbox to the network's bridge, replacing the veth pair of an earlier join.

    The calling thread is in the network's namespace, and ``there`` is a netlink session in that namespace.
    """
    unplug(there, endpoint)
    bridge = link.find(there, BRIDGE)
    if bridge is None:
        raise KernelError("find bridge", BRIDGE, errno.ENODEV)
    name = next(n for n in names.host_end_names(endpoint.id) if not link.index(n))
    with netns.netns_fd(sandbox.path, sandbox.inode) as namespace:
        peer = {"ifname": interface, "net_ns_fd": namespace, "address": endpoint.mac, "mtu": bridge.mtu}
        try:
            link.add_veth(there, name, peer, master=bridge.index, mtu=bridge.mtu, txqlen=0)
        except KernelError as error:
            raise _explained(error, interface) from error
    sysctl.write_if_present(sysctl.conf("ipv6", name, "disable_ipv6"), "1")
    _set_up(there, endpoint, link.index(name))


def _set_up(there: Session, endpoint: EndpointSpec, index: int) -> None:
    link.set_bridge_port(there, index, hairpin=False, isolated=False, learning=False)
    neighbor.change([Row("port", index, endpoint.mac)])
    link.change(there, index, state="up", ifalias=names.endpoint_mark(endpoint.id))


def attach(there: Session, endpoint: EndpointSpec) -> None:
    """Put the endpoint's port back on the bridge, and set it up again; idempotent.

    The calling thread is in the network's namespace, and ``there`` is a netlink session in that namespace.
    """
    port_link, bridge = marked_links.host_end(there, endpoint.id), link.index(BRIDGE)
    if port_link is not None and bridge:
        if port_link.master != bridge:
            link.change(there, port_link.index, master=bridge)
        _set_up(there, endpoint, port_link.index)


def compare(there: Session, endpoint: EndpointSpec) -> list[Difference]:
    """Return how the endpoint's port differs from what `plug` makes, with the same arguments as `attach`."""
    port_link = marked_links.host_end(there, endpoint.id)
    if port_link is None:
        return [Difference("missing", "port", names.host_end_names(endpoint.id)[0], detail=LOST)]
    differences = [] if port_link.up else [link_comparison.down("port", port_link.name)]
    if port_link.master != link.index(BRIDGE):
        differences.append(link_comparison.off_bridge(port_link.name, BRIDGE))
    return differences


def unplug(there: Session, endpoint: EndpointSpec) -> None:
    """Delete the endpoint's veth pair; idempotent.

    The calling thread is in the network's namespace, and ``there`` is a netlink session in that namespace.
    """
    for name in names.host_end_names(endpoint.id):
        if link.index(name):
            port_link = link.find(there, name)
            if port_link is not None and port_link.alias in (names.endpoint_mark(endpoint.id), ""):
                link.delete(there, name)


def route_other_subnets(
    there: Session, network: NetworkSpec, endpoint: EndpointSpec, interface: str, *, keep: bool = False
) -> None:
    """Route the network's other subnets out of the interface, because their endpoints are on the same bridge.

    The calling thread is in the sandbox. With ``keep``, routes that exist already are kept.
    """
    subnets = [a.network for a in (endpoint.ipv4, endpoint.ipv6) if a is not None]
    for subnet in _others(network, subnets):
        route.add_direct(there, subnet, link.index(interface), keep=keep)


def _others(network: NetworkSpec, subnets: Sequence[IPNetwork]) -> list[IPNetwork]:
    versions = {subnet.version for subnet in subnets}
    return [p.subnet for p in network.pools if p.subnet not in subnets and p.subnet.version in versions]


def _explained(error: KernelError, interface: str) -> Exception:
    if error.errno in link.BRIDGE_FULL:
        return Busy(
            f"bridge full: the network has {link.MAX_BRIDGE_PORTS} ports on this host, the most a Linux bridge takes"
        )
    if error.errno == errno.EEXIST:
        return Exists(f"the sandbox has an interface {interface} already")
    return error
