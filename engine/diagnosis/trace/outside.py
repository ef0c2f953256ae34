"""Checks of the path between this host and an external machine: the neighbour entry, the router and the path MTU."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from ipaddress import IPv4Address

from drivers.linux import address_conflict, path_lookup, path_mtu
from drivers.linux.features import mtu_of
from engine.diagnosis.trace.model import Culprit
from engine.diagnosis.trace.packet_path import EXTERNAL, PacketPath
from engine.diagnosis.trace.probing import neighbour_outside
from engine.diagnosis.trace.records import HOST, OUTSIDE, address_of
from engine.diagnosis.trace.state import bridge_of

PATIENCE_SECONDS = 1.0
LARGEST_BYTES = 9216  # the largest packet that is tried; only loopback and some clusters have larger MTUs


def wrong_neighbour(path: PacketPath) -> Iterator[Culprit]:
    """Yield a culprit if a permanent neighbour entry has a wrong MAC for the external machine or the router to it.

    Sends an ARP request for the entry's address. Does nothing for IPv6.
    """
    machine = path.address if path.kind == EXTERNAL else None
    if path.source.kind == OUTSIDE:
        machine = neighbour_outside(path.source.interface, path.address)[0]
    if machine is None:
        return
    route = path_lookup.route(machine)
    hop, source = route.gateway or machine, route.source
    if not (isinstance(hop, IPv4Address) and isinstance(source, IPv4Address)):
        return
    for entry in path_lookup.neighbours(route.interface):
        if entry.address == hop and entry.permanent:
            macs = address_conflict.holders(route.interface, source, hop)
            if macs and entry.mac not in macs:
                right = " or ".join(sorted(macs))
                detail = f"a permanent entry says that {hop}, a machine outside, is at {entry.mac}; it is at {right}"
                fix = f"delete it: ip neigh del {hop} dev {route.interface}"
                what = f"neighbour {hop} on {route.interface} of host"
                yield Culprit("stale-neighbour", what, "host", detail, fix)


def silent_next_hop(path: PacketPath) -> Iterator[Culprit]:
    """Yield a culprit if the external machine, or the router to it, has not answered the request for its MAC."""
    near, source, received = path.source_member, None, ""
    place = HOST if near is None or near.network.driver == "bridge" else path.source
    if near is not None and place == HOST:
        source, received = address_of(near.endpoint, path.address.version), bridge_of(near.network)
    route = place.inside(partial(path_lookup.route, path.address, source, received))
    hop = route.gateway or path.address
    if hop in place.inside(partial(path_lookup.unresolved, route.interface)):
        what = f"machine {hop}" + (f" (gateway to {path.address})" if route.gateway else "")
        whose = f" of {place.name}" if place.netns_path else ""
        detail = f"{hop} on {route.interface}{whose} does not tell its MAC"
        words = f" from {source} iif {received}" if source is not None else ""
        fix = f"check that machine, and the route: ip route get {path.address}{words}"
        yield Culprit("peer-unreachable", what, "outside", detail, fix)


def silent_router_back(path: PacketPath) -> Iterator[Culprit]:
    """Yield a culprit if the router on the way back does not tell its MAC.

    The host sends the answers to a machine outside through this router. Blocks up to `PATIENCE_SECONDS` if the router
    has not told its MAC yet.
    """
    far, machine = path.target_member, neighbour_outside(path.source.interface, path.address)[0]
    if (
        far is None
        or far.network.driver != "bridge"
        or machine is None
        or machine.version != path.inner_address.version
    ):
        return
    sender, bridge = path.inner_address, bridge_of(far.network)
    route = path_lookup.route(machine, sender, bridge)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while route.gateway is not None and route.gateway in path_lookup.unresolved(route.interface):
        if time.monotonic() > deadline:
            what, detail = f"machine {route.gateway} (gateway to {machine})", f"{route.gateway} does not tell its MAC"
            fix = f"check that machine, and the route of the answers: ip route get {machine} from {sender} iif {bridge}"
            yield Culprit("peer-unreachable", what, "outside", detail, fix)
            return
        time.sleep(PATIENCE_SECONDS / 20)


def small_mtu(path: PacketPath, place: str = "outside") -> Iterator[Culprit]:
    """Send pings to the target; yield a culprit if the target answers small pings, but large pings are lost.

    ``place`` is the culprit's place: a text that names the path beyond this host.
    """
    route = path.source.inside(lambda: path_lookup.route(path.address))
    if route.kind != "unicast":
        return  # no packet leaves the source
    mtu = min(path.source.inside(lambda: mtu_of(route.interface)), LARGEST_BYTES)
    try:
        size = path.source.inside(lambda: path_mtu.largest(path.address, mtu))
    except OSError:
        return
    if size is not None:
        detail = f"packets above {size} bytes to {path.address} are lost on the way, and no router announces its MTU"
        fix = (
            "let ICMP errors pass on the way, or use this size: hawse network create "
            f"-o com.docker.network.driver.mtu={size}"
        )
        yield Culprit("mtu", f"path to {path.address}", place, detail, fix)
