"""Which published ports can't be served by rewriting packets, so that the agent has to carry them. Pure.

Linux never routes ::1 off the loopback interface, nor link-local packets off the link they came by; and no packet can
be rewritten from one family to the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Address, IPv6Network

from drivers.api import IPAddress

PROTOCOLS = ("tcp", "udp")
ANY = IPv6Network("::/0")
LOOPBACK, LINK_LOCAL = IPv6Network("::1/128"), IPv6Network("fe80::/10")


def proxied_prefixes(protocol: str, host_ip: IPAddress, *, has_ipv6: bool) -> Sequence[IPv6Network]:
    """Where the agent serves a port for a binding of an endpoint: nowhere, if all its packets are rewritten."""
    if not isinstance(host_ip, IPv6Address) or protocol not in PROTOCOLS:
        return ()
    if host_ip.is_unspecified:
        return (LOOPBACK, LINK_LOCAL) if has_ipv6 else (ANY,)
    return () if has_ipv6 and not host_ip.is_loopback else (IPv6Network(host_ip),)


def prefixes_of(address: IPv6Address) -> Sequence[IPv6Network]:
    """All that `proxied_prefixes` may call the place of an address, the narrowest first."""
    own = IPv6Network(address)
    return (own, LINK_LOCAL, ANY) if address in LINK_LOCAL else (own, ANY)
