"""Links: bridges, veth pairs, VLAN, macvlan, ipvlan and dummy interfaces, and their flags.

A function with a parameter ``session`` acts in the session's network namespace. Only `all_links` and
`with_alias_or_mac` read the kernel's list of all links; the other functions ask the kernel for single links.
"""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct
from pyroute2.netlink import NLA_F_NESTED, NLM_F_CREATE, NLM_F_EXCL
from pyroute2.netlink.rtnl import RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK, RTM_SETLINK
from pyroute2.netlink.rtnl.ifinfmsg import IFF_LOOPBACK, IFF_NOARP, IFF_RUNNING, IFF_UP, ifinfmsg

from drivers.errors import InterfaceRefused, KernelError
from drivers.linux import names, recording
from drivers.linux.errors import kernel_errors
from drivers.linux.netlink import Message, Session
from drivers.linux.rtnetlink import SANDBOX_LIMIT, Attributes, decode, dump, encode
from drivers.model import MAC_TEXT

ANY_KIND = frozenset(name for name, *_ in ifinfmsg.nla_map)
"""The names of the link attributes that links of every kind can have; all other attributes belong to one kind."""
SKIP_STATISTICS = ("IFLA_EXT_MASK", 1 << 3)  # request flag RTEXT_FILTER_SKIP_STATS: leave out traffic counters
PORT_FLAGS = {
    "hairpin": "IFLA_BRPORT_MODE",
    "isolated": "IFLA_BRPORT_ISOLATED",
    "learning": "IFLA_BRPORT_LEARNING",
    "flood": "IFLA_BRPORT_UNICAST_FLOOD",
    "mcast_flood": "IFLA_BRPORT_MCAST_FLOOD",
    "bcast_flood": "IFLA_BRPORT_BCAST_FLOOD",
    "locked": "IFLA_BRPORT_LOCKED",
    "mab": "IFLA_BRPORT_MAB",
    "neigh_suppress": "IFLA_BRPORT_NEIGH_SUPPRESS",
    "proxy_arp": "IFLA_BRPORT_PROXYARP",
    "mcast_to_unicast": "IFLA_BRPORT_MCAST_TO_UCAST",
    "vlan_tunnel": "IFLA_BRPORT_VLAN_TUNNEL",
    "guard": "IFLA_BRPORT_GUARD",
    "state": "IFLA_BRPORT_STATE",
}
"""The netlink attributes of a bridge port's flags and state, by their names in bridge(8)."""
FORWARDING = 3
"""The state of a bridge port that forwards frames."""
MAX_BRIDGE_PORTS = 1023
BRIDGE_FULL = (errno.EXFULL, errno.ENOSPC)
"""The kernel's errors for a new port if the bridge already has `MAX_BRIDGE_PORTS` ports."""
LEARNT_LIMIT = 1 << 16
"""The maximum number of MAC addresses that a bridge learns.

A limit is needed, because a container can send frames with any number of source addresses. Each learned address takes
154 bytes for five minutes. Above the limit, the bridge floods frames to addresses that it does not know.
"""
BRIDGE_SETTINGS = {"br_fdb_max_learned": LEARNT_LIMIT, "br_mcast_snooping": 0}
"""The settings of hawse's bridges on the host. Kernels before Linux 6.7 do not have the limit `LEARNT_LIMIT`.

Multicast snooping is off. With it, a container that sends MLD queries could stop the neighbour discovery of others.
"""
VXLAN_PORT = 4789  # UDP port of VXLAN assigned by IANA
LEAST_IPV6_MTU = 1280
"""The MTU below which the kernel removes IPv6 from a link."""
GONE = (errno.ENODEV, errno.ENXIO)
GROUPS = range(1 << 16, 1 << 31)
"""The link groups from which `delete_all` chooses one at random, far above the numbers that users choose."""


