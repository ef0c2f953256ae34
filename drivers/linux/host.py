"""Facts about the host that the engine's decisions need: subnets in use, available ports, privileges.

All functions read the calling process's network namespace and change nothing.
"""

from __future__ import annotations

import os
import socket
import sys
from ipaddress import ip_network
from pathlib import Path

from drivers.linux import address, address_ranges, link, sysctl
from drivers.linux.address_ranges import Range
from drivers.linux.netlink import Session
from drivers.model import IPAddress, IPInterface

CAP_NET_ADMIN = 12
_NETNS_COOKIE = 71  # SO_NETNS_COOKIE, which Python's socket module lacks
PORT_RANGE = "net/ipv4/ip_local_port_range"  # this sysctl applies to IPv6 too
FALLBACK_PORTS = (49153, 65535)


def _bounds(*networks: str) -> list[Range]:
    return [(int(n.network_address), int(n.broadcast_address)) for n in map(ip_network, networks)]


_APART = {4: _bounds("127.0.0.0/8", "169.254.0.0/16"), 6: _bounds("::1/128", "fe80::/10")}


def interface_ranges(version: int) -> list[Range]:
    """Return first and last address, as integers, of each address range in use on the host's interfaces.

    ``version`` is 4 or 6. The ranges are the interfaces' subnets and, for IPv4, the ranges routed to an interface.
    Ranges routed through gateways are ignored, as in Docker. Loopback and link-local ranges are left out.
    """
    ranges = address_ranges.ranges(version) + (address_ranges.on_link_routes() if version == 4 else [])
    for first, last in _APART[version]:
        ranges = [r for r in ranges if not first <= r[0] <= last]
    return ranges


def foreign_addresses(interface: str) -> list[IPInterface]:
    """Return the addresses that other programs have added to an interface; none if the interface is missing."""
    with Session() as opened:
        return address.foreign(opened, link.index(interface))


def interface_addresses() -> list[tuple[str, IPAddress]]:
    """Return (interface name, address) for every address on every interface, in the kernel's order.

    Leaves out an interface that another program deletes during the call.
    """
    with Session() as opened:
        named = [(opened.name(index), interface.ip) for index, interface in address.all_addresses(opened)]
    return [(name, ip) for name, ip in named if name]


def down_towards(target: IPAddress) -> str:
    """Return the name of an interface that is down and may lead to ``target``, or "" if there is no such interface.

    Interfaces without an address are left out. An interface with a subnet that contains ``target`` is preferred to
    other interfaces that are down. The result for an IPv6 ``target`` may be an interface with only an IPv4 address,
    because an interface loses its IPv6 addresses when it goes down.
    """
    with Session() as opened:
        held = address.all_addresses(opened)
        down = [device for device in link.all_links(opened) if not device.up and not device.is_loopback]
    subnets = [(device.name, item) for device in down for index, item in held if index == device.index]
    near = [name for name, item in subnets if item.version == target.version and target in item.network]
    return next(iter([*near, *(name for name, _ in subnets)]), "")


def ephemeral_ports() -> tuple[int, int]:
    """Return the first and last port of the range from which the host chooses ports automatically."""
    text = sysctl.read(PORT_RANGE)
    if text is None:
        return FALLBACK_PORTS
    first, last = text.split()
    return int(first), int(last)


def reserved_ports() -> list[tuple[int, int]]:
    """Return (first port, last port) of each range in the sysctl net.ipv4.ip_local_reserved_ports.

    The kernel does not choose these ports automatically. The last port belongs to the range.
    """
    text = sysctl.read("net/ipv4/ip_local_reserved_ports") or ""
    pairs = (item.partition("-") for item in text.split(",") if item)
    return [(int(first), int(last or first)) for first, _, last in pairs]


def has_net_admin() -> bool:
    """Return whether this process may configure networks (CAP_NET_ADMIN)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return bool(int(value, 16) >> CAP_NET_ADMIN & 1)
    return False


def has_ipv6() -> bool:
    """Return whether the kernel has IPv6."""
    return sysctl.exists("net/ipv6/conf/lo")


def is_forwarding() -> bool:
    """Return whether the host forwards IPv4 packets between its interfaces."""
    return sysctl.read("net/ipv4/ip_forward") != "0"


def filters_bridged(version: int) -> bool:
    """Return whether the firewall's rules for IP ``version`` (4 or 6) also filter packets within a bridge."""
    return sysctl.read(bridge_filter(version)) == "1"


def bridge_filter(version: int) -> str:
    """Return the sysctl that lets the firewall's rules for IP ``version`` (4 or 6) filter packets within a bridge."""
    return f"net/bridge/bridge-nf-call-{'iptables' if version == 4 else 'ip6tables'}"


def interface_exists(name: str) -> bool:
    """Return whether the host has an interface of that name."""
    return link.index(name) > 0


def boot_time() -> int:
    """Return the time at which the machine booted, in seconds since 1970; 0 if it is unknown."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, _, value = line.partition(" ")
        if name == "btime":
            return int(value)
    return 0


def boot_identity() -> str:
    """Return a string that changes when the machine boots or the host gets a new network namespace.

    The host may be a container of another program. Such a host gets a new namespace when the container restarts. The
    string contains the namespace's cookie, because the kernel uses the inode number of a deleted namespace again.
    Before Linux 5.14, namespaces have no cookie, and the string contains the inode number.

    Raises OSError if the process cannot open a file or a socket. A substitute string would count as a boot.
    """
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as opened:
        try:
            cookie = opened.getsockopt(socket.SOL_SOCKET, _NETNS_COOKIE, 8)
        except OSError:
            return f"{boot_id}:{os.stat('/proc/self/ns/net').st_ino}"
    return f"{boot_id}:{int.from_bytes(cookie, sys.byteorder):x}"
