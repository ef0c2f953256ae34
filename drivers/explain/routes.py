"""Commands of ip-address(8), ip-route(8), ip-neighbour(8) and bridge(8) for rtnetlink messages."""

from __future__ import annotations

from collections.abc import Iterator
from socket import AF_BRIDGE, AF_INET6

from pyroute2.netlink import NLM_F_APPEND, NLM_F_REPLACE
from pyroute2.netlink.rtnl import RTM_DELADDR, RTM_DELNEIGH, RTM_DELROUTE
from pyroute2.netlink.rtnl.ifaddrmsg import IFA_F_NODAD, ifaddrmsg
from pyroute2.netlink.rtnl.ndmsg import NTF_MASTER, NTF_SELF, NUD_PERMANENT, ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from drivers.explain.links import NameLookup
from drivers.linux import route
from drivers.linux.netlink import Message
from drivers.linux.rtnetlink import decode

USUAL_METRIC6 = route.USUAL_METRIC[6]


def address(message: Message, names: NameLookup) -> list[str]:
    """Return the words of the ip-address(8) command for a message RTM_NEWADDR or RTM_DELADDR."""
    content = decode(ifaddrmsg, message.body)
    words = ["ip", "address", "del" if message.kind == RTM_DELADDR else "add"]
    words.append(f"{content.get_attr('IFA_LOCAL')}/{content['prefixlen']}")
    for name, word in (("IFA_BROADCAST", "broadcast"), ("IFA_PROTO", "proto")):
        if content.get_attr(name) is not None:
            words += [word, str(content.get_attr(name))]
    words += ["dev", names.link(content["index"])]
    return [*words, "nodad"] if message.kind != RTM_DELADDR and content["flags"] & IFA_F_NODAD else words


def ip_route(message: Message, names: NameLookup) -> list[str]:
    """Return the words of the ip-route(8) command for a message RTM_NEWROUTE or RTM_DELROUTE."""
    content = decode(rtmsg, message.body)
    is_ipv6 = content["family"] == AF_INET6
    if message.kind == RTM_DELROUTE:
        verb = "del"
    else:
        verb = "replace" if message.flags & NLM_F_REPLACE else "add"
    start = content.get_attr("RTA_DST") or ("::" if is_ipv6 else "0.0.0.0")
    to = f"{start}/{content['dst_len']}" if content["dst_len"] else "default"
    words = ["ip", *(["-6"] if is_ipv6 else []), "route", verb, to]
    if content.get_attr("RTA_GATEWAY"):
        words += ["via", content.get_attr("RTA_GATEWAY")]
    if content.get_attr("RTA_OIF"):
        words += ["dev", names.link(content.get_attr("RTA_OIF"))]
    if content["proto"] != route.BOOT:
        words += ["proto", "kernel" if content["proto"] == route.KERNEL else str(content["proto"])]
    if content.get_attr("RTA_PREFSRC"):
        words += ["src", content.get_attr("RTA_PREFSRC")]
    metric = content.get_attr("RTA_PRIORITY")
    return [*words, "metric", str(metric)] if metric and not (is_ipv6 and metric == USUAL_METRIC6) else words


def neighbour(message: Message, names: NameLookup) -> list[str]:
    """Return the words of the ip-neighbour(8) or bridge(8) command for a message RTM_NEWNEIGH or RTM_DELNEIGH."""
    content = decode(ndmsg, message.body)
    device, mac, at = names.link(content["ifindex"]), content.get_attr("NDA_LLADDR"), content.get_attr("NDA_DST")
    if message.kind == RTM_DELNEIGH:
        verb = "del"
    else:
        verb = "append" if message.flags & NLM_F_APPEND else "replace"
    if content["family"] == AF_BRIDGE:
        return ["bridge", "fdb", verb, mac, "dev", device, *_forwarding(content["flags"], content["state"], at)]
    if verb == "del":
        return ["ip", "neighbour", verb, at, "dev", device]
    return ["ip", "neighbour", verb, at, "lladdr", mac, "dev", device, "nud", "permanent"]


def _forwarding(flags: int, state: int, at: str | None) -> Iterator[str]:
    if at:
        yield from ("dst", at)
    if flags & NTF_SELF:
        yield "self"
    if flags & NTF_MASTER:
        yield "master"
    yield "permanent" if state & NUD_PERMANENT else "static"