class Link(Struct, frozen=True):
    """A link as the kernel describes it.

    - ``kind``: the kernel's name of the link type (such as "veth"), or "" for hardware
    - ``alias``: a free string that the kernel stores
    - ``mac``: "" if the link has no address
    - ``up``: whether the link is administratively up (IFF_UP)
    - ``master``: the index of the bridge (or bond …) that has the link as a port, or 0
    - ``device``: the bus device of a hardware interface
    - ``peer``: the index of the link's other end or parent, or 0
    - ``is_split``: whether the link's other end or parent is in another namespace
    - ``has_arp``: False if ARP and neighbour discovery are off
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
    peer: int = 0
    is_loopback: bool = False
    is_split: bool = False
    has_arp: bool = True

    @property
    def network_id(self) -> str:
        """The id of the network that hawse's mark (the alias) names, or "" without such a mark."""
        return names.marked_id(self.alias, names.NETWORK_MARK)

    @property
    def endpoint_id(self) -> str:
        """The id of the endpoint that hawse's mark (the alias) names, or "" without such a mark."""
        return names.marked_id(self.alias, names.ENDPOINT_MARK)


def index(name: str) -> int:
    """Return the index of a link in the calling thread's namespace, or 0 if no link has that name."""
    if recording.recorder is not None:
        known = recording.recorder.link_index(name)
        if known is not None:
            return known
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return 0


def find(session: Session, name: str) -> Link | None:
    """Return the link of that name, or None if no link has that name."""
    message = _get(session, name)
    return None if message is None else _read(message)


def at(session: Session, link_index: int) -> Link | None:
    """Return the link with the index ``link_index`` in the session's namespace, or None if there is no such link."""
    message = _get(session, "", link_index)
    return None if message is None else _read(message)


def kind_attributes(session: Session, name: str) -> Any:
    """Return the attributes that are specific to a link's kind (its type, such as vxlan), as pyroute2 decodes them.

    Raises `KernelError` if no link has that name.
    """
    message = _get(session, name)
    if message is None:
        raise KernelError("look up", name, errno.ENODEV)
    return message.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA")


def wrong_settings(session: Session, name: str, required: Mapping[str, Any]) -> dict[str, Any]:
    """Return the present values of those kind-specific settings of a link that differ from ``required``.

    ``required`` and the result map pyroute2's names (in lower case and without the prefix IFLA_) to values. Settings
    that the kernel does not have are left out.
    """
    data = kind_attributes(session, name)
    present = {setting: data.get_attr(f"IFLA_{setting.upper()}") for setting in required}
    return {setting: value for setting, value in present.items() if value not in (None, required[setting])}


def port_flags(session: Session, name: str) -> dict[str, int]:
    """Return a bridge port's flags and state by their names in `PORT_FLAGS`; an empty mapping for any other link."""
    message = _get(session, name)
    return flags_of_port(message) if message else {}


def flags_of_port(message: Any) -> dict[str, int]:
    """Return the flags and state in a link message about a bridge port; an empty mapping for any other link."""
    if message.get_nested("IFLA_LINKINFO", "IFLA_INFO_SLAVE_KIND") != "bridge":
        return {}
    port = message.get_nested("IFLA_LINKINFO", "IFLA_INFO_SLAVE_DATA")
    values = {flag: port.get_attr(attribute) for flag, attribute in PORT_FLAGS.items()}
    return {flag: int(value) for flag, value in values.items() if value is not None}


def has_carrier(session: Session, name: str) -> bool:
    """Return whether a link has a carrier, which means that the link and its other end are up.

    Returns False if the link is missing. The kernel disables a bridge port that has no carrier.
    """
    message = _get(session, name)
    return message is not None and bool(message["flags"] & IFF_RUNNING)


def all_links(session: Session) -> list[Link]:
    """Return all links in the session's network namespace."""
    with kernel_errors("list", "links"):
        return [_read(message) for message in dump(session, RTM_GETLINK, ifinfmsg, [SKIP_STATISTICS])]


def with_alias_or_mac(session: Session, alias: str, mac: str) -> list[Link]:
    """Return the links with this alias or this MAC in the session's network namespace.

    A link is also returned if any other attribute contains one of the two values. An empty value is ignored.

    Root in a sandbox can make any number of links. Therefore, other links are not decoded, and `KernelError` is raised
    if there are more than `SANDBOX_LIMIT` links to return.
    """
    parts = [part for part in (alias.encode(), bytes.fromhex(mac.replace(":", ""))) if part]

    def may_match(body: bytes) -> bool:
        return any(part in body for part in parts)

    with kernel_errors("list", "links"):
        messages = dump(session, RTM_GETLINK, ifinfmsg, [SKIP_STATISTICS], may_match, SANDBOX_LIMIT)
    return [_read(message) for message in messages]


