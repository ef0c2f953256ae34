"""Checks of the path between this host and an external machine: the neighbour entry, the router and the path MTU."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from ipaddress import IPv4Address

from drivers.linux import address_conflict, path_lookup, path_mtu
from drivers.linux.features import mtu_of
from engine.diagnosis.trace.destination import EXTERNAL, Way
from engine.diagnosis.trace.model import Culprit
from engine.diagnosis.trace.probing import neighbour_outside
from engine.diagnosis.trace.records import HOST
from engine.diagnosis.trace.source import OUTSIDE

LARGEST_BYTES = 9216  # the largest packet that is tried; only loopback and some clusters have larger MTUs


def wrong_neighbour(way: Way) -> Iterator[Culprit]:
    """Yield a culprit if a permanent neighbour entry has a wrong MAC for the external machine or the router to it.

    Sends an ARP request for the entry's address.
    """
    machine = way.address if way.kind == EXTERNAL else None
    if way.source.kind == OUTSIDE:
        machine = neighbour_outside(way.source.interface, way.address)[0]
    if machine is None:
        return
    found = path_lookup.route(machine)
    hop, own = found.gateway or machine, found.source
    if not (isinstance(hop, IPv4Address) and isinstance(own, IPv4Address)):
        return
    for entry in path_lookup.neighbours(found.interface):
        if entry.address == hop and entry.permanent:
            macs = address_conflict.holders(found.interface, own, hop)
            if macs and entry.mac not in macs:
                right = " or ".join(sorted(macs))
                detail = f"a permanent entry says that {hop}, a machine outside, is at {entry.mac}; it is at {right}"
                fix = f"delete it: ip neigh del {hop} dev {found.interface}"
                what = f"neighbour {hop} on {found.interface} of host"
                yield Culprit("stale-neighbour", what, "host", detail, fix)


def silent_next_hop(way: Way) -> Iterator[Culprit]:
    """Yield a culprit if the external machine, or the router to it, has not answered the request for its MAC."""
    near = way.source_member
    place = HOST if near is None or near.network.driver == "bridge" else way.source
    found = place.inside(partial(path_lookup.route, way.address))
    hop = found.gateway or way.address
    if hop in place.inside(partial(path_lookup.unresolved, found.interface)):
        what = f"machine {hop}" + (f" (gateway to {way.address})" if found.gateway else "")
        whose = f" of {place.name}" if place.path else ""
        detail = f"{hop} on {found.interface}{whose} does not tell its MAC"
        fix = f"check that machine, and the route: ip route get {way.address}"
        yield Culprit("peer-unreachable", what, "outside", detail, fix)


def small_mtu(way: Way, place: str = "outside") -> Iterator[Culprit]:
    """Yield a culprit if the target answers small pings but large pings are lost. Sends pings.

    ``place`` is the text that names the path beyond this host in the culprit.
    """
    found = way.source.inside(lambda: path_lookup.route(way.address))
    if found.kind != "unicast":
        return  # no packet leaves the source
    mtu = min(way.source.inside(lambda: mtu_of(found.interface)), LARGEST_BYTES)
    try:
        size = way.source.inside(lambda: path_mtu.largest(way.address, mtu))
    except OSError:
        return
    if size is not None:
        detail = f"packets above {size} bytes to {way.address} are lost on the way, and no router announces its MTU"
        fix = (
            "let ICMP errors pass on the way, or use this size: hawse network create "
            f"-o com.docker.network.driver.mtu={size}"
        )
        yield Culprit("mtu", f"path to {way.address}", place, detail, fix)
