"""Encode one message of each kind that commands send, without sending it.

pyroute2 compiles the layout of each kind of message when it first encodes it. The compilation takes 1.1 ms for the
messages of ``network create`` and ``network connect``. A process that forks a child for each command calls this module
once, before the fork.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network

from drivers.linux import address, link, route
from drivers.linux.netlink import Session

MAC = "02:42:00:00:00:01"


class _Unsent(Session):
    """A session that discards every message."""

    def __init__(self) -> None:
        """Open no socket."""

    def request(self, kind: int, body: bytes, flags: int = 0) -> list[bytes]:
        """Discard the message, and return no answers."""
        return []


def encode_all() -> None:
    """Encode each kind of message once, without sending it, to fill pyroute2's in-memory caches."""
    unsent = _Unsent()
    link.add_bridge(unsent, "bridge", address=MAC, mtu=1500)
    link.add_veth(unsent, "port", {"ifname": "eth0", "net_ns_fd": 0, "address": MAC, "mtu": 1500}, master=1, mtu=1500)
    link.change(unsent, 1, state="up", ifalias="mark")
    link.change(unsent, 1, master=1)
    link.set_bridge_port(unsent, 1, hairpin=True, isolated=False, learning=True, guard=True)
    for item in ("192.0.2.1/24", "2001:db8::1/64"):
        address.add(unsent, 1, ip_interface(item), protocol=address.OURS)
    for destination, gateway in (("0.0.0.0/0", "192.0.2.2"), ("::/0", "2001:db8::2")):
        default = route.Route(ip_network(destination), ip_address(gateway), 1, route.USUAL_METRIC[4], route.BOOT)
        route.add(unsent, default)
