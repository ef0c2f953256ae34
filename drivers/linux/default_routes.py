"""The default routes that endpoints add to a sandbox (a container's network namespace).

Other programs may add routes too. hawse changes only routes that endpoints added. If an address family already has
another program's default route, this route stays. hawse then adds one of the following:

- Usually a default route with a higher metric; the kernel prefers the existing route.
- If hawse's route must take priority, two routes, each to half of all addresses. The kernel prefers these two routes
  because they are more specific.

hawse stores no record of its routes. hawse recognises a route by the protocol number and the next hop (or, without a
next hop, the interface). The kernel removes the routes together with their interface.

The calling thread is in the sandbox. A parameter ``offered`` has the default routes of all endpoints of the sandbox,
and ``protocol`` is the number that marks hawse's routes in the kernel.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

from msgspec import Struct

from drivers.errors import KernelError
from drivers.linux import link, route
from drivers.linux.netlink import Session
from drivers.linux.route import Route
from drivers.model import IPAddress

OURS, BOOT = route.OURS, route.BOOT


class DefaultRoute(Struct, frozen=True):
    """A default route that an endpoint offers for one address family.

    The route leads out of the endpoint's interface. ``gateway`` is the next hop, or None for a route without a next
    hop. ``takes_over`` is True if the route must take priority over default routes of other programs.
    """

    version: int
    interface: str
    gateway: IPAddress | None = None
    takes_over: bool = False


def synchronise(
    session: Session, chosen: Sequence[DefaultRoute], offered: Sequence[DefaultRoute], protocol: int
) -> None:
    """Make ``chosen`` (at most one per family) the sandbox's default routes; idempotent.

    Only hawse's own routes are replaced or removed.
    """
    ours, others = _split(session, offered, protocol)
    for version in route.FAMILIES:
        default = next((default for default in chosen if default.version == version), None)
        current = [r for r in ours if r.destination.version == version]
        _change(session, current, _required(default, [r for r in others if r.destination.version == version], protocol))


def lost(
    session: Session, chosen: Sequence[DefaultRoute], offered: Sequence[DefaultRoute], protocol: int
) -> list[DefaultRoute]:
    """Return the ``chosen`` routes that are missing in the kernel.

    Metrics are not compared, because a route's metric depends on the other default routes that existed when hawse added
    the route.
    """
    ours, _ = _split(session, offered, protocol)
    missing = []
    for default in chosen:
        routes = [r for r in ours if r.destination.version == default.version]
        present = [r for r in routes if (r.gateway, r.link) == (default.gateway, link.index(default.interface))]
        # A single route to half of all addresses is not enough, because the route to the other half is missing.
        if not present or [r.destination.prefixlen for r in present] == [1]:
            missing.append(default)
    return missing


def _split(session: Session, offered: Sequence[DefaultRoute], protocol: int) -> tuple[list[Route], list[Route]]:
    """Return the sandbox's default routes that endpoints added, and the default routes of other programs."""
    gateways = {default.gateway for default in offered if default.gateway is not None}
    straight = {(default.version, link.index(default.interface)) for default in offered if default.gateway is None}
    present = route.widest(session)
    ours = [r for r in present if r.protocol == protocol and _is_by(r, gateways, straight)]
    return ours, [r for r in present if r not in ours and r.destination.prefixlen == 0]


def _is_by(candidate: Route, gateways: set[IPAddress], straight: set[tuple[int, int]]) -> bool:
    if candidate.gateway is None:
        return candidate.link > 0 and (candidate.destination.version, candidate.link) in straight
    return candidate.gateway in gateways


def _required(default: DefaultRoute | None, others: Sequence[Route], protocol: int) -> list[Route]:
    """Return the kernel routes that implement the default route ``default``; an empty list for None.

    ``others`` are the sandbox's other default routes of the family, which stay in place.
    """
    if default is None:
        return []
    metric, destinations = route.USUAL_METRIC[default.version], [route.ANYWHERE[default.version]]
    if others and default.takes_over:
        destinations = list(route.ANYWHERE[default.version].subnets())
    elif others:
        metric = min(max(r.metric for r in others) + 1, route.HIGHEST_METRIC)
    index = link.index(default.interface)
    return [Route(to, default.gateway, index, metric, protocol) for to in destinations]


def _change(session: Session, present: Sequence[Route], expected: Sequence[Route]) -> None:
    """Replace hawse's present routes of one address family by the expected routes.

    New routes are added before old routes are removed.
    """
    left = [r for r in present if r not in expected]
    for new in (r for r in expected if r not in present):
        old = next((r for r in left if (r.destination, r.metric) == (new.destination, new.metric)), None)
        try:
            route.add(session, new, replacing=old is not None)
        except KernelError as error:
            if error.errno != errno.EEXIST or new.metric != route.HIGHEST_METRIC:
                raise
            # Another program's route already has the highest possible metric. No higher metric is left for hawse's
            # route, so hawse does not add it.
            continue
        if old is not None:
            left.remove(old)
    for old in left:
        route.remove(session, old)
