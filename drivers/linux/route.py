"""Routes of the main table: default routes, and direct ones to subnets.

Nothing here replaces or removes a route by what it leads to alone: whoever calls says which one is meant.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from socket import AF_INET, AF_INET6, AF_UNSPEC

from drivers.api import IPAddress, IPNetwork
from drivers.linux.attributes import attribute, number, read, read_number
from drivers.linux.errors import kernel_errors
from drivers.linux.netlink import Session

NEW, DELETE, GET = 24, 25, 26  # RTM_*ROUTE
REPLACE, EXCLUSIVE, CREATE = 0x100, 0x200, 0x400  # NLM_F_*
# Family, lengths of destination and source, type of service, table, protocol, scope, type, flags.
RTMSG = struct.Struct("=BBBBBBBBI")
DESTINATION, OUT, GATEWAY, PRIORITY, TABLE = 1, 4, 5, 6, 15  # RTA_*
CLONED = 0x200  # RTM_F_CLONED
MAIN_TABLE = 254
BOOT = 3  # the protocol of routes set by hand, which `ip route` prints without a word
OURS = 104
"""The protocol of routes that are to be told from those of others."""
UNIVERSE, LINK_SCOPE, NOWHERE = 0, 253, 255
UNICAST = 1
FAMILIES = {4: AF_INET, 6: AF_INET6}
VERSIONS = {family: version for version, family in FAMILIES.items()}
ANYWHERE = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}
USUAL_METRIC = {4: 0, 6: 1024}  # of a route that is set without one
HIGHEST_METRIC = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Route:
    """A route of the main table: out of the link of an index, through a gateway or straight.

    ``gateway`` is None, and ``link`` 0, also where the kernel has something else there: several next hops, a refusal.
    """

    destination: IPNetwork
    gateway: IPAddress | None
    link: int
    metric: int
    protocol: int


def widest(session: Session) -> list[Route]:
    """List the default routes of both families, and those to half of all addresses."""
    with kernel_errors("list", "routes"):
        listed = session.dump(GET, RTMSG.pack(AF_UNSPEC, 0, 0, 0, 0, 0, 0, 0, 0))
    return list(_widest(listed))


def add(session: Session, route: Route, *, replacing: bool = False) -> None:
    """Add a route; raises `KernelError` with EEXIST where the family has one to there of the same metric.

    With ``replacing``, it takes that one's place, without a moment in which there is neither.
    """
    with kernel_errors("set route to", f"{route.destination} via {route.gateway or 'the link'}"):
        session.request(NEW, _body(route), CREATE | (REPLACE if replacing else EXCLUSIVE))


def remove(session: Session, route: Route) -> None:
    """Remove exactly this route; idempotent."""
    with kernel_errors("remove route to", str(route.destination), ignore=(errno.ESRCH, errno.ENODEV)):
        session.request(DELETE, _body(route, scope=NOWHERE))


def add_link_default(session: Session, version: int, link_index: int) -> None:
    """Send everything out of a link without a next hop, unless there is a default route already."""
    with kernel_errors("set default route through", f"link {link_index}", ignore=(errno.EEXIST,)):
        session.request(NEW, _message(version, scope=LINK_SCOPE) + _out(link_index), CREATE | EXCLUSIVE)


def add_direct(session: Session, destination: IPNetwork, link_index: int) -> None:
    """Reach a subnet straight through a link, its hosts being neighbours; raises `KernelError` where others do."""
    body = _message(destination.version, destination.prefixlen, scope=LINK_SCOPE)
    body += attribute(DESTINATION, destination.network_address.packed) + _out(link_index)
    with kernel_errors("set route to", str(destination)):
        session.request(NEW, body, CREATE | EXCLUSIVE)


def _widest(listed: list[bytes]) -> Iterator[Route]:
    for message in listed:
        family, length, _, service, table, protocol, _, _, flags = RTMSG.unpack_from(message)
        if family not in VERSIONS or length > 1 or service or table != MAIN_TABLE or flags & CLONED:
            continue
        found, anywhere = read(message, RTMSG.size), ANYWHERE[VERSIONS[family]]
        start = ip_address(found[DESTINATION]) if DESTINATION in found else anywhere.network_address
        yield Route(
            destination=ip_network((start, length)),
            gateway=ip_address(found[GATEWAY]) if GATEWAY in found else None,
            link=read_number(found.get(OUT, b"")),
            metric=read_number(found.get(PRIORITY, b"")),
            protocol=protocol,
        )


def _body(route: Route, *, scope: int | None = None) -> bytes:
    """A message's body about a route; its ``scope`` is what its next hop calls for, where none is given."""
    to = route.destination
    if scope is None:
        scope = UNIVERSE if route.gateway is not None or to.version == 6 else LINK_SCOPE
    body = _message(to.version, to.prefixlen, scope=scope, protocol=route.protocol)
    if to.prefixlen:
        body += attribute(DESTINATION, to.network_address.packed)
    if route.gateway is not None:
        body += attribute(GATEWAY, route.gateway.packed)
    return body + number(PRIORITY, route.metric) + _out(route.link)


def _message(version: int, length: int = 0, *, scope: int = UNIVERSE, protocol: int = BOOT) -> bytes:
    """A message's body: a route of the main table, to everywhere or to a prefix of a ``length``."""
    header = RTMSG.pack(FAMILIES[version], length, 0, 0, MAIN_TABLE, protocol, scope, UNICAST, 0)
    return header + number(TABLE, MAIN_TABLE)


def _out(link_index: int) -> bytes:
    return number(OUT, link_index) if link_index else b""