def add(session: Session, name: str, kind: str, **attributes: Any) -> None:
    """Create a link; raises `KernelError` with EEXIST if another link has the name.

    ``kind`` is the kernel's name of the link type, such as "dummy". ``attributes`` have pyroute2's names in lower case
    and without the prefix IFLA_. The attributes may be those of every link or those of this kind of link.
    """
    body = encode(ifinfmsg, _attributes({**attributes, "ifname": name}, kind))
    with kernel_errors(f"create {kind}", name):
        session.request(RTM_NEWLINK, body, NLM_F_CREATE | NLM_F_EXCL)


def add_bridge(session: Session, name: str, **attributes: Any) -> None:
    """Create a bridge with a limit of learned MACs and without multicast snooping (`BRIDGE_SETTINGS`).

    ``attributes`` and errors are those of `add`.
    """
    add(session, name, "bridge", **BRIDGE_SETTINGS, **attributes)


def add_veth(session: Session, name: str, peer: Mapping[str, Any], **attributes: Any) -> None:
    """Create a veth pair, the end ``name`` and its peer, in one request.

    - ``attributes`` are the attributes of the end ``name``, with the names that `add` uses.
    - ``peer`` holds the attributes of the peer. It must contain the MAC ``address``; only the first six bytes are used.
      The peer is created in the namespace ``net_ns_fd``.

    Raises `InterfaceRefused` if the kernel refuses the peer's MAC, such as a multicast address. Both ends have a
    transmit queue length of 0, as in Docker.
    """
    other = _attributes({**peer, "address": peer["address"][:MAC_TEXT], "txqlen": 0})
    try:
        add(session, name, "veth", **{**attributes, "txqlen": 0, "VETH_INFO_PEER": {"attrs": other}})
    except KernelError as error:
        if error.errno != errno.EADDRNOTAVAIL:
            raise
        setting = f'failed to add interface {name} to sandbox: error setting interface "{name}" MAC to'
        raise InterfaceRefused(setting, f'"{peer["address"]}"', error.errno) from error


def change(session: Session, link_index: int, **attributes: Any) -> None:
    """Change attributes of an existing link.

    Possible attributes are ``state``, ``mtu``, ``address``, ``master``, ``ifalias``, ``ifname`` and ``net_ns_fd``.
    ``state="up"`` brings the link up; any other state brings the link down.
    """
    state = attributes.get("state", "")
    flags = {"flags": IFF_UP if state == "up" else 0, "change": IFF_UP if state else 0}
    body = encode(ifinfmsg, _attributes(attributes), index=link_index, **flags)
    with kernel_errors(f"change {', '.join(attributes)} of", f"link {link_index}"):
        session.request(RTM_NEWLINK, body)


def change_kind(session: Session, link_index: int, kind: str, **attributes: Any) -> None:
    """Change attributes of a link that only links of its ``kind`` have.

    ``kind`` is, for example, "bridge". ``attributes`` have pyroute2's names in lower case and without the prefix IFLA_.
    """
    with kernel_errors(f"change {', '.join(attributes)} of", f"link {link_index}"):
        session.request(RTM_NEWLINK, encode(ifinfmsg, _attributes(attributes, kind), index=link_index))


def switch_arp_on(session: Session, link_index: int) -> None:
    """Enable ARP and neighbour discovery on a link."""
    with kernel_errors("switch ARP on for", f"link {link_index}"):
        session.request(RTM_NEWLINK, encode(ifinfmsg, index=link_index, flags=0, change=IFF_NOARP))


def set_bridge_port(session: Session, link_index: int, **flags: int) -> None:
    """Set flags of a bridge port by their names in `PORT_FLAGS`.

    The kernel refuses to set ``state`` while it runs the spanning tree protocol on the bridge.
    """
    values = {"attrs": [(PORT_FLAGS[flag], int(value)) for flag, value in flags.items()]}
    port = ("IFLA_PROTINFO", values, NLA_F_NESTED)  # without NLA_F_NESTED, the kernel reads the data as an STP state
    body = encode(ifinfmsg, [port], family=socket.AF_BRIDGE, index=link_index)
    with kernel_errors("set bridge port flags of", f"link {link_index}"):
        session.request(RTM_SETLINK, body)


