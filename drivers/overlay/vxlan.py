"""The devices of an overlay network on one host: a bridge and one VXLAN device per subnet (RFC 7348).

The devices are in the network's own namespace. A VXLAN device sends and receives its packets in the namespace in which
it was created; this namespace is the device's underlay. hawse programs all forwarding entries. Neither the bridge nor
the VXLAN devices learn from a frame's source address. All VXLAN devices are ports of one bridge and are isolated from
each other, so that no frame loops. Broadcast and multicast frames leave through the first device only.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Any

from drivers import link_comparison
from drivers.api import Difference, Exists, KernelError, NetworkSpec, Unsupported
from drivers.linux import address, link, names, sysctl
from drivers.linux.netlink import Session
from drivers.overlay.options import OverlayOptions

BRIDGE = "br0"


def device(number: int) -> str:
    """Return the name of the VXLAN device for the network's subnet with the index ``number``."""
    return f"vxlan{number}"


def devices(network: NetworkSpec) -> Sequence[str]:
    """Return the names of a network's VXLAN devices, in the order of its pools."""
    return [device(number) for number in range(len(network.pools))]


def make(underlay: Session, there: Session, namespace: int, network: NetworkSpec, options: OverlayOptions) -> None:
    """Create missing devices, which stay down; idempotent.

    ``there`` is a netlink session in the network's namespace, and ``underlay`` a session in the underlay's namespace.
    The calling thread must be in the network's namespace, and ``namespace`` is a file descriptor of that namespace.
    """
    if not link.index(BRIDGE):
        mac = "02:" + os.urandom(5).hex(":")
        link.add(there, BRIDGE, "bridge", address=mac, br_mcast_snooping=0)
        link.change(there, link.index(BRIDGE), ifalias=names.network_mark(network.id))
    bridge = link.index(BRIDGE)
    for number, pool in enumerate(network.pools):
        name, vni = device(number), options.vnis[number]
        if not _is_as_wanted(there, name, vni, options):
            link.delete(there, name)
            try:
                _add(underlay, namespace, name, vni, options)
            except KernelError as error:
                raise _explained(error, str(pool.subnet)) from error
        index = link.index(name)
        link.change(there, index, master=bridge)
        link.set_bridge_port(there, index, hairpin=False, isolated=True, learning=False)
        # The VXLAN device needs IPv6 to answer neighbour solicitations. The device needs no IPv6 address, because the
        # device itself sends no packets.
        sysctl.write_if_present(sysctl.conf("ipv6", name, "disable_ipv6"), "0")
        sysctl.write_if_present(sysctl.conf("ipv6", name, "addr_gen_mode"), "1")
        sysctl.write_if_present(sysctl.conf("ipv6", name, "accept_ra"), "0")


def set_up(there: Session, network: NetworkSpec, mtu: int) -> None:
    """Add the gateways' addresses to the bridge, and bring the bridge and the VXLAN devices up; idempotent."""
    for family in ("ipv4", "ipv6"):
        sysctl.write_if_present(sysctl.conf(family, "all", "forwarding"), "0")
    for table in ("iptables", "ip6tables", "arptables"):  # keep iptables rules from filtering the bridge's frames
        sysctl.write_if_present(f"net/bridge/bridge-nf-call-{table}", "0")
    sysctl.write_if_present(sysctl.conf("ipv6", BRIDGE, "accept_ra"), "0")
    sysctl.write_if_present(sysctl.conf("ipv6", BRIDGE, "disable_ipv6"), "0" if network.ipv6 else "1")
    for name in (*devices(network), BRIDGE):
        link.change(there, link.index(name), mtu=mtu)
    for pool in network.pools:
        if pool.gateway is not None:
            address.add(there, link.index(BRIDGE), pool.gateway)
    for name in (*devices(network), BRIDGE):
        link.change(there, link.index(name), state="up")


def compare(there: Session, network: NetworkSpec) -> list[Difference]:
    """Return a difference for each object of `make` and `set_up` that is missing or changed.

    The calling thread is in the network's namespace.
    """
    names_of = [BRIDGE, *devices(network)]
    found = {name: link.find(there, name) if link.index(name) else None for name in names_of}
    bridge = found[BRIDGE]
    lost = [Difference("missing", _place(name), name, subject=name) for name, one in found.items() if one is None]
    lost += [link_comparison.down(_place(n), n) for n, one in found.items() if one is not None and not one.up]
    if bridge is not None:
        ports = (one for one in found.values() if one is not None and one is not bridge)
        lost += [
            link_comparison.off_bridge(one.name, BRIDGE, "interface") for one in ports if one.master != bridge.index
        ]
        held = address.of_link(there, bridge.index)
        gateways = (pool.gateway for pool in network.pools if pool.gateway is not None)
        lost += [
            Difference("missing", "address", f"address {gateway}", subject=str(gateway))
            for gateway in gateways
            if gateway not in held
        ]
    return lost


def _place(name: str) -> str:
    return "bridge" if name == BRIDGE else "interface"


def delete(there: Session, network: NetworkSpec) -> None:
    """Delete all devices of the network; idempotent.

    The removal of the namespace is not enough: the VXLAN ids stay in use while a process holds the namespace open.
    """
    for name in (*devices(network), BRIDGE):
        if link.index(name):
            link.delete(there, name)


def _add(underlay: Session, namespace: int, name: str, vni: int, options: OverlayOptions) -> None:
    family = "vxlan_local" if options.local.version == 4 else "vxlan_local6"
    attributes: dict[str, Any] = {family: str(options.local), "vxlan_port": link.VXLAN_PORT, "net_ns_fd": namespace}
    link.add(underlay, name, "vxlan", vxlan_id=vni, vxlan_learning=0, vxlan_proxy=1, **attributes)


def _is_as_wanted(there: Session, name: str, vni: int, options: OverlayOptions) -> bool:
    if not link.index(name):
        return False
    data = link.kind_attributes(there, name)
    local = data.get_attr("IFLA_VXLAN_LOCAL" if options.local.version == 4 else "IFLA_VXLAN_LOCAL6")
    return bool(data.get_attr("IFLA_VXLAN_ID") == vni and local == str(options.local))


def _explained(error: KernelError, subnet: str) -> Exception:
    text = (
        f'subnet sandbox join failed for "{subnet}": error creating vxlan interface: {os.strerror(error.errno).lower()}'
    )
    if error.errno == errno.EEXIST:
        return Exists(text)
    return Unsupported(text) if error.errno == errno.EOPNOTSUPP else error
