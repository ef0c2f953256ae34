"""Check the path between this host and a macvlan or ipvlan endpoint on one of the host's interfaces.

The kernel connects no such endpoint with the interface below it (the parent). Packets reach it by another interface of
the host, or by a router that sends them back to the parent.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from ipaddress import ip_interface

from drivers.linux import path_lookup
from drivers.linux.host import interface_addresses
from drivers.linux.path_lookup import Found
from engine.diagnosis.trace.destination import Way
from engine.diagnosis.trace.model import Culprit
from engine.diagnosis.trace.obstacles import SUBINTERFACES
from engine.diagnosis.trace.records import HOST
from engine.diagnosis.trace.source import OUTSIDE
from engine.endpoints.sandbox import JoinedEndpoint
from engine.model import NetworkRecord


def cut_off(way: Way) -> Culprit | None:
    """Return the culprit if one end is this host, and the other is an endpoint to which no packets lead, else None."""
    ends = _ends(way)
    if ends is None:
        return None
    network, name = ends
    found = _route(way)
    if found.kind == "unicast" and not _is_at_parent(way, network, found):
        return None
    return _cut_off(network, name, "ask from another machine or container, or connect both to a bridge network")


def beyond_router(way: Way) -> Culprit | None:
    """Return the culprit if only a router can bring packets from this host to such an endpoint, else None."""
    ends = _ends(way)
    hop = _route(way).gateway if ends is not None else None
    if ends is None or hop is None:
        return None
    return _cut_off(*ends, f"let the router {hop} send the packets to it, or connect both to a bridge network")


def is_routed(way: Way) -> bool:
    """Return whether a router must bring packets between this host and such an endpoint."""
    return beyond_router(way) is not None and cut_off(way) is None


def is_end(way: Way) -> bool:
    """Return whether one end of the path is this host, and the other is an endpoint on one of its interfaces."""
    return _ends(way) is not None


def private(member: JoinedEndpoint) -> Culprit | None:
    """Return the culprit if the option of an endpoint's network isolates its containers from each other, or None."""
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


def _ends(way: Way) -> tuple[NetworkRecord, str] | None:
    """Return the network and the container of the endpoint, or None if no end is this host."""
    near, far = way.source_member, way.target_member
    through_host = not way.source.path if near is None else near.network.driver == "bridge"
    if far is not None and far.network.driver in SUBINTERFACES and through_host and way.source.kind != OUTSIDE:
        return far.network, way.target_name
    at_host = way.target is HOST or way.binding is not None
    if near is not None and near.network.driver in SUBINTERFACES and at_host:
        return near.network, way.source.name
    return None


def _route(way: Way) -> Found:
    """Return the route between the host and the endpoint, from the end at which the packets start."""
    near = way.source_member
    if near is not None and near.network.driver in SUBINTERFACES:
        return way.source.inside(partial(path_lookup.route, way.address))
    return path_lookup.route(way.inner_address)


def _is_at_parent(way: Way, network: NetworkRecord, found: Found) -> bool:
    """Return whether packets on a route go directly between the endpoint and its parent interface."""
    parent = (network.options or {}).get("parent", "")
    near = way.source_member
    if near is None or near.network.driver not in SUBINTERFACES:
        return found.gateway is None and found.interface in ("", parent)
    hop = found.gateway or way.address
    return not parent or hop in _held_by(parent)


def _held_by(interface: str) -> Sequence[object]:
    return [ip_interface(text).ip for name, text in interface_addresses() if name == interface]
