"""Default routes of the main table."""

from __future__ import annotations

import errno
import struct
from socket import AF_INET, AF_INET6

from drivers.api import IPAddress, IPNetwork
from drivers.linux.attributes import attribute, number, read
from drivers.linux.netlink import Session, doing

NEW, DELETE, GET = 24, 25, 26  # RTM_*ROUTE
REPLACE, EXCLUSIVE, CREATE = 0x100, 0x200, 0x400  # NLM_F_*
# Family, lengths of destination and source, type of service, table, protocol, scope, type, flags.
RTMSG = struct.Struct("=BBBBBBBBI")
DESTINATION, OUT, GATEWAY, TABLE = 1, 4, 5, 15  # RTA_*
MAIN_TABLE = 254
BOOT = 3  # the protocol of routes set by hand, which `ip route` prints without a word
UNIVERSE, LINK_SCOPE, NOWHERE = 0, 253, 255
UNICAST = 1
FAMILIES = {4: AF_INET, 6: AF_INET6}


def replace_default(session: Session, gateway: IPAddress, link_index: int = 0) -> None:
    """Make ``gateway`` the default route of its family, whatever it was before."""
    body = _message(gateway.version) + attribute(GATEWAY, gateway.packed) + _out(link_index)
    with doing("set default route via", str(gateway)):
        session.request(NEW, body, CREATE | REPLACE)


def add_link_default(session: Session, version: int, link_index: int) -> None:
    """Send everything out of a link without a next hop, unless there is a default route already."""
    with doing("set default route through", f"link {link_index}", ignore=(errno.EEXIST,)):
        session.request(NEW, _message(version, scope=LINK_SCOPE) + _out(link_index), CREATE | EXCLUSIVE)


def replace_direct(session: Session, destination: IPNetwork, link_index: int) -> None:
    """Reach a subnet straight through a link, its hosts being neighbours; idempotent."""
    body = _message(destination.version, destination.prefixlen, scope=LINK_SCOPE)
    body += attribute(DESTINATION, destination.network_address.packed) + _out(link_index)
    with doing("set route to", str(destination)):
        session.request(NEW, body, CREATE | REPLACE)


def remove_default(session: Session, version: int) -> None:
    """Remove the family's default routes through gateways, those learnt from router advertisements excepted."""
    with doing("list", "routes"):
        listed = session.dump(GET, RTMSG.pack(FAMILIES[version], 0, 0, 0, 0, 0, 0, 0, 0))
    for message in listed:
        _, length, _, _, table, protocol, *_ = RTMSG.unpack_from(message)
        found = read(message, RTMSG.size)
        if GATEWAY not in found or length or table != MAIN_TABLE or protocol != BOOT:
            continue
        body = _message(version, scope=NOWHERE) + attribute(GATEWAY, found[GATEWAY])
        with doing("remove default route of", f"IPv{version}", ignore=(errno.ESRCH,)):
            session.request(DELETE, body + attribute(OUT, found[OUT]))


def _message(version: int, length: int = 0, *, scope: int = UNIVERSE) -> bytes:
    """A message's body: a route of the main table, to everywhere or to a prefix of a ``length``."""
    return RTMSG.pack(FAMILIES[version], length, 0, 0, MAIN_TABLE, BOOT, scope, UNICAST, 0) + number(TABLE, MAIN_TABLE)


def _out(link_index: int) -> bytes:
    return number(OUT, link_index) if link_index else b""
