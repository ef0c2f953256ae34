"""Check the path between this host and a macvlan or ipvlan endpoint on one of the host's interfaces.

That interface is the endpoint's parent. The kernel sends no packets between an endpoint and its parent. Packets reach
the endpoint by another interface of the host, or by a router that sends them back to the parent.
"""

from __future__ import annotations

from functools import partial

from drivers.linux import path_lookup
from drivers.linux.host import interface_addresses
from drivers.linux.path_lookup import PacketRoute
from drivers.registry import facts
from engine.diagnosis.trace.model import Culprit
from engine.diagnosis.trace.packet_path import PacketPath
from engine.diagnosis.trace.records import HOST, OUTSIDE
from engine.endpoints.sandbox import JoinedEndpoint
from engine.model import NetworkRecord


def cut_off(path: PacketPath) -> Culprit | None:
    """Return the culprit if this host and a macvlan or ipvlan endpoint cannot reach each other, or None.

    Returns None if no end of the path is this host.
    """
    ends = _ends(path)
    if ends is None:
        return None
    network, name = ends
    route = _route(path)
    if route.kind == "unicast" and not _is_at_parent(path, network, route):
        return None
    return _cut_off(network, name, "ask from another machine or container, or connect both to a bridge network")


def beyond_router(path: PacketPath) -> Culprit | None:
    """Return the culprit if only a router can connect this host and a macvlan or ipvlan endpoint, or None."""
    ends = _ends(path)
    hop = _route(path).gateway if ends is not None else None
    if ends is None or hop is None:
        return None
    return _cut_off(*ends, f"let the router {hop} send the packets to it, or connect both to a bridge network")


def is_routed(path: PacketPath) -> bool:
    """Return whether a router connects this host and a macvlan or ipvlan endpoint."""
    return beyond_router(path) is not None and cut_off(path) is None


def is_end(path: PacketPath) -> bool:
    """Return whether one end of the path is this host, and the other end is a macvlan or ipvlan endpoint."""
    return _ends(path) is not None


def private(member: JoinedEndpoint) -> Culprit | None:
    """Return the culprit if an option of a macvlan or ipvlan network isolates its containers from each other, or None.

    The network is that of the endpoint ``member``.
    """
    network = member.network
    for option in ("macvlan_mode", "ipvlan_flag"):
        if (network.options or {}).get(option) == "private":
            detail = f"network {network.name} has {option}=private: its containers do not reach each other"
            fix = f"make a network with {option}=bridge, or connect both to another network"
            return Culprit("icc-disabled", f"network {network.name}", "host", detail, fix)
    return None


def _cut_off(network: NetworkRecord, name: str, fix: str) -> Culprit:
    detail = f"the kernel connects no {network.driver} interface with its own parent, so the host is cut off"
    return Culprit("not-same-network", f"container {name}", f"network {network.name}", detail, fix)


def _ends(path: PacketPath) -> tuple[NetworkRecord, str] | None:
    """Return the network of the path's macvlan or ipvlan endpoint, and the name of the endpoint's container.

    Returns None if the path does not connect such an endpoint with this host.
    """
    near, far = path.source_member, path.target_member
    through_host = not path.source.netns_path if near is None else near.network.driver == "bridge"
    if far is not None and facts(far.network.driver).has_parent and through_host and path.source.kind != OUTSIDE:
        return far.network, path.target_name
    at_host = path.target is HOST or path.binding is not None
    if near is not None and facts(near.network.driver).has_parent and at_host:
        return near.network, path.source.name
    return None


def _route(path: PacketPath) -> PacketRoute:
    """Return the route of the packets between the host and a macvlan or ipvlan endpoint.

    If the source has this endpoint, the route is looked up in the source's namespace. If the target has this endpoint,
    the route is looked up on the host.
    """
    near = path.source_member
    if near is not None and facts(near.network.driver).has_parent:
        return path.source.inside(partial(path_lookup.route, path.address))
    return path_lookup.route(path.inner_address)


def _is_at_parent(path: PacketPath, network: NetworkRecord, route: PacketRoute) -> bool:
    """Return whether packets on ``route`` go directly between the path's endpoint and the endpoint's parent interface.

    ``network`` is the macvlan or ipvlan network of the endpoint. Its option "parent" names that interface.
    """
    parent = (network.options or {}).get("parent", "")
    near = path.source_member
    if near is None or not facts(near.network.driver).has_parent:
        return route.gateway is None and route.interface in ("", parent)
    hop = route.gateway or path.address
    return not parent or (parent, hop) in interface_addresses()
