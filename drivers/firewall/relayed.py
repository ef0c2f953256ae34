"""Which published ports can't be served by rewriting packets, so that the agent has to carry them. Pure.

Linux never routes ::1 off the loopback interface, and no packet can be rewritten from one family to the other.
"""

from __future__ import annotations

from ipaddress import IPv6Address

from drivers.api import IPAddress

PROTOCOLS = ("tcp", "udp")


def relayed_address(protocol: str, host_ip: IPAddress, *, has_ipv6: bool) -> IPv6Address | None:
    """The address whose port the agent serves for a binding of an endpoint, None where packets are rewritten."""
    if not isinstance(host_ip, IPv6Address) or protocol not in PROTOCOLS:
        return None
    if not has_ipv6:
        return host_ip
    return IPv6Address("::1") if host_ip.is_unspecified or host_ip.is_loopback else None
