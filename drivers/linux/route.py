"""Default routes of the main table."""

from __future__ import annotations

import errno
from socket import AF_INET, AF_INET6

from drivers.api import IPAddress, IPNetwork
from drivers.linux.netlink import Session, doing, dump

MAIN_TABLE = 254
BOOT = 3  # the protocol of routes set by hand, which `ip route` prints without a word
LINK_SCOPE = 253
FAMILIES = {4: AF_INET, 6: AF_INET6}


def replace_default(session: Session, gateway: IPAddress, link_index: int = 0) -> None:
    """Make ``gateway`` the default route of its family, whatever it was before."""
    out = {"oif": link_index} if link_index else {}
    destination = "0.0.0.0/0" if gateway.version == 4 else "::/0"
    with doing("set default route via", str(gateway)):
        session.route("replace", dst=destination, gateway=str(gateway), proto=BOOT, table=MAIN_TABLE, **out)


def add_link_default(session: Session, version: int, link_index: int) -> None:
    """Send everything out of a link without a next hop, unless there is a default route already."""
    destination = "0.0.0.0/0" if version == 4 else "::/0"
    with doing("set default route through", f"link {link_index}", ignore=(errno.EEXIST,)):
        session.route("add", dst=destination, oif=link_index, proto=BOOT, scope=LINK_SCOPE, table=MAIN_TABLE)


def replace_direct(session: Session, destination: IPNetwork, link_index: int) -> None:
    """Reach a subnet straight through a link, its hosts being neighbours; idempotent."""
    with doing("set route to", str(destination)):
        session.route("replace", dst=str(destination), oif=link_index, proto=BOOT, scope=LINK_SCOPE, table=MAIN_TABLE)


def remove_default(session: Session, version: int) -> None:
    """Remove the family's default routes through gateways, those learnt from router advertisements excepted."""
    family = FAMILIES[version]
    for message in dump("routes", lambda: session.get_routes(family=family, table=MAIN_TABLE, dst_len=0)):
        gateway = message.get_attr("RTA_GATEWAY")
        if gateway is None or message["dst_len"] or message["proto"] != BOOT:
            continue
        destination = "0.0.0.0/0" if version == 4 else "::/0"
        attributes = {"dst": destination, "gateway": gateway, "oif": message.get_attr("RTA_OIF")}
        with doing("remove default route via", gateway, ignore=(errno.ESRCH,)):
            session.route("del", table=MAIN_TABLE, **attributes)
