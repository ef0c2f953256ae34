"""What the engine asks about the host before it decides: subnets in use, ports to choose from, rights.

All answers concern the calling process's network namespace and change nothing.
"""

from __future__ import annotations

import os
import socket
from ipaddress import ip_network
from pathlib import Path

from drivers.linux import address, address_ranges, link, sysctl
from drivers.linux.address_ranges import Range
from drivers.linux.netlink import session

CAP_NET_ADMIN = 12
FALLBACK_PORTS = (49153, 65535)


def _bounds(*networks: str) -> list[Range]:
    return [(int(n.network_address), int(n.broadcast_address)) for n in map(ip_network, networks)]


_APART = {4: _bounds("127.0.0.0/8", "169.254.0.0/16"), 6: _bounds("::1/128", "fe80::/10")}


def interface_ranges(version: int) -> list[Range]:
    """First and last address of what is on the host's interfaces, loopback and link-local ranges left out.

    That are their subnets and, of IPv4, what is routed to one; routes through gateways don't count, as in Docker.
    """
    found = address_ranges.ranges(version) + (address_ranges.on_link_routes() if version == 4 else [])
    for first, last in _APART[version]:
        found = [r for r in found if not first <= r[0] <= last]
    return found


def interface_addresses() -> list[tuple[str, str]]:
    """The name and address of every address on every interface, in the kernel's order."""
    with session() as opened:
        return [(socket.if_indextoname(index), str(found.ip)) for index, found in address.all_addresses(opened)]


def ephemeral_ports() -> tuple[int, int]:
    """The range that automatic host ports come from, both ends included."""
    text = sysctl.read("net/ipv4/ip_local_port_range")
    if text is None:
        return FALLBACK_PORTS
    first, last = text.split()
    return int(first), int(last)


def reserved_ports() -> list[tuple[int, int]]:
    """The ranges the administrator keeps out of automatic choice (net.ipv4.ip_local_reserved_ports)."""
    text = sysctl.read("net/ipv4/ip_local_reserved_ports") or ""
    pairs = (item.partition("-") for item in text.split(",") if item)
    return [(int(first), int(last or first)) for first, _, last in pairs]


def has_net_admin() -> bool:
    """Tell whether this process may configure networks."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return bool(int(value, 16) >> CAP_NET_ADMIN & 1)
    return False


def is_forwarding() -> bool:
    """Whether the host forwards IPv4 packets between its interfaces."""
    return sysctl.read("net/ipv4/ip_forward") != "0"


def interface_exists(name: str) -> bool:
    """Tell whether the host has an interface of that name."""
    return link.index(name) > 0


def boot_identity() -> str:
    """What changes when the kernel, or the network namespace that is this host, starts anew."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot_id}:{os.stat('/proc/self/ns/net').st_ino}"
