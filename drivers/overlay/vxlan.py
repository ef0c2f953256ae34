"""The devices of an overlay network on one host: a bridge and one VXLAN device per subnet (RFC 7348).

The devices are in the network's own namespace. A VXLAN device sends and receives its packets in the namespace in which
it was created; this namespace is the device's underlay. hawse programs all forwarding entries. Neither the bridge nor
the VXLAN devices learn from a frame's source address. All VXLAN devices are ports of one bridge and are isolated from
each other, so that no frame loops. Broadcast and multicast frames leave through the first device only.

The calling thread is in the network's namespace, and a parameter ``there`` is a netlink session in that namespace.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Any

from drivers import link_comparison, port_flags
from drivers.errors import Exists, KernelError, Unsupported
from drivers.linux import address, link, names, sysctl
from drivers.linux.netlink import Session
from drivers.model import KIND, Difference, NetworkSpec
from drivers.overlay.options import OverlayOptions

BRIDGE = "br0"
FLAGS = {"hairpin": 0, "isolated": 1, "learning": 0}
"""The flags of a VXLAN device's bridge port."""
BRIDGE_SETTINGS = {"br_stp_state": 0, "br_mcast_snooping": 0}
SETTINGS = {
    "IFLA_VXLAN_ID": "the VXLAN id",
    "IFLA_VXLAN_LOCAL": "the local address",
    "IFLA_VXLAN_LOCAL6": "the local address",
    "IFLA_VXLAN_GROUP": "the remote address",
    "IFLA_VXLAN_GROUP6": "the remote address",
    "IFLA_VXLAN_PORT": "dstport",
    "IFLA_VXLAN_LINK": "dev",
    "IFLA_VXLAN_LEARNING": "learning",
    "IFLA_VXLAN_PROXY": "proxy",
    "IFLA_VXLAN_RSC": "rsc",
    "IFLA_VXLAN_L2MISS": "l2miss",
    "IFLA_VXLAN_L3MISS": "l3miss",
    "IFLA_VXLAN_COLLECT_METADATA": "external",
    "IFLA_VXLAN_TTL": "ttl",
    "IFLA_VXLAN_TOS": "tos",
    "IFLA_VXLAN_DF": "df",
}
"""The compared settings of a VXLAN device, with their names. A setting that hawse does not set is 0 or absent."""


def devices(network: NetworkSpec) -> Sequence[str]:
    """Return the names of a network's VXLAN devices, in the order of its subnets (``network.pools``)."""
    return [f"vxlan{number}" for number in range(len(network.pools))]


def make(underlay: Session, there: Session, namespace: int, network: NetworkSpec, options: OverlayOptions) -> None:
    """Create missing devices, and create devices with wrong settings again; idempotent. New devices stay down.

    ``namespace`` is a file descriptor of the network's namespace. ``underlay`` is a netlink session in the namespace
    that sends the VXLAN packets. This is the host's namespace, or the network's namespace if the network is encrypted.
    """
    _make_bridge(there, network)
    bridge = link.index(BRIDGE)
    for name, pool, vni in zip(devices(network), network.pools, options.vnis, strict=False):
        if _wrong_settings(there, name, vni, options):
            link.delete(there, name)
            try:
                _add(underlay, namespace, name, vni, options)
            except KernelError as error:
                raise _explained(error, str(pool.subnet)) from error
        index = link.index(name)
        link.change(there, index, master=bridge)
        link.set_bridge_port(there, index, **FLAGS)
        for path, value in _device_sysctls(name).items():
            sysctl.write_if_present(path, value)


def _make_bridge(there: Session, network: NetworkSpec) -> None:
    present = link.find(there, BRIDGE)
    if present is not None and present.kind != "bridge":
        link.delete(there, BRIDGE)
        present = None
    if present is None:
        mac = "02:" + os.urandom(5).hex(":")
        link.add(there, BRIDGE, "bridge", address=mac, br_mcast_snooping=0)
        link.change(there, link.index(BRIDGE), ifalias=names.network_mark(network.id))
    elif link.wrong_settings(there, BRIDGE, BRIDGE_SETTINGS):
        link.change_kind(there, present.index, "bridge", **BRIDGE_SETTINGS)


def set_up(there: Session, network: NetworkSpec, mtu: int) -> None:
    """Set the devices' sysctls, MTU and flags and the bridge's addresses, and bring the devices up; idempotent."""
    for path, value in _sysctls(network).items():
        sysctl.write_if_present(path, value)
    for name in (*devices(network), BRIDGE):
        link.change(there, link.index(name), mtu=mtu)
    for pool in network.pools:
        if pool.gateway is not None:
            address.add(there, link.index(BRIDGE), pool.gateway)
    for name in (*devices(network), BRIDGE):
        link.change(there, link.index(name), state="up")
        present = link.find(there, name)
        if present is not None and not present.has_arp:
            link.switch_arp_on(there, present.index)
    for name in devices(network):
        port_flags.restore(there, name, BRIDGE, FLAGS)


def shared_mtu(there: Session, network: NetworkSpec) -> int:
    """Return the common MTU of the network's devices, or 0 if their MTUs differ.

    Different MTUs mean that one of the devices needs a repair.
    """
    links = [link.find(there, name) for name in (BRIDGE, *devices(network))]
    values = {device.mtu if device is not None else 0 for device in links}
    return values.pop() if len(values) == 1 else 0


