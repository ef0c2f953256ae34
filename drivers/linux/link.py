"""Links: bridges, veth pairs, VLAN, macvlan, ipvlan and dummy interfaces, and their flags.

Every function acts in the namespace of the session it is given, and needs no list of all links to do so.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drivers.api import InterfaceRefused, KernelError
from drivers.linux.netlink import Session, doing

MAC_TEXT = len("02:42:00:00:00:00")
GONE = (errno.ENODEV, errno.ENXIO)


@dataclass(frozen=True, slots=True)
class Link:
    """A link as the kernel describes it; ``kind`` is "" for hardware, ``alias`` is free text kept by the kernel."""

    name: str
    index: int
    kind: str
    alias: str
    mac: str
    mtu: int
    up: bool


def index(name: str) -> int:
    """The index of a link in the calling thread's namespace, 0 where there is none."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return 0


def find(session: Session, name: str) -> Link | None:
    """Describe a link, None where there is none of that name."""
    found: list[Any] = []
    with doing("look up", name, ignore=(*GONE, errno.ERANGE, errno.EINVAL)):
        found = list(session.link("get", ifname=name))
    return describe(found[0]) if found else None


def describe(message: Any) -> Link:
    """Read one link message of the kernel."""
    return Link(
        name=message.get_attr("IFLA_IFNAME"),
        index=message["index"],
        kind=message.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") or "",
        alias=message.get_attr("IFLA_IFALIAS") or "",
        mac=message.get_attr("IFLA_ADDRESS") or "",
        mtu=message.get_attr("IFLA_MTU") or 0,
        up=bool(message["flags"] & 1),
    )


def add(session: Session, name: str, kind: str, **attributes: Any) -> None:
    """Make a link; raises `KernelError` with EEXIST when the name is taken."""
    with doing(f"create {kind}", name):
        session.link("add", ifname=name, kind=kind, **attributes)


def add_veth(session: Session, name: str, peer: Mapping[str, Any], **attributes: Any) -> None:
    """Make a veth pair at one go, ``peer`` straight into the namespace of its ``net_ns_fd``.

    Raises `InterfaceRefused` where the peer's ``address`` is none for an interface, such as a multicast one. Of an
    address longer than Ethernet's only the first six bytes count.
    """
    try:
        add(session, name, "veth", peer={**peer, "address": peer["address"][:MAC_TEXT]}, **attributes)
    except KernelError as error:
        if error.errno != errno.EADDRNOTAVAIL:
            raise
        setting = f'failed to add interface {name} to sandbox: error setting interface "{name}" MAC to'
        raise InterfaceRefused(setting, f'"{peer["address"]}"', error.errno) from error


def change(session: Session, link_index: int, **attributes: Any) -> None:
    """Change a link: ``state="up"``, ``mtu``, ``address``, ``master``, ``ifalias``, ``ifname``, ``net_ns_fd``."""
    with doing(f"change {', '.join(attributes)} of", f"link {link_index}"):
        session.link("set", index=link_index, **attributes)


def set_bridge_port(session: Session, link_index: int, *, hairpin: bool, isolated: bool, learning: bool = True) -> None:
    """Set the flags of a bridge's port."""
    flags = {"mode": int(hairpin), "isolated": int(isolated), "learning": int(learning)}
    with doing("set bridge port flags of", f"link {link_index}"):
        session.brport("set", index=link_index, **flags)


def delete(session: Session, name: str) -> None:
    """Delete a link by name; idempotent."""
    with doing("delete link", name, ignore=GONE):
        session.link("del", ifname=name)


def know_ipvlan_flags() -> None:
    """Teach pyroute2 the ipvlan attribute it lacks (IFLA_IPVLAN_FLAGS, Linux 4.15); idempotent."""
    from pyroute2.netlink import nla
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

    class Ipvlan(nla):  # type: ignore[misc]
        prefix = "IFLA_"
        nla_map = (
            ("IFLA_IPVLAN_UNSPEC", "none"),
            ("IFLA_IPVLAN_MODE", "uint16"),
            ("IFLA_IPVLAN_FLAGS", "uint16"),
        )

    ifinfmsg.ifinfo.register_link_kind(module={"ipvlan": Ipvlan})
