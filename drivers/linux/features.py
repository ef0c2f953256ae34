"""Kernel state for the diagnosis: unsupported kinds of link, interfaces with their addresses, MTUs, bridge ports.

All functions act in the calling thread's network namespace. `missing` makes links in a new namespace and deletes that
namespace.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from drivers.errors import DriverError, KernelError, Unsupported
from drivers.linux import address, libnftables, link, marked_links, names, netns, route
from drivers.linux.netlink import Session
from drivers.model import IPAddress, IPInterface

PREFIX, PARENT = "probe-", "bridge"
CHILDREN = ("macvlan", "ipvlan")
NO_NFTABLES = "nftables"  # in the result of `missing`: neither libnftables nor the program nft is installed
ATTRIBUTES = {"vxlan": {"vxlan_id": 1, "vxlan_port": link.VXLAN_PORT}}


def missing(kinds: Iterable[str]) -> list[str]:
    """Return which kinds of link this kernel does not support, and "nf_tables" if its nftables do not work.

    The result has `NO_NFTABLES` in place of "nf_tables" if this host has neither libnftables nor the program nft.
    "bridge" must be the first of ``kinds``, because the bridge becomes the parent of macvlan and ipvlan links.
    """
    with netns.new_netns(), Session() as opened:
        lost = [kind for kind in kinds if not _can_make(opened, kind)]
        try:
            libnftables.run("add table inet probe\ndelete table inet probe\n")
        except Unsupported:
            lost.append(NO_NFTABLES)
        except DriverError:
            lost.append("nf_tables")
    return lost


def _can_make(opened: Session, kind: str) -> bool:
    """Return whether the kernel can make a link of this kind, by making one in the session's namespace.

    The calling thread is in that namespace. `missing` makes a bridge before all other links. This bridge is the parent
    of a macvlan or ipvlan link.
    """
    parent = {"link": link.index(PREFIX + PARENT)} if kind in CHILDREN else {}
    try:
        link.add(opened, PREFIX + kind, kind, **parent, **ATTRIBUTES.get(kind, {}))
    except KernelError:
        return False
    return True


class Interface(NamedTuple):
    """An interface with its addresses.

    ``endpoint_id`` is the endpoint id in the interface's alias, or "" if the alias is not hawse's mark of an endpoint.
    """

    name: str
    mac: str
    mtu: int
    addresses: Sequence[IPInterface]
    endpoint_id: str


def interfaces() -> dict[str, Interface]:
    """Return all interfaces by name."""
    with Session() as opened:
        links, held = link.all_links(opened), address.by_link(opened)
    return {
        device.name: Interface(device.name, device.mac, device.mtu, held[device.index], device.endpoint_id)
        for device in links
    }


def foreign_subnets() -> list[tuple[str, IPInterface]]:
    """Return (interface, address) for each address on an interface that hawse did not make.

    Omits loopback interfaces and link-local addresses.
    """
    with Session() as opened:
        others = {
            device.index: device.name
            for device in link.all_links(opened)
            if not _is_ours(device) and not device.is_loopback
        }
        held = [(others[i], a) for i, a in address.all_addresses(opened) if i in others]
        return [(name, a) for name, a in held if not a.ip.is_link_local]


def _is_ours(device: link.Link) -> bool:
    return bool(device.network_id or device.endpoint_id)


def mtu_of(name: str) -> int:
    """Return the MTU of an interface, or 0 if no interface has the name."""
    with Session() as opened:
        device = link.find(opened, name)
    return device.mtu if device is not None else 0


def holder_of(ip: IPAddress) -> tuple[str, int]:
    """Return the name and MTU of the interface that has an address, or ("", 0) if no interface has it."""
    with Session() as opened:
        index = next((index for index, held in address.all_addresses(opened) if held.ip == ip), 0)
        holder = link.at(opened, index)
    return (holder.name, holder.mtu) if holder is not None else ("", 0)


def uplink() -> tuple[str, int]:
    """Return the name and MTU of the interface of the default route, or ("", 0) without a default route."""
    with Session() as opened:
        index = next((r.link for r in route.widest(opened) if r.destination.prefixlen == 0 and r.link), 0)
        device = link.at(opened, index)
    return (device.name, device.mtu) if device is not None else ("", 0)


def outside_interfaces() -> list[str]:
    """Return the names of the interfaces that may lead to other machines.

    These are all interfaces that are up, except loopback interfaces, bridges and the interfaces that hawse made.
    """
    with Session() as opened:
        links = link.all_links(opened)
    return [
        device.name
        for device in links
        if device.up and not device.is_loopback and not _is_ours(device) and device.kind != "bridge"
    ]


def mac_of(name: str) -> str:
    """Return the MAC of an interface, or "" if no interface has the name."""
    with Session() as opened:
        device = link.find(opened, name) if name else None
    return device.mac if device is not None else ""


def mac_and_addresses(name: str) -> tuple[str, list[IPInterface]]:
    """Return the MAC and the addresses (IPv4 first) of an interface; ("", []) if no interface has the name."""
    with Session() as opened:
        device = link.find(opened, name)
        return ("", []) if device is None else (device.mac, address.of_link(opened, device.index))


def holders(value: IPAddress) -> list[tuple[str, IPInterface]]:
    """Return (interface name, address with its prefix) for each interface that has the IP address ``value``."""
    with Session() as opened:
        return [(opened.name(index), item) for index, item in address.all_addresses(opened) if item.ip == value]


def host_end_name(endpoint_id: str) -> str:
    """Return the name of the host end of an endpoint's veth pair, or the name that hawse would give to a new one."""
    with Session() as opened:
        port = marked_links.host_end(opened, endpoint_id)
    return port.name if port is not None else names.host_end_names(endpoint_id)[0]


def bridge_runs_stp(name: str) -> bool:
    """Return whether a bridge runs the spanning tree protocol, so that the kernel sets the states of its ports."""
    with Session() as opened:
        return bool(link.find(opened, name)) and bool(link.kind_attributes(opened, name).get_attr("IFLA_BR_STP_STATE"))


def port_state(name: str) -> int | None:
    """Return the state of a bridge port (0 disabled … 3 forwarding, 4 blocking), or None for another interface."""
    with Session() as opened:
        return link.port_flags(opened, name).get("state")
