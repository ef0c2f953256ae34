"""Routes of the main routing table: default routes, and direct routes to subnets.

No function replaces or removes a route by its destination alone; the caller names the exact route.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Iterable, Iterator
from ipaddress import ip_address, ip_network
from socket import AF_INET, AF_INET6, AF_UNSPEC
from typing import Any

from msgspec import Struct
from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE
from pyroute2.netlink.rtnl import RTM_DELROUTE, RTM_GETROUTE, RTM_NEWROUTE
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from drivers.linux import sysctl
from drivers.linux.attributes import read
from drivers.linux.errors import kernel_errors
from drivers.linux.link import index
from drivers.linux.netlink import Session
from drivers.linux.rtnetlink import SANDBOX_LIMIT, Attributes, decode, dump, encode
from drivers.model import IPAddress, IPInterface, IPNetwork

FAMILY, PREFIX_LENGTH, TABLE = 0, 1, 4  # offsets in struct rtmsg (rtnetlink(7)): rtm_family, rtm_dst_len, rtm_table
ROUTE_BYTES, DESTINATION = 12, 1  # size of struct rtmsg; attribute RTA_DST
CLONED = 0x200  # kernel flag RTM_F_CLONED: a cached copy of another route
MAIN_TABLE, LOCAL_TABLE = 254, 255
BOOT = 3  # RTPROT_BOOT, the protocol of routes set by hand; `ip route` does not print this protocol
OURS = 104
"""The protocol number of hawse's routes in network namespaces where other programs add routes too.

