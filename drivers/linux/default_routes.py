"""The default routes that endpoints give a sandbox, beside those that it has of its own.

A route that no endpoint has added is never changed. Where a family has a default route of its own, ours comes after it,
by a higher metric; one that is to take over is put into two routes to half of all addresses each, which are closer than
any default route and leave it where it is. What we have added is told by its protocol number and its next hop, so that
nothing has to be remembered. All of it is gone, too, when its interface goes.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass

from drivers.api import IPAddress, KernelError
from drivers.linux import link, route
from drivers.linux.netlink import Session
from drivers.linux.route import Route

OURS, BOOT = route.OURS, route.BOOT


@dataclass(frozen=True, slots=True)
class WayOut:
    """An endpoint's way out for one family: by its interface, through a gateway where that is not None."""

    version: int
    interface: str
    gateway: IPAddress | None = None
    takes_over: bool = False


def synchronise(session: Session, chosen: Sequence[WayOut], offered: Sequence[WayOut], protocol: int) -> None:
    """Make ``chosen``, at most one way out a family, the sandbox's default routes; idempotent.

    The thread is in the sandbox. ``offered`` are the ways out of all its endpoints: of routes with our ``protocol``,
    those by one of these are ours to replace and remove.
    """
    gateways = {way.gateway for way in offered if way.gateway is not None}
    straight = {(way.version, link.index(way.interface)) for way in offered if way.gateway is None}
    present = route.widest(session)
    ours = [r for r in present if r.protocol == protocol and _is_by(r, gateways, straight)]
    others = [r for r in present if r not in ours and r.destination.prefixlen == 0]
    for version in route.FAMILIES:
        way = next((way for way in chosen if way.version == version), None)
        own = [r for r in ours if r.destination.version == version]
        _change(session, own, _wanted(way, [r for r in others if r.destination.version == version], protocol))


def _is_by(found: Route, gateways: set[IPAddress], straight: set[tuple[int, int]]) -> bool:
    if found.gateway is None:
        return found.link > 0 and (found.destination.version, found.link) in straight
    return found.gateway in gateways


def _wanted(way: WayOut | None, others: Sequence[Route], protocol: int) -> list[Route]:
    """The routes that a way out comes to, beside the family's default routes of others."""
    if way is None:
        return []
    metric, destinations = route.USUAL_METRIC[way.version], [route.ANYWHERE[way.version]]
    if others and way.takes_over:
        destinations = list(route.ANYWHERE[way.version].subnets())
    elif others:
        metric = min(max(r.metric for r in others) + 1, route.HIGHEST_METRIC)
    index = link.index(way.interface)
    return [Route(to, way.gateway, index, metric, protocol) for to in destinations]


def _change(session: Session, present: Sequence[Route], wanted: Sequence[Route]) -> None:
    """Make of our routes of a family the wanted ones; the new ones come before the old ones go."""
    left = [r for r in present if r not in wanted]
    for new in (r for r in wanted if r not in present):
        old = next((r for r in left if (r.destination, r.metric) == (new.destination, new.metric)), None)
        try:
            route.add(session, new, replacing=old is not None)
        except KernelError as error:
            if error.errno != errno.EEXIST or new.metric != route.HIGHEST_METRIC:
                raise
            continue  # a last resort of others, such as a route that refuses everything, stays the last resort
        if old is not None:
            left.remove(old)
    for old in left:
        route.remove(session, old)