def compare(there: Session, network: NetworkSpec, options: OverlayOptions, mtu: int) -> list[Difference]:
    """Return a difference for each device, address or setting of the network that is missing or changed.

    ``mtu`` is the required MTU, or 0 if it is unknown.
    """
    names_of = [BRIDGE, *devices(network)]
    devices_by_name = {name: link.find(there, name) if link.index(name) else None for name in names_of}
    lost = [
        Difference("missing", _place(name), name, subject=name)
        for name, device in devices_by_name.items()
        if device is None
    ]
    present = [device for device in devices_by_name.values() if device is not None]
    lost += [link_comparison.down(_place(device.name), device.name) for device in present if not device.up]
    lost += [link_comparison.without_arp(_place(device.name), device.name) for device in present if not device.has_arp]
    lost += [
        link_comparison.wrong_mtu(_place(device.name), device.name, device.mtu, mtu)
        for device in present
        if mtu not in (0, device.mtu)
    ]
    for name, vni in zip(devices(network), options.vnis, strict=False):
        if devices_by_name[name] is not None:
            lost += _wrong_device(there, name, vni, options)
    bridge = devices_by_name[BRIDGE]
    if bridge is not None:
        lost += _wrong_bridge(there, bridge, network, [device for device in present if device is not bridge])
    values = _sysctls(network)
    for device in present:
        values |= _device_sysctls(device.name) if device.name != BRIDGE else {}
    return lost + link_comparison.sysctls(values)


def _wrong_device(there: Session, name: str, vni: int, options: OverlayOptions) -> list[Difference]:
    what = ", ".join(_wrong_settings(there, name, vni, options))
    return [Difference("changed", "interface", f"{name} has {what}", subject=name, setting=KIND)] if what else []


def _wrong_bridge(
    there: Session, bridge: link.Link, network: NetworkSpec, ports: Sequence[link.Link]
) -> list[Difference]:
    """Return the differences of the bridge, of its addresses, and of the VXLAN devices as its ``ports``."""
    if bridge.kind != "bridge":
        return [link_comparison.no_bridge(BRIDGE, bridge.kind)]
    settings = link.wrong_settings(there, BRIDGE, BRIDGE_SETTINGS)
    lost = link_comparison.wrong_settings("bridge", BRIDGE, settings)
    for port in ports:
        lost += port_flags.compare(there, port, BRIDGE, FLAGS, "interface")
    gateways = [pool.gateway for pool in network.pools if pool.gateway is not None]
    held = address.of_link(there, bridge.index)
    return lost + [
        Difference("missing", "address", f"address {gateway}", subject=str(gateway))
        for gateway in gateways
        if gateway not in held
    ]


def _sysctls(network: NetworkSpec) -> dict[str, str]:
    """Return the sysctls of the network's namespace and of its bridge; the kernel may lack some of them."""
    forwarding = {sysctl.conf(family, "all", "forwarding"): "0" for family in ("ipv4", "ipv6")}
    # Keep the bridge's frames away from the rules of iptables, ip6tables and arptables, which must not filter them.
    calls = {f"net/bridge/bridge-nf-call-{table}": "0" for table in ("iptables", "ip6tables", "arptables")}
    bridge = {
        sysctl.conf("ipv6", BRIDGE, "accept_ra"): "0",
        sysctl.conf("ipv6", BRIDGE, "disable_ipv6"): "0" if network.ipv6 else "1",
    }
    return forwarding | calls | bridge


def _device_sysctls(name: str) -> dict[str, str]:
    """Return the sysctls of a VXLAN device, which needs IPv6 to answer neighbour solicitations.

    The device needs no IPv6 address, because the device itself sends no packets.
    """
    values = {"disable_ipv6": "0", "addr_gen_mode": "1", "accept_ra": "0"}
    return {sysctl.conf("ipv6", name, key): value for key, value in values.items()}


def _place(name: str) -> str:
    return "bridge" if name == BRIDGE else "interface"


def delete(there: Session, network: NetworkSpec) -> None:
    """Delete the network's VXLAN devices and bridge; idempotent.

    The removal of the namespace is not enough: the VXLAN ids stay in use while a process holds the namespace open.
    """
    for name in (*devices(network), BRIDGE):
        if link.index(name):
            link.delete(there, name)


def _add(underlay: Session, namespace: int, name: str, vni: int, options: OverlayOptions) -> None:
    family = "vxlan_local" if options.local.version == 4 else "vxlan_local6"
    attributes: dict[str, Any] = {family: str(options.local), "vxlan_port": link.VXLAN_PORT, "net_ns_fd": namespace}
    link.add(underlay, name, "vxlan", vxlan_id=vni, vxlan_learning=0, vxlan_proxy=1, **attributes)


def _wrong_settings(there: Session, name: str, vni: int, options: OverlayOptions) -> list[str]:
    """Return each wrong setting of a VXLAN device with its present value, such as "dstport 8472".

    ``vni`` is the required VXLAN id. If no link has the name, or if the link has another type, the list has one item
    that says this.
    """
    present = link.find(there, name) if link.index(name) else None
    if present is None or present.kind != "vxlan":
        return ["no link" if present is None else f"the type {present.kind}"]
    family = "IFLA_VXLAN_LOCAL" if options.local.version == 4 else "IFLA_VXLAN_LOCAL6"
    required = {
        "IFLA_VXLAN_ID": vni,
        family: str(options.local),
        "IFLA_VXLAN_PORT": link.VXLAN_PORT,
        "IFLA_VXLAN_PROXY": 1,
    }
    data = link.kind_attributes(there, name)
    values = {setting: data.get_attr(setting) or 0 for setting in SETTINGS}
    return [f"{SETTINGS[s]} {value}" for s, value in values.items() if value != required.get(s, 0)]


def _explained(error: KernelError, subnet: str) -> Exception:
    text = (
        f'subnet sandbox join failed for "{subnet}": error creating vxlan interface: {os.strerror(error.errno).lower()}'
    )
    if error.errno == errno.EEXIST:
        return Exists(text)
    return Unsupported(text) if error.errno == errno.EOPNOTSUPP else error
