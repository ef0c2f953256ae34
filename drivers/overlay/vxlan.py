"""The devices of an overlay network on one host: a bridge and, for each subnet, a VXLAN device (RFC 7348).

They live in the network's own namespace. What VXLAN sends and receives passes through the namespace that the device
was made from, its underlay. Everything is told, nothing learned: neither bridge nor VXLAN devices believe a frame's
source. All VXLAN devices are ports of one bridge that may not talk to each other, so that no frame goes in circles;
what goes to everyone leaves through the first one only.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Any

from drivers.api import Exists, KernelError, NetworkSpec, Unsupported
from drivers.linux import address, link, names, sysctl
from drivers.linux.netlink import Session
from drivers.overlay.options import OverlayOptions

BRIDGE = "br0"
PORT = 4789  # IANA's


def device(number: int) -> str:
    """The VXLAN device of a network's pool."""
    return f"vxlan{number}"


def devices(network: NetworkSpec) -> Sequence[str]:
    """The VXLAN devices of a network, in the order of its pools."""
    return [device(number) for number in range(len(network.pools))]


def make(underlay: Session, there: Session, namespace: int, network: NetworkSpec, options: OverlayOptions) -> None:
    """Make what is missing of the devices, all down; idempotent.

    ``there`` is a session in the network's namespace, which the calling thread must be in and which ``namespace`` pins.
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
        found = link.index(name)
        link.change(there, found, master=bridge)
        link.set_bridge_port(there, found, hairpin=False, isolated=True, learning=False)
        # It needs IPv6 to answer neighbours' questions, but no address to ask any of its own.
        sysctl.write_if_present(sysctl.conf("ipv6", name, "disable_ipv6"), "0")
        sysctl.write_if_present(sysctl.conf("ipv6", name, "addr_gen_mode"), "1")
        sysctl.write_if_present(sysctl.conf("ipv6", name, "accept_ra"), "0")


def set_up(there: Session, network: NetworkSpec, mtu: int) -> None:
    """Give the bridge the gateways' addresses and bring everything up; idempotent."""
    for family in ("ipv4", "ipv6"):
        sysctl.write_if_present(sysctl.conf(family, "all", "forwarding"), "0")
    for table in ("iptables", "ip6tables", "arptables"):  # no filter is to see what is only switched
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


def delete(there: Session, network: NetworkSpec) -> None:
    """Delete all devices; idempotent. Without this, whoever holds the namespace open would keep their VNIs in use."""
    for name in (*devices(network), BRIDGE):
        if link.index(name):
            link.delete(there, name)


def _add(underlay: Session, namespace: int, name: str, vni: int, options: OverlayOptions) -> None:
    family = "vxlan_local" if options.local.version == 4 else "vxlan_local6"
    attributes: dict[str, Any] = {family: str(options.local), "vxlan_port": PORT, "net_ns_fd": namespace}
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
