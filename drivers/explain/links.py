"""Commands of ip-link(8) and bridge(8) for rtnetlink messages about links."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from socket import AF_BRIDGE
from typing import Any, NamedTuple

from pyroute2.netlink import NLM_F_CREATE
from pyroute2.netlink.rtnl import RTM_DELLINK
from pyroute2.netlink.rtnl.ifinfmsg import IFF_NOARP, IFF_UP, ifinfmsg

from drivers.linux.netlink import Message
from drivers.linux.rtnetlink import decode

SETTINGS = {"IFLA_ADDRESS": "address", "IFLA_MTU": "mtu", "IFLA_TXQLEN": "txqueuelen", "IFLA_GROUP": "group"}
"""The words of ip-link(8) for attributes whose values are printed unchanged."""
PORT_FLAGS = {
    "IFLA_BRPORT_MODE": "hairpin",
    "IFLA_BRPORT_ISOLATED": "isolated",
    "IFLA_BRPORT_LEARNING": "learning",
    "IFLA_BRPORT_UNICAST_FLOOD": "flood",
    "IFLA_BRPORT_MCAST_FLOOD": "mcast_flood",
    "IFLA_BRPORT_BCAST_FLOOD": "bcast_flood",
    "IFLA_BRPORT_LOCKED": "locked",
    "IFLA_BRPORT_MAB": "mab",
    "IFLA_BRPORT_NEIGH_SUPPRESS": "neigh_suppress",
    "IFLA_BRPORT_MCAST_TO_UCAST": "mcast_to_unicast",
    "IFLA_BRPORT_VLAN_TUNNEL": "vlan_tunnel",
    "IFLA_BRPORT_GUARD": "guard",
    "IFLA_BRPORT_PROXYARP": "proxy_arp",
}
IPVLAN_MODES, IPVLAN_FLAGS = ("l2", "l3", "l3s"), ("bridge", "private", "vepa")
KINDS = {
    "IFLA_BR_MCAST_SNOOPING": "mcast_snooping",
    "IFLA_BR_STP_STATE": "stp_state",
    "IFLA_BR_FDB_MAX_LEARNED": "fdb_max_learned",
    "IFLA_VLAN_ID": "id",
    "IFLA_MACVLAN_MODE": "mode",
    "IFLA_VXLAN_ID": "id",
    "IFLA_VXLAN_LOCAL": "local",
    "IFLA_VXLAN_LOCAL6": "local",
    "IFLA_VXLAN_PORT": "dstport",
}
"""The words of ip-link(8) for attributes that only one kind of link has; their values are printed unchanged."""


class NameLookup(NamedTuple):
    """Functions that return the name for a number in a netlink message.

    ``link`` takes the index of a link in the session's network namespace, and returns the link's name. ``namespace``
    takes a file descriptor of a network namespace, and returns the namespace's path.
    """

    link: Callable[[int], str]
    namespace: Callable[[int], str]


def command(message: Message, names: NameLookup) -> list[str]:
    """Return the words of the ip-link(8) or bridge(8) command for a message RTM_NEWLINK, RTM_SETLINK or RTM_DELLINK.

    Must be called before the kernel gets the message, because the message may delete or rename the link.
    """
    content = decode(ifinfmsg, message.body)
    if message.kind == RTM_DELLINK:
        group = content.get_attr("IFLA_GROUP")
        chosen = ["group", str(group)] if group is not None else ["dev", names.link(content["index"])]
        return ["ip", "link", "delete", *chosen]
    if message.flags & NLM_F_CREATE:
        parent, name = content.get_attr("IFLA_LINK"), content.get_attr("IFLA_IFNAME")
        place = ["link", names.link(parent)] if parent else []
        return ["ip", "link", "add", *place, "name", name, *_settings(content, names), *_kind(content, names)]
    device = ["dev", names.link(content["index"])]
    if content["family"] == AF_BRIDGE:
        return _port_command(device, dict(content.get_attr("IFLA_PROTINFO")["attrs"]))
    return ["ip", "link", "set", *device, *_changes(content, names)]


def _port_command(device: list[str], flags: dict[str, int]) -> list[str]:
    """Return the words of the command that sets flags of a bridge port; ``device`` are the words that name the port.

    ``flags`` maps names of netlink attributes, such as IFLA_BRPORT_STATE, to their values. For the flag proxy_arp, the
    command is ip-link(8), because bridge(8) has no word for it.
    """
    words = [w for name, word in PORT_FLAGS.items() if name in flags for w in (word, "on" if flags[name] else "off")]
    if "IFLA_BRPORT_STATE" in flags:
        words += ["state", str(flags["IFLA_BRPORT_STATE"])]
    if "IFLA_BRPORT_PROXYARP" in flags:
        return ["ip", "link", "set", *device, "type", "bridge_slave", *words]
    return ["bridge", "link", "set", *device, *words]


def _changes(content: Any, names: NameLookup) -> Iterator[str]:
    if content["change"] & IFF_UP:
        yield "up" if content["flags"] & IFF_UP else "down"
    if content["change"] & IFF_NOARP:
        yield from ("arp", "off" if content["flags"] & IFF_NOARP else "on")
    name = content.get_attr("IFLA_IFNAME")
    if name:
        yield from ("name", name)
    yield from _settings(content, names)
    alias = content.get_attr("IFLA_IFALIAS")
    if alias is not None:
        yield from ("alias", alias)
    yield from _kind(content, names)


def _kind(content: Any, names: NameLookup) -> Iterator[str]:
    """Yield the words of the command that set the link's kind and its settings; nothing if the message has no kind.

    ``content`` is the decoded netlink message.
    """
    kind = content.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND")
    if kind is None:
        return
    yield from ("type", kind)
    data = content.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA")
    for name, value in data["attrs"] if data is not None else ():
        yield from _special(name, value, names)


def _settings(content: Any, names: NameLookup) -> Iterator[str]:
    for name, word in SETTINGS.items():
        value = content.get_attr(name)
        if value is not None:
            yield from (word, str(value))
    master = content.get_attr("IFLA_MASTER")
    if master is not None:
        yield from ("master", names.link(master)) if master else ("nomaster",)
    namespace = content.get_attr("IFLA_NET_NS_FD")
    if namespace is not None:
        yield from ("netns", names.namespace(namespace))


def _special(name: str, value: Any, names: NameLookup) -> Iterator[str]:
    """Yield the words for an attribute ``name`` that only one kind of link has; ``value`` is the attribute's value.

    Example: "IFLA_VXLAN_ID" and 42 give "id", "42".
    """
    if name == "VETH_INFO_PEER":
        yield from ("peer", "name", value.get_attr("IFLA_IFNAME"), *_settings(value, names))
    elif name in KINDS:
        yield from (KINDS[name], str(value))
    elif name == "IFLA_IPVLAN_MODE":
        yield from ("mode", IPVLAN_MODES[value])
    elif name == "IFLA_IPVLAN_FLAGS":
        yield IPVLAN_FLAGS[value]
    elif name == "IFLA_VXLAN_LEARNING":
        yield "learning" if value else "nolearning"
    elif name == "IFLA_VXLAN_PROXY":
        yield "proxy" if value else "noproxy"
    else:
        yield f"<{name}={value}>"  # an attribute that this module does not know
