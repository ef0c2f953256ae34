"""Links: bridges, veth pairs, VLAN, macvlan, ipvlan and dummy interfaces, and their flags.

Every function acts in the namespace of the session it is given, and needs no list of all links to do so.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drivers.api import InterfaceRefused, KernelError
from drivers.linux.attributes import attribute, nested, number, read, read_number, read_text, text
from drivers.linux.errors import kernel_errors
from drivers.linux.netlink import Session, call_pyroute2

NEW, DELETE, GET, SET = 16, 17, 18, 19  # RTM_*LINK
CREATE, EXCLUSIVE = 0x400, 0x200  # NLM_F_*
IFINFOMSG = struct.Struct("=BxHiII")  # family, hardware type, index, flags, which flags change
UP = 1  # IFF_UP
LOOPBACK = 8  # IFF_LOOPBACK
ADDRESS, IFNAME, MTU, LINKINFO, PROTINFO, IFALIAS, EXT_MASK = 1, 3, 4, 18, 12, 20, 29  # IFLA_*
MASTER, LINK_NETNSID, PARENT_DEV_NAME = 10, 37, 56  # IFLA_*; the parent device since Linux 5.14
INFO_KIND, INFO_DATA, VETH_PEER = 1, 2, 1
SKIP_STATISTICS = 1 << 3  # RTEXT_FILTER_SKIP_STATS
NUMBERS = {"mtu": MTU, "master": MASTER, "txqlen": 13, "net_ns_fd": 28}
TEXTS = {"ifname": IFNAME, "ifalias": IFALIAS}
PORT_MODE, PORT_LEARNING, PORT_ISOLATED = 4, 8, 33  # IFLA_BRPORT_*
OWN_KINDS = ("bridge", "veth", "wireguard")
MAC_TEXT = len("02:42:00:00:00:00")
GONE = (errno.ENODEV, errno.ENXIO)


@dataclass(frozen=True, slots=True)
class Link:
    """A link as the kernel describes it; ``kind`` is "" for hardware, ``alias`` is free text kept by the kernel.

    ``master`` is the index of the bridge (or bond …) it is a port of, ``device`` the bus device it is the interface of,
    and ``is_split`` says that its other end, or what it is an interface of, is in another namespace.
    """

    name: str
    index: int
    kind: str
    alias: str
    mac: str
    mtu: int
    up: bool
    master: int = 0
    device: str = ""
    is_loopback: bool = False
    is_split: bool = False


def index(name: str) -> int:
    """The index of a link in the calling thread's namespace, 0 where there is none."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return 0


def find(session: Session, name: str) -> Link | None:
    """Describe a link, None where there is none of that name."""
    wanted = _message() + text(IFNAME, name) + number(EXT_MASK, SKIP_STATISTICS)
    found: list[bytes] = []
    with kernel_errors("look up", name, ignore=(*GONE, errno.ERANGE, errno.EINVAL)):
        found = session.request(GET, wanted)
    return _read(found[0]) if found else None


def all_links(session: Session) -> list[Link]:
    """Describe all links."""
    with kernel_errors("list", "links"):
        return [_read(m) for m in session.dump(GET, _message() + number(EXT_MASK, SKIP_STATISTICS))]


def add(session: Session, name: str, kind: str, **attributes: Any) -> None:
    """Make a link; raises `KernelError` with EEXIST when the name is taken."""
    with kernel_errors(f"create {kind}", name):
        if kind in OWN_KINDS and _are_known(attributes):
            body = _message(attributes) + text(IFNAME, name) + nested(LINKINFO, text(INFO_KIND, kind))
            session.request(NEW, body, CREATE | EXCLUSIVE)
        else:
            call_pyroute2(lambda: session.pyroute2.link("add", ifname=name, kind=kind, **attributes))