def delete(session: Session, name: str) -> None:
    """Delete a link by name; idempotent. Returns when the link is no longer visible.

    The kernel finishes the deletion tens of milliseconds later, when no kernel code uses the link. This function does
    not wait for that. The request contains the link's index and not the link's name. Therefore, a delayed request
    cannot delete a newer link with the same name.
    """
    link_index = session.index(name)
    if link_index:
        with kernel_errors("delete link", name, ignore=GONE):
            session.request_until_visible(
                RTM_DELLINK, encode(ifinfmsg, index=link_index), lambda: session.index(name) != link_index
            )


def take_down(session: Session, names: Iterable[str]) -> None:
    """Take links down by name, all with one system call; a missing link is ignored."""
    indexes = [link_index for name in names if (link_index := session.index(name))]
    changes = [
        Message(RTM_SETLINK, 0, encode(ifinfmsg, index=interface_index, flags=0, change=IFF_UP))
        for interface_index in indexes
    ]
    for position, code in session.request_each(changes) if changes else ():
        if code not in GONE:
            raise KernelError("take down link", str(indexes[position]), code)


def delete_all(session: Session, names: Iterable[str]) -> None:
    """Delete links by name; idempotent. Returns when the links are no longer visible.

    The links get a random link group, and one request deletes the group. Therefore, the kernel waits only once until no
    kernel code uses the links any more. With one request for each link, the kernel would wait tens of milliseconds for
    each link.
    """
    present = {name: link_index for name in names if (link_index := session.index(name))}
    if len(present) < 2:
        for name in present:
            delete(session, name)
        return
    group = [("IFLA_GROUP", random.choice(GROUPS))]
    marks = [Message(RTM_SETLINK, 0, encode(ifinfmsg, group, index=link_index)) for link_index in present.values()]
    for position, code in session.request_each(marks):
        if code not in GONE:
            raise KernelError("delete link", list(present)[position], code)
    with kernel_errors("delete", "links", ignore=GONE):
        session.request_until_visible(
            RTM_DELLINK,
            encode(ifinfmsg, group),
            lambda: all(session.index(name) != link_index for name, link_index in present.items()),
        )


def _get(session: Session, name: str, link_index: int = 0) -> Any:
    """Return the kernel's message about a link, or None if the link does not exist.

    ``link_index`` identifies the link. If it is 0, ``name`` identifies the link.
    """
    bodies: list[bytes] = []
    body = encode(ifinfmsg, [("IFLA_IFNAME", name), SKIP_STATISTICS], index=link_index)
    with kernel_errors("look up", name or f"link {link_index}", ignore=(*GONE, errno.ERANGE, errno.EINVAL)):
        bodies = session.request(RTM_GETLINK, body)
    return decode(ifinfmsg, bodies[0]) if bodies else None


def _attributes(values: Mapping[str, Any], kind: str = "") -> Attributes:
    """Return link attributes in the form that pyroute2 needs.

    ``values`` maps the attributes' names, as `add` uses them, to the attributes' values. Attributes that only some
    kinds of links have are nested under the link's ``kind``. Without ``kind``, they are left out.
    """
    named = [(key if key.isupper() else f"IFLA_{key.upper()}", value) for key, value in values.items()]
    common = [item for item in named if item[0] in ANY_KIND]
    special = [item for item in named if item[0] not in ANY_KIND]
    if not kind:
        return common
    data = [("IFLA_INFO_DATA", {"attrs": special})] if special else []
    return [*common, ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", kind), *data]})]


def _read(message: Any) -> Link:
    """Return the link that a kernel message describes."""
    return Link(
        name=_text(message.get_attr("IFLA_IFNAME")),
        index=message["index"],
        kind=_text(message.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND")),
        alias=_text(message.get_attr("IFLA_IFALIAS")),
        mac=message.get_attr("IFLA_ADDRESS") or "",
        mtu=message.get_attr("IFLA_MTU", 0),
        up=bool(message["flags"] & IFF_UP),
        master=message.get_attr("IFLA_MASTER", 0),
        device=_text(message.get_attr("IFLA_PARENT_DEV_NAME")),
        peer=message.get_attr("IFLA_LINK", 0),
        is_loopback=bool(message["flags"] & IFF_LOOPBACK),
        is_split=message.get_attr("IFLA_LINK_NETNSID") is not None,
        has_arp=not message["flags"] & IFF_NOARP,
    )


def _text(value: str | bytes | None) -> str:
    """Return a string from the kernel as ``str``; pyroute2 returns bytes if the string is not UTF-8."""
    return value.decode(errors="surrogateescape") if isinstance(value, bytes) else value or ""