By this number, hawse later recognises its own routes.
"""
KERNEL, KERNEL_METRIC6 = 2, 256  # RTPROT_KERNEL; the metric of IPv6 routes that the kernel makes
FIB_MATCH = 0x2000  # request flag RTM_F_FIB_MATCH: return the matching route
UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL)
UNIVERSE, LINK_SCOPE, NOWHERE = 0, 253, 255
UNICAST, ANY_TYPE = 1, 0  # RTN_UNICAST, RTN_UNSPEC
FAMILIES = {4: AF_INET, 6: AF_INET6}
VERSIONS: dict[int, int] = {family: version for version, family in FAMILIES.items()}
ANYWHERE = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}
USUAL_METRIC = {4: 0, 6: 1024}  # metric that the kernel sets if a route is added without a metric, by IP version
HIGHEST_METRIC = (1 << 32) - 1


class Route(Struct, frozen=True):
    """A route of the main table that leads out of the link with the index ``link``.

    ``gateway`` is the next hop, or None for a route without one. If a route has several next hops, or refuses packets,
    ``gateway`` is None and ``link`` is 0. ``protocol`` is the number that marks who added the route.
    """

    destination: IPNetwork
    gateway: IPAddress | None
    link: int
    metric: int
    protocol: int


def widest(session: Session) -> list[Route]:
    """Return the default routes of both families, and the routes to half of all addresses (such as 0.0.0.0/1).

    Root in a sandbox can add any number of routes. Therefore other routes are not kept in memory, and `KernelError` is
    raised if there are more than `SANDBOX_LIMIT` routes to return.
    """
    return _routes(session, lambda body: body[PREFIX_LENGTH] <= 1)


def covering(session: Session, addresses: Collection[IPAddress]) -> list[Route]:
    """Return the routes whose destination contains one of ``addresses``, in the order in which the kernel prefers them.

    Raises `KernelError` if there are more than `SANDBOX_LIMIT` such routes.
    """

    def covers(body: bytes) -> bool:
        start, length = read(body, ROUTE_BYTES).get(DESTINATION), body[PREFIX_LENGTH]
        destination = ip_network((start, length)) if start else ANYWHERE[VERSIONS[body[FAMILY]]]
        return any(address in destination for address in addresses)

    return sorted(_routes(session, covers), key=lambda route: (-route.destination.prefixlen, route.metric))


def add(session: Session, route: Route, *, replacing: bool = False) -> None:
    """Add a route; raises `KernelError` with EEXIST if a route has the same destination and metric.

    With ``replacing``, the new route atomically replaces that route, and no error is raised.
    """
    with kernel_errors("set route to", f"{route.destination} via {route.gateway or 'the link'}"):
        session.request(RTM_NEWROUTE, _body(route), NLM_F_CREATE | (NLM_F_REPLACE if replacing else NLM_F_EXCL))


def remove(session: Session, route: Route) -> None:
    """Remove the route with these field values, whatever its type (such as blackhole); idempotent.

    If ``gateway`` is None and ``link`` is 0, the kernel removes the first route with the other values.
    """
    with kernel_errors("remove route to", str(route.destination), ignore=(errno.ESRCH, errno.ENODEV)):
        session.request(RTM_DELROUTE, _body(route, scope=NOWHERE, kind=ANY_TYPE))


def link_default(version: int, link_index: int) -> Route:
    """Return the default route of an IP version out of a link, without a next hop and with the usual metric."""
    return Route(ANYWHERE[version], None, link_index, USUAL_METRIC[version], BOOT)


def add_direct(session: Session, destination: IPNetwork, link_index: int, *, keep_existing: bool = False) -> None:
    """Add a route to a subnet through a link, without a gateway; the hosts of the subnet are then neighbours.

    If a route to the subnet already exists, raises `KernelError`. With ``keep_existing``, that route stays, and no
    error is raised.
    """
    with kernel_errors("set route to", str(destination), ignore=(errno.EEXIST,) if keep_existing else ()):
        session.request(RTM_NEWROUTE, _message(destination, link_index, scope=LINK_SCOPE), NLM_F_CREATE | NLM_F_EXCL)


def has_connected(session: Session, interface: IPInterface, name: str) -> bool:
    """Return whether a route leads to the subnet of ``interface``, an address of the link ``name``.

    The kernel or another program may have made the route. The result is also True in these cases:

    - The route is more specific than the subnet, or leads through another link.
    - The subnet has only one or two addresses. No route is looked up.
    - The kernel ignores routes of links without carrier (ignore_routes_with_linkdown). No route is looked up.

    The calling thread is in the session's namespace.
    """
    subnet = interface.network
    if subnet.prefixlen >= subnet.max_prefixlen - 1:
        return True
    family = f"ipv{subnet.version}"
    if any(sysctl.read(sysctl.conf(family, i, "ignore_routes_with_linkdown")) == "1" for i in ("all", name)):
        return True  # a route lookup would omit the route of a link without carrier
    other = subnet[-2] if subnet[-2] != interface.ip else subnet[1]
    fields = {"family": FAMILIES[subnet.version], "dst_len": subnet.max_prefixlen, "flags": FIB_MATCH}
    bodies: list[bytes] = []
    with kernel_errors("look up route to", str(other), ignore=UNREACHABLE):
        bodies = session.request(RTM_GETROUTE, encode(rtmsg, [("RTA_DST", str(other))], **fields))
    if any(decode(rtmsg, body)["dst_len"] >= subnet.prefixlen for body in bodies):
        return True
    return _is_listed(session, subnet, name)


def _is_listed(session: Session, subnet: IPNetwork, name: str) -> bool:
    """Return whether the main table lists a route to the subnet on a link; ignores routing rules."""
    packed = subnet.network_address.packed

    def may_match(body: bytes) -> bool:
        return (body[PREFIX_LENGTH], body[TABLE]) == (subnet.prefixlen, MAIN_TABLE) and packed in body

    with kernel_errors("list", "routes"):
        family = FAMILIES[subnet.version]
        routes = dump(session, RTM_GETROUTE, rtmsg, is_kept=may_match, limit=SANDBOX_LIMIT, family=family)
    start, link_index = str(subnet.network_address), index(name)
    return any(route.get_attr("RTA_DST") == start and route.get_attr("RTA_OIF") == link_index for route in routes)


def add_connected(session: Session, interface: IPInterface, link_index: int) -> None:
    """Add the route to the subnet of an address, as the kernel does when the address is added; idempotent.

    ``interface`` is the address with its prefix length.
    """
    is_ipv4 = interface.version == 4
    attributes = [("RTA_PREFSRC", str(interface.ip))] if is_ipv4 else [("RTA_PRIORITY", KERNEL_METRIC6)]
    scope = LINK_SCOPE if is_ipv4 else UNIVERSE
    body = _message(interface.network, link_index, attributes, scope=scope, protocol=KERNEL)
    with kernel_errors("set route to", str(interface.network), ignore=(errno.EEXIST,)):
        session.request(RTM_NEWROUTE, body, NLM_F_CREATE | NLM_F_EXCL)


def _routes(session: Session, is_kept: Callable[[bytes], bool]) -> list[Route]:
    """Return the routes of the main table, of IPv4 and IPv6, for which ``is_kept`` returns True.

    ``is_kept`` gets the body of the kernel's message about the route. Routes with a type of service (TOS) and cached
    copies of routes are left out. Raises `KernelError` if more than `SANDBOX_LIMIT` routes fulfil ``is_kept``.
    """

    def is_main(body: bytes) -> bool:
        return body[FAMILY] in VERSIONS and body[TABLE] == MAIN_TABLE and is_kept(body)

    with kernel_errors("list", "routes"):  # AF_UNSPEC requests routes of IPv4 and IPv6
        messages = dump(session, RTM_GETROUTE, rtmsg, is_kept=is_main, limit=SANDBOX_LIMIT, family=AF_UNSPEC)
    return list(_decoded(messages))


def _decoded(messages: Iterable[Any]) -> Iterator[Route]:
    for message in messages:
        family, length = message["family"], message["dst_len"]
        if message["tos"] or message["flags"] & CLONED:
            continue
        start = message.get_attr("RTA_DST") or ANYWHERE[VERSIONS[family]].network_address
        gateway = message.get_attr("RTA_GATEWAY")
        yield Route(
            destination=ip_network((start, length)),
            gateway=ip_address(gateway) if gateway else None,
            link=message.get_attr("RTA_OIF", 0),
            metric=message.get_attr("RTA_PRIORITY", 0),
            protocol=message["proto"],
        )


def _body(route: Route, *, scope: int | None = None, kind: int = UNICAST) -> bytes:
    """Return the body of a netlink message about a route of the type ``kind`` (RTN_*).

    If no ``scope`` is given, the function derives the route's scope from the route's next hop.
    """
    if scope is None:
        scope = UNIVERSE if route.gateway is not None or route.destination.version == 6 else LINK_SCOPE
    attributes: list[tuple[str, object]] = [("RTA_PRIORITY", route.metric)]
    if route.gateway is not None:
        attributes.append(("RTA_GATEWAY", str(route.gateway)))
    return _message(route.destination, route.link, attributes, scope=scope, protocol=route.protocol, kind=kind)


def _message(
    destination: IPNetwork,
    link_index: int,
    attributes: Attributes = (),
    *,
    scope: int,
    protocol: int = BOOT,
    kind: int = UNICAST,
) -> bytes:
    """Return the body of a route message for the main table, with the given ``scope`` and ``protocol`` number.

    ``link_index`` is the outgoing link; 0 leaves it unset. ``kind`` is the route's type (RTN_*).
    """
    fields = {"family": FAMILIES[destination.version], "dst_len": destination.prefixlen, "scope": scope}
    chosen = [("RTA_TABLE", MAIN_TABLE), *attributes]
    if destination.prefixlen:
        chosen.append(("RTA_DST", str(destination.network_address)))
    if link_index:
        chosen.append(("RTA_OIF", link_index))
    return encode(rtmsg, chosen, table=MAIN_TABLE, proto=protocol, type=kind, **fields)