def add_veth(session: Session, name: str, peer: Mapping[str, Any], **attributes: Any) -> None:
    """Make a veth pair at one go, ``peer`` straight into the namespace of its ``net_ns_fd``.

    Raises `InterfaceRefused` where the peer's ``address`` is none for an interface, such as a multicast one. Of an
    address longer than Ethernet's only the first six bytes count. Neither end queues, and both say so as Docker's do.
    """
    other = _message({**peer, "address": peer["address"][:MAC_TEXT], "txqlen": 0})
    pair = nested(LINKINFO, text(INFO_KIND, "veth"), nested(INFO_DATA, nested(VETH_PEER, other)))
    try:
        with kernel_errors("create veth", name):
            session.request(NEW, _message({**attributes, "ifname": name, "txqlen": 0}) + pair, CREATE | EXCLUSIVE)
    except KernelError as error:
        if error.errno != errno.EADDRNOTAVAIL:
            raise
        setting = f'failed to add interface {name} to sandbox: error setting interface "{name}" MAC to'
        raise InterfaceRefused(setting, f'"{peer["address"]}"', error.errno) from error


def change(session: Session, link_index: int, **attributes: Any) -> None:
    """Change a link: ``state="up"``, ``mtu``, ``address``, ``master``, ``ifalias``, ``ifname``, ``net_ns_fd``."""
    with kernel_errors(f"change {', '.join(attributes)} of", f"link {link_index}"):
        session.request(NEW, _message(attributes, link_index))


def set_bridge_port(session: Session, link_index: int, *, hairpin: bool, isolated: bool, learning: bool = True) -> None:
    """Set the flags of a bridge's port."""
    flags = ((PORT_MODE, hairpin), (PORT_ISOLATED, isolated), (PORT_LEARNING, learning))
    body = IFINFOMSG.pack(socket.AF_BRIDGE, 0, link_index, 0, 0)
    with kernel_errors("set bridge port flags of", f"link {link_index}"):
        session.request(SET, body + nested(PROTINFO, *(attribute(kind, bytes([value])) for kind, value in flags)))


def delete(session: Session, name: str) -> None:
    """Delete a link by name; idempotent.

    Returns when the link is gone for everybody. What the kernel waits for then, until nobody can still have it in hand,
    takes tens of milliseconds and concerns no one. It is meant by its index: what gets the name next is another link,
    and must not be hit by a request that is still on its way.
    """
    found = session.index(name)
    if found:
        with kernel_errors("delete link", name, ignore=GONE):
            session.request_until_visible(DELETE, _message(link_index=found), lambda: session.index(name) != found)


def register_ipvlan_flags() -> None:
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


def _are_known(attributes: Mapping[str, Any]) -> bool:
    return attributes.keys() <= {"state", "address", *NUMBERS, *TEXTS}


def _message(attributes: Mapping[str, Any] | None = None, link_index: int = 0) -> bytes:
    """A message's body: what it is about, and what it is to become."""
    wanted = dict(attributes or {})
    state = wanted.pop("state", "")
    body = IFINFOMSG.pack(socket.AF_UNSPEC, 0, link_index, UP if state == "up" else 0, UP if state else 0)
    return body + b"".join(_encoded(key, value) for key, value in wanted.items())


def _encoded(key: str, value: Any) -> bytes:
    if key in NUMBERS:
        return number(NUMBERS[key], value)
    if key in TEXTS:
        return text(TEXTS[key], value)
    assert key == "address"
    return attribute(ADDRESS, bytes.fromhex(value.replace(":", "")))


def _read(body: bytes) -> Link:
    """Read one link message of the kernel."""
    _, _, link_index, flags, _ = IFINFOMSG.unpack_from(body)
    found = read(body, IFINFOMSG.size)
    return Link(
        name=read_text(found.get(IFNAME, b"")),
        index=link_index,
        kind=read_text(read(found.get(LINKINFO, b"")).get(INFO_KIND, b"")),
        alias=read_text(found.get(IFALIAS, b"")),
        mac=found.get(ADDRESS, b"").hex(":"),
        mtu=read_number(found.get(MTU, b"")),
        up=bool(flags & UP),
        master=read_number(found.get(MASTER, b"")),
        device=read_text(found.get(PARENT_DEV_NAME, b"")),
        is_loopback=bool(flags & LOOPBACK),
        is_split=LINK_NETNSID in found,
    )
